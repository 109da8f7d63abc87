/** A table of figures, as a chart shows it beside its curves. */
export interface Columns {
  readonly names: readonly string[];
  /** One list per name, all of one length. */
  readonly values: readonly (readonly (number | string | null)[])[];
}

function cell(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return "";
  const text = String(value);
  // A spreadsheet takes text that begins with these for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** CSV as RFC 4180 has it: a header, CRLF, every figure in full. */
export function csvText({ names, values }: Columns): string {
  const rows = values[0]?.length ?? 0;
  const lines = [names.map(cell).join(",")];
  for (let row = 0; row < rows; row++) {
    lines.push(values.map((column) => cell(column[row])).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

/** A file name from a title: letters, digits and dashes. */
export function csvName(...words: readonly string[]): string {
  const text = words
    .join("-")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  return `${text || "data"}.csv`;
}
