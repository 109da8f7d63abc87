import { dirname, join } from "node:path/posix";
import { type Room, roomImports } from "./imports.ts";

/** One TypeScript file of `src`, as the rules see it. */
export interface SourceFile {
  /** From the root folder, with `/`: `src/codec/digest.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  readonly specifier: string;
  /** The file it means where it is one of ours, else null. */
  readonly path: string | null;
}

/** The folder below `src`; also of rooms the table does not know. */
export function roomName(path: string): string {
  return path.split("/")[1] ?? "";
}

export function isRoom(name: string): name is Room {
  return Object.hasOwn(roomImports, name);
}

/** Tests and what only tests import: suites that several backends run, fixtures. */
export function isTestFile(path: string): boolean {
  return (
    /\.(test|suite|fixture)\.tsx?$/.test(path) ||
    path.startsWith("src/acceptance/") ||
    path.startsWith("src/tidy/")
  );
}

function resolveImport(from: string, specifier: string): string | null {
  if (specifier.startsWith("#src/")) return `src/${specifier.slice("#src/".length)}`;
  if (specifier.startsWith(".")) return join(dirname(from), specifier);
  return null;
}

const loaderOf = (file: SourceFile) => (file.path.endsWith(".tsx") ? "tsx" : "ts");

/**
 * Every import and re-export of a file, in order. Bun's scanner leaves out what only types need;
 * for direction and cycles a type counts like a value, so `type` is taken away before it looks.
 */
export function scanImports(file: SourceFile): Import[] {
  const text = file.text
    .replace(/\b(import|export)\s+type(?=\s*[{*])/g, "$1")
    .replace(/\bimport\s+type\s+(?!from\b)(?=\w)/g, "import ")
    .replace(/([{,]\s*)type\s+(?=[\w$]+\s*(?:,|\}|as\b))/g, "$1");
  return new Bun.Transpiler({ loader: loaderOf(file) })
    .scanImports(text)
    .map(({ path }) => ({ specifier: path, path: resolveImport(file.path, path) }));
}

const marker = "__outside_global_";

/**
 * Which of `names` (`process`, `Date.now`) a file uses as globals. Bun's transpiler replaces real
 * references only: not strings, comments, types, properties, or a local of the same name.
 */
export function scanGlobals(file: SourceFile, names: readonly string[]): string[] {
  const define = Object.fromEntries(names.map((name, index) => [name, `${marker}${index}_`]));
  const output = new Bun.Transpiler({ loader: loaderOf(file), define }).transformSync(file.text);
  return names.filter((_, index) => output.includes(`${marker}${index}_`));
}

/** True when the file asks the clock through `new Date()`; `new Date(milliseconds)` is arithmetic. */
export function readsClockThroughDate(file: SourceFile): boolean {
  const define = { Date: `${marker}Date_` };
  const output = new Bun.Transpiler({ loader: loaderOf(file), define }).transformSync(file.text);
  return new RegExp(`new ${marker}Date_(?!\\s*\\()|${marker}Date_\\(\\s*\\)`).test(output);
}
