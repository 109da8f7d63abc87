import { describe, expect, test } from "bun:test";
import { roomImports } from "./imports.ts";
import { readRepository } from "./repository.ts";
import * as rules from "./rules.ts";
import type { SourceFile } from "./source-file.ts";

const repository = readRepository();
const typescript = repository.filter(({ path }) =>
  /^(src|scripts)\/.*\.tsx?$|^build\.ts$/.test(path),
);
const inSource = typescript.filter(({ path }) => path.startsWith("src/"));
// This room spells out what it forbids.
const elsewhere = (files: readonly SourceFile[]) =>
  files.filter(({ path }) => !path.startsWith("src/tidy/"));

const shown = (violations: readonly rules.Violation[]) =>
  violations.map(({ path, message }) => `${path}: ${message}`);

describe("the repository", () => {
  const checks: readonly [string, rules.Rule, readonly SourceFile[]][] = [
    ["imports go one way", rules.importDirection, inSource],
    ["no file imports itself through others", rules.fileCycles, inSource],
    ["the outside world is met at the edge", rules.outsideWorld, inSource],
    ["digested results use exact functions", rules.exactArithmetic, inSource],
    ["every command file is registered", rules.registeredCommands, inSource],
    ["files are short, or long for a reason", rules.fileLength, typescript],
    ["names mean something", rules.meaninglessNames, repository],
    ["open work has an issue", rules.openWork, elsewhere(repository)],
    ["every test asserts", rules.assertingTests, elsewhere(inSource)],
    ["nothing names one machine's paths", rules.foreignPaths, elsewhere(repository)],
  ];
  test.each(checks)("%s", (_, rule, files) => {
    expect(files.length).toBeGreaterThan(0);
    expect(shown(rule(files))).toEqual([]);
  });

  test("the table of rooms has no cycle", () => {
    const table: Readonly<Record<string, readonly string[]>> = roomImports;
    const reaches = (from: string, to: string): boolean =>
      (table[from] ?? []).some((next) => next === to || reaches(next, to));
    // A room that is imported comes before the room that imports it, so reaching back is a cycle.
    const order = Object.keys(table);
    for (const [position, room] of order.entries()) {
      const below = order.slice(0, position);
      expect((table[room] ?? []).filter((target) => !below.includes(target))).toEqual([]);
    }
    expect(order.filter((room) => reaches(room, room))).toEqual([]);
  });

  test("long files are pointed out", () => {
    for (const line of shown(rules.longFile(typescript))) console.warn(`worth splitting? ${line}`);
    expect(rules.longFile([lines("src/codec/a.ts", 401)])).toHaveLength(1);
    expect(rules.longFile([lines("src/codec/a.ts", 400)])).toEqual([]);
  });
});

const file = (path: string, text: string): SourceFile => ({ path, text });
const lines = (path: string, count: number) => file(path, "// line\n".repeat(count));

