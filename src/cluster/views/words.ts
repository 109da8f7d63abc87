/** Figures and tables as the cluster's commands show them; no file of the room knows of another's view. */

/** What stands where nothing is known. */
export const unknown = "–";

const isNumber = (cell: string) => /^[+−>]?[\d.]+( ?[a-zA-Z%µ/]+)?$|^–$/.test(cell);

/** Rows under their head, columns as wide as they need; columns of figures stand to the right. */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) =>
    Math.max(...all.map((row) => [...(row[column] ?? "")].length)),
  );
  const isRight = head.map((_, column) => rows.every((row) => isNumber(row[column] ?? "")));
  return all.map((row) =>
    row
      .map((cell, column) => {
        const room = " ".repeat(widths[column]! - [...cell].length);
        return isRight[column] === true ? `${room}${cell}` : `${cell}${room}`;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** Phrases with a dot between them, as many to a line as fit, each line indented. */
export function phraseLines(
  phrases: readonly string[],
  { columns, indent }: { readonly columns: number; readonly indent: number },
): readonly string[] {
  const lines: string[] = [];
  for (const phrase of phrases) {
    const longer = lines.length === 0 ? null : `${lines.at(-1)!} · ${phrase}`;
    if (longer !== null && [...longer].length <= columns - indent) lines[lines.length - 1] = longer;
    else lines.push(phrase);
  }
  return lines.map((line) => `${" ".repeat(indent)}${line}`);
}

/** Spaces where a line may end: not between a figure and its unit. */
const breaks = / +(?!(?:ms|s|min|h|d|%|B|kB|MB|GB|TB)(?![a-zA-Z]))/;

/** Words of a sentence on lines that fit; what stands before the indent stays as it is. */
export function wrapLines(text: string, columns: number, indent: number): readonly string[] {
  const lines: string[] = [];
  const lead = text.slice(0, indent);
  for (const [place, word] of text.slice(indent).split(breaks).entries()) {
    const last = place === 0 ? undefined : lines.at(-1);
    const longer = last === undefined ? `${lead}${word}` : `${last} ${word}`;
    if (last === undefined) lines.push(longer);
    else if ([...longer].length <= columns) lines[lines.length - 1] = longer;
    else lines.push(`${" ".repeat(indent)}${word}`);
  }
  return lines;
}

/** A round trip: `0.24 ms`, `2.4 ms`, `180 ms`. */
export function roundTripText(us: number | null): string {
  if (us === null) return unknown;
  const ms = us / 1_000;
  return `${ms < 0.995 ? ms.toFixed(2) : ms < 9.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** How far a clock is ahead of this one, or behind: `+2 ms`, `−1.4 s`. */
export function skewText(ms: number | null): string {
  if (ms === null) return unknown;
  const sign = ms < 0 ? "−" : "+";
  const apart = Math.abs(ms);
  return apart < 1_000
    ? `${sign}${Math.round(apart)} ms`
    : `${sign}${(apart / 1_000).toFixed(1)} s`;
}

/** How much of a machine's cores the work of the last minute wanted, in thousandths, as per cent. */
export function loadText(perMille: number | null): string {
  if (perMille === null) return unknown;
  // More than they can do: how much more waits is a queue's length and no share of a machine.
  return perMille > 1_000 ? ">100 %" : `${Math.round(perMille / 10)} %`;
}

/** Lost pings of a million, as per cent. */
export function lossText(perMillion: number): string {
  const percent = perMillion / 10_000;
  return percent === 0 ? "0 %" : `${percent < 1 ? percent.toFixed(1) : Math.round(percent)} %`;
}

const units = ["B", "kB", "MB", "GB", "TB"] as const;

/** A size or a rate, three digits of it, in powers of a thousand. */
export function bytesText(sizeBytes: number): string {
  let [value, unit] = [sizeBytes, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1_000, unit + 1];
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`;
}

/** `1 blob`, `3 blobs`. */
export function countText(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** A digest or key at a glance; `--json` has all of it. */
export function digestText(digest: string | null): string {
  return digest === null ? unknown : digest.slice(0, 12);
}

/** A moment, to the second, in UTC. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

const loopback = /^(127\.|localhost:|\[::1\])/;

/** What there is to say of the addresses in a join line. */
export function placeNote(places: readonly string[]): readonly string[] {
  if (!places.every((place) => loopback.test(place))) return [];
  return [`only this machine reaches ${places[0]}; for others: psionic up --peer-host ADDRESS`];
}
