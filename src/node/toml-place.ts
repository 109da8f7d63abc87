/** A place in a text, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Where a key of a parsed TOML document is written: the line of `key =` under its table's
 * header, of a dotted `table.key =`, or of the header itself. The parser gives no places, so
 * this reads the text again; where nothing matches it answers the first line.
 */
export function keyLine(text: string, place: readonly string[]): Place {
  const wanted = place.join(".");
  let table = "";
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\s*\[([^\]]+)\]/.exec(line);
    if (header) {
      table = plain(header[1]!);
      const column = line.indexOf("[") + 2;
      if (table === wanted || table.startsWith(`${wanted}.`)) return { line: index + 1, column };
      continue;
    }
    const written = /^(\s*)([A-Za-z0-9_"'.\- ]+?)\s*=/.exec(line);
    if (!written) continue;
    const key = plain(written[2]!);
    const full = table === "" ? key : `${table}.${key}`;
    if (full === wanted || full.startsWith(`${wanted}.`)) {
      return { line: index + 1, column: written[1]!.length + 1 };
    }
  }
  return { line: 1, column: 1 };
}

function plain(key: string): string {
  return key.replaceAll(/["'\s]/g, "");
}

/** The line with a caret under the place, as compilers show it. */
export function sourceFrame(text: string, line: number, column: number): string {
  const number = String(line);
  const source = (text.split("\n")[line - 1] ?? "").replaceAll("\t", " ").trimEnd();
  const caret = " ".repeat(Math.max(0, Math.min(column - 1, source.length)));
  return `  ${number} | ${source}\n  ${" ".repeat(number.length)} | ${caret}^`;
}