describe("a violation is found", () => {
  test("importing upwards, also for a type alone", () => {
    const upwards = [
      `import { run } from "#src/train/run.ts"; run();`,
      `import type { Run } from "#src/train/run.ts"; export type Alias = Run;`,
      `import { type Run } from "#src/train/run.ts"; export type Alias = Run;`,
      `export * from "#src/train/run.ts";`,
      `export type { Run } from "#src/train/run.ts";`,
      `import type Run from "#src/train/run.ts"; export type Alias = Run;`,
      `const run = await import("#src/train/run.ts"); run;`,
    ];
    for (const text of upwards) {
      expect(shown(rules.importDirection([file("src/graph/plan.ts", text)]))).toEqual([
        "src/graph/plan.ts: room graph may not import room train (#src/train/run.ts)",
      ]);
    }
  });

  test("importing downwards, in tests, in strings and comments is fine", () => {
    const text = `import { plan } from "#src/graph/plan.ts"; plan();`;
    expect(rules.importDirection([file("src/train/run.ts", text)])).toEqual([]);
    expect(rules.importDirection([file("src/kernel/run.test.ts", text)])).toEqual([]);
    const words = `// import { a } from "#src/train/run.ts";\nexport const text = 'import "#src/train/run.ts"';`;
    expect(rules.importDirection([file("src/graph/plan.ts", words)])).toEqual([]);
  });

  test("a room outside the table, and the wrong form of an import", () => {
    const room = file("src/cloud/a.ts", "");
    expect(shown(rules.importDirection([room]))[0]).toContain("room cloud is not in");
    const relative = file("src/train/a.ts", `import "../graph/plan.ts";`);
    expect(shown(rules.importDirection([relative]))[0]).toContain("leaves the room");
    const own = file("src/train/a.ts", `import "#src/train/b.ts";`);
    expect(shown(rules.importDirection([own]))[0]).toContain("import ./ instead");
  });

  test("a cycle of files, through types too", () => {
    const cycle = [
      file("src/codec/a.ts", `import type { B } from "./b.ts"; export type A = B;`),
      file("src/codec/b.ts", `export { C } from "./c.ts";`),
      file("src/codec/c.ts", `import { A } from "./a.ts"; A;`),
    ];
    expect(shown(rules.fileCycles(cycle))).toEqual([
      "src/codec/a.ts: imports itself: src/codec/a.ts → src/codec/b.ts → src/codec/c.ts → src/codec/a.ts",
    ]);
    expect(rules.fileCycles(cycle.slice(0, 2))).toEqual([]);
  });

  test.each([
    ["Date.now()", "Date.now"],
    ["new Date()", "new Date()"],
    ["new Date", "new Date()"],
    ["performance.now()", "performance"],
    ["Math.random()", "Math.random"],
    ["setTimeout(() => {}, 1)", "setTimeout"],
    ["process.env.HOME", "process"],
    ["await fetch(`x`)", "fetch"],
    ["Bun.file(`x`)", "Bun.file"],
    ["crypto.randomUUID()", "crypto.randomUUID"],
    [`import { readFileSync } from "node:fs"`, "fs"],
    [`import { dlopen } from "bun:ffi"`, "bun:ffi"],
    [`import { Database } from "bun:sqlite"`, "bun:sqlite"],
  ])("reaching outside: %s", (text, name) => {
    const violations = shown(rules.outsideWorld([file("src/model/a.ts", `${text};`)]));
    expect(violations).toEqual([`src/model/a.ts: ${name} reaches outside: use a port (src/port)`]);
  });

  test("the same words without the global are fine, as is the edge", () => {
    const innocent = `// Date.now()
      export const text = "Math.random() process";
      export const at = (clock: { now(): number }, process: number) => clock.now() + process;
      export const date = (ms: number) => new Date(ms);
      export type Fetch = typeof fetch;`;
    expect(rules.outsideWorld([file("src/model/a.ts", innocent)])).toEqual([]);
    expect(rules.outsideWorld([file("src/node/clock.ts", "export const a = Date.now();")])).toEqual(
      [],
    );
    expect(rules.outsideWorld([file("src/model/a.test.ts", "Date.now();")])).toEqual([]);
  });

  test("another room's reserved module", () => {
    const ffi = file("src/node/a.ts", `import { dlopen } from "bun:ffi"; dlopen;`);
    expect(shown(rules.outsideWorld([ffi]))).toEqual([
      "src/node/a.ts: only another room may import bun:ffi",
    ]);
    expect(rules.outsideWorld([{ ...ffi, path: "src/kernel/a.ts" }])).toEqual([]);
    const table = file("src/surface/a.ts", `import { Database } from "bun:sqlite"; Database;`);
    expect(rules.outsideWorld([table])).toHaveLength(1);
  });

  test("an inexact function where bits count", () => {
    const cosine = `export const f = (x: number) => Math.cos(x) * Math.sqrt(x);`;
    expect(shown(rules.exactArithmetic([file("src/train/a.ts", cosine)]))).toEqual([
      "src/train/a.ts: Math.cos may differ in its last bits between machines",
    ]);
    expect(rules.exactArithmetic([file("src/surface/a.ts", cosine)])).toEqual([]);
  });

  test("a command nobody imports", () => {
    const command = file("src/train/train.command.ts", "export default 1;");
    const list = file("src/node/commands.ts", `import "#src/train/train.command.ts";`);
    expect(rules.registeredCommands([command])).toHaveLength(1);
    expect(rules.registeredCommands([command, file(list.path, "")])).toHaveLength(1);
    expect(rules.registeredCommands([command, list])).toEqual([]);
  });

  test("a file of more than 700 lines", () => {
    expect(rules.fileLength([lines("src/codec/a.ts", 701)])).toHaveLength(1);
    expect(rules.fileLength([lines("src/codec/a.ts", 700)])).toEqual([]);
  });

  test("a vague name", () => {
    const vague = ["src/utils/a.ts", "src/codec/helpers.ts", "src/node/run-manager.ts"];
    expect(rules.meaninglessNames(vague.map((path) => file(path, "")))).toHaveLength(3);
    expect(rules.meaninglessNames([file("src/codec/merkle.ts", "")])).toEqual([]);
  });

  test("open work without an issue", () => {
    expect(rules.openWork([file("a.ts", "// TODO faster")])).toHaveLength(1);
    expect(rules.openWork([file("a.ts", "// TODO(#12) faster")])).toEqual([]);
  });

  test("a test that asserts nothing", () => {
    const empty = `import { test } from "bun:test"; test("empty", () => { const a = ")"; a; });`;
    expect(shown(rules.assertingTests([file("src/codec/a.test.ts", empty)]))).toEqual([
      'src/codec/a.test.ts: test "empty" asserts nothing',
    ]);
    const named = `
      function compare(a, b) {
        if (a) { a(); }
        expect(a).toBe(b);
      }
      const compareAll = (list) => list.forEach((each) => compare(each, each));
      function idle() {
        return 1;
      }
      test("through a function", () => { compareAll([1]); });
      test("says expect", () => { idle(); });`;
    expect(shown(rules.assertingTests([file("src/codec/a.test.ts", named)]))).toEqual([
      'src/codec/a.test.ts: test "says expect" asserts nothing',
    ]);
    const mixed = `
      test.each([[1]])("each", (value) => { value; });
      test("asserts", () => { expect(1).toBe(1); });
      test("in words", () => expectRefusal("usage", () => {}));
      // test("comment", () => {});`;
    expect(shown(rules.assertingTests([file("src/codec/a.test.ts", mixed)]))).toEqual([
      'src/codec/a.test.ts: test "each" asserts nothing',
    ]);
  });

  test("a path of one machine", () => {
    const work = file("docs/a.md", "see /work/main/src and `../shared/data/x.txt`");
    expect(rules.foreignPaths([work])).toHaveLength(2);
    const guarded = `if (existsSync("../shared/data/x.txt")) read();`;
    expect(rules.foreignPaths([file("src/a/a.test.ts", guarded)])).toEqual([]);
    expect(rules.foreignPaths([file("src/a/a.ts", guarded)])).toHaveLength(1);
    expect(rules.foreignPaths([file("docs/a.md", "homework/main and ~/.psionic")])).toEqual([]);
  });
});
