import { formatName, formatTime, missing } from "./format.ts";

/** A table made from the records of an answer. */
export interface Listing {
  readonly names: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A listing shows at most this many rows; the rest is in `--json` at a terminal. */
const rowMaximum = 200;

type JsonRecord = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is JsonRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What stands at `grant.id` of a record. */
function valueAt(record: JsonRecord, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, name) => (isRecord(value) ? value[name] : undefined), record);
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

/**
 * The records in `member` of an answer, one row each, with the values at these paths
 * (`grant.expiresMs`). Null where the answer has no such list.
 */
export function listingOf(
  answer: unknown,
  member: string,
  paths: readonly string[],
): Listing | null {
  const list = isRecord(answer) ? answer[member] : null;
  if (!Array.isArray(list)) return null;
  const names = paths.map((path) => path.split(".").at(-1) ?? path);
  return {
    names: names.map((name) => formatName(name.replace(/Ms$/, ""))),
    rows: list
      .filter(isRecord)
      .slice(0, rowMaximum)
      .map((record) => paths.map((path, at) => textOf(names[at] ?? path, valueAt(record, path)))),
  };
}
