import { dirname } from "node:path/posix";
import {
  edgeRooms,
  exactRooms,
  inexactFiles,
  inexactGlobals,
  longFiles,
  longLineCount,
  outsideGlobals,
  outsideModules,
  refusedLineCount,
  reservedModules,
  roomExceptions,
  roomImports,
} from "./imports.ts";
import {
  isRoom,
  isTestFile,
  readsClockThroughDate,
  roomName,
  scanGlobals,
  scanImports,
  type SourceFile,
} from "./source-file.ts";
import { listTestBodies } from "./test-body.ts";

/** What a rule has against a file, in a sentence a person can act on. */
export interface Violation {
  readonly path: string;
  readonly message: string;
}

export type Rule = (files: readonly SourceFile[]) => Violation[];

/** A rule that looks at one file at a time. */
const eachFile =
  (judge: (file: SourceFile) => readonly string[]): Rule =>
  (files) =>
    files.flatMap((file) => judge(file).map((message) => ({ path: file.path, message })));

const isProduct = (file: SourceFile) => file.path.startsWith("src/") && !isTestFile(file.path);
const isEdge = (room: string) => (edgeRooms as readonly string[]).includes(room);

/** Files stand in rooms of the table and import only what the table allows. */
export const importDirection: Rule = eachFile((file) => {
  if (!file.path.startsWith("src/")) return [];
  const room = roomName(file.path);
  if (!isRoom(room)) return [`room ${room} is not in src/tidy/imports.ts`];
  const allowed: readonly string[] = roomImports[room];
  return scanImports(file).flatMap(({ specifier, path }) => {
    if (path === null) return [];
    const target = roomName(path);
    if (target === room) {
      const isBeside = specifier.startsWith("#src/") && dirname(path) === dirname(file.path);
      return isBeside ? [`${specifier} is beside this file: import ./ instead`] : [];
    }
    if (specifier.startsWith(".")) return [`${specifier} leaves the room: import #src/ instead`];
    if (isTestFile(file.path) || allowed.includes(target)) return [];
    return [`room ${room} may not import room ${target} (${specifier})`];
  });
});

/** Follows imports from every file and names each way back to where it started once. */
export const fileCycles: Rule = (files) => {
  const edges = new Map(
    files.map((file) => [file.path, scanImports(file).flatMap(({ path }) => path ?? [])]),
  );
  const violations: Violation[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      const cycle = [...trail.slice(start), path].join(" → ");
      violations.push({ path, message: `imports itself: ${cycle}` });
      return;
    }
    if (finished.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    finished.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return violations;
};

/** The outside world is met at the edge only; elsewhere a port stands for it. */
export const outsideWorld: Rule = eachFile((file) => {
  if (!isProduct(file)) return [];
  const room = roomName(file.path);
  const excepted: readonly string[] = isRoom(room) ? (roomExceptions[room]?.names ?? []) : [];
  const specifiers = scanImports(file).map(({ specifier }) => specifier.replace(/^node:/, ""));
  const reserved = specifiers.filter((name) => {
    const owners: readonly string[] | undefined = reservedModules[name];
    return owners !== undefined && !owners.includes(room);
  });
  if (isEdge(room)) return reserved.map((name) => `only another room may import ${name}`);
  const banned = [
    ...specifiers.filter((name) => outsideModules.includes(name)),
    ...scanGlobals(file, outsideGlobals),
    ...(readsClockThroughDate(file) ? ["new Date()"] : []),
  ].filter((name) => !excepted.includes(name));
  return banned.map((name) => `${name} reaches outside: use a port (src/port)`);
});

/** No function whose last bits depend on the engine where results are digested. */
export const exactArithmetic: Rule = eachFile((file) => {
  const isExact = (exactRooms as readonly string[]).includes(roomName(file.path));
  if (!isProduct(file) || !isExact || Object.hasOwn(inexactFiles, file.path)) return [];
  return scanGlobals(file, inexactGlobals).map(
    (name) => `${name} may differ in its last bits between machines`,
  );
});

/** A command the node does not import does not exist for anyone. */
export const registeredCommands: Rule = (files) => {
  const list = files.find((file) => file.path === "src/node/commands.ts");
  const imported = new Set(list ? scanImports(list).map(({ path }) => path) : []);
  return files
    .filter((file) => file.path.endsWith(".command.ts") && !imported.has(file.path))
    .map(({ path }) => ({ path, message: "is not imported by src/node/commands.ts" }));
};

const lineCount = (file: SourceFile) => file.text.trimEnd().split("\n").length;

/** Files a reader would not finish in one sitting. */
export const fileLength: Rule = eachFile((file) => {
  const lines = lineCount(file);
  if (lines <= refusedLineCount || Object.hasOwn(longFiles, file.path)) return [];
  return [`has ${lines} lines; split it, or list it with its reason in src/tidy/imports.ts`];
});

/** Worth a look, not a failure. */
export const longFile: Rule = eachFile((file) => {
  const lines = lineCount(file);
  const isListed = Object.hasOwn(longFiles, file.path);
  return lines > longLineCount && lines <= refusedLineCount && !isListed
    ? [`has ${lines} lines`]
    : [];
});

/** Names that say nothing gather what belongs elsewhere. */
export const meaninglessNames: Rule = eachFile((file) => {
  const vague = file.path
    .split(/[/.-]/)
    .find((word) => /^(utils?|helpers?|commons?|misc|managers?|stuff)$/i.test(word));
  return vague ? [`"${vague}" names no thing`] : [];
});

/** Work left open is an issue, or it is forgotten. */
export const openWork: Rule = eachFile((file) =>
  file.text
    .split("\n")
    .filter((line) => /\b(TODO|FIXME|XXX|HACK)\b/.test(line) && !/(#|issue )\d+/.test(line))
    .map((line) => `open work without an issue number: ${line.trim()}`),
);

/** A test that asserts nothing cannot fail. */
export const assertingTests: Rule = eachFile((file) => {
  if (!file.path.endsWith(".test.ts")) return [];
  return listTestBodies(file.text)
    .filter(({ asserts }) => !asserts)
    .map(({ name }) => `test "${name}" asserts nothing`);
});

/** The repository stands by itself: no path of one machine, no folder beside it. */
export const foreignPaths: Rule = eachFile((file) => {
  const isGuarded = file.path.endsWith(".test.ts") && /exists/i.test(file.text);
  const found = file.text.match(
    /(?<![\w.~])\/(?:work|home\/\w+|Users\/\w+|root)\/[\w./-]*|(?:\.\.\/)+shared\b[\w./-]*/g,
  );
  return (found ?? [])
    .filter((path) => !(isGuarded && path.startsWith("../")))
    .map((path) => `names ${path}, which exists on one machine only`);
});
