import { formatName, formatTime, missing } from "./format.ts";

/** A table made from records whose fields the page does not know beforehand. */
export interface Listing {
  readonly names: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A listing shows at most this many columns and rows; the rest is in `--json` at a terminal. */
const columnMaximum = 8;
const rowMaximum = 200;

/** The first list of records in an answer: `{grants: […]}`. Null where there is none. */
function recordsOf(answer: unknown): readonly Record<string, unknown>[] | null {
  if (typeof answer !== "object" || answer === null) return null;
  const list: unknown = Object.values(answer).find(Array.isArray);
  if (!Array.isArray(list)) return null;
  return list.filter(
    (each): each is Record<string, unknown> => typeof each === "object" && each !== null,
  );
}

function textOf(name: string, value: unknown): string {
  if (value === null || value === undefined || value === "") return missing;
  if (typeof value === "number" && name.endsWith("Ms")) return formatTime(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) {
    return value.join(", ") || missing;
  }
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // Digests and keys are told apart by their beginning.
  return /^[0-9a-f]{40,}$/.test(text) ? `${text.slice(0, 12)}…` : text;
}

export function listingOf(answer: unknown): Listing | null {
  const records = recordsOf(answer);
  if (records === null) return null;
  const names = [...new Set(records.flatMap(Object.keys))].slice(0, columnMaximum);
  return {
    names: names.map((name) => formatName(name.replace(/Ms$/, ""))),
    rows: records
      .slice(0, rowMaximum)
      .map((record) => names.map((name) => textOf(name, record[name]))),
  };
}
