import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root, start, TemporaryFolder } from "./binary.ts";

/** Runs scripts/test.ts of a copy whose tests are the files given; its build does nothing. */
async function runTests(files: Readonly<Record<string, string>>, words: readonly string[] = []) {
  using folder = new TemporaryFolder();
  cpSync(join(root, "scripts"), join(folder.path, "scripts"), { recursive: true });
  for (const [path, text] of Object.entries({ "build.ts": "", ...files })) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  }
  const command = [process.execPath, join(folder.path, "scripts/test.ts"), ...words];
  const child = start(command, folder.path, { cwd: folder.path });
  const [output] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const status = await child.exited;
  return { status, output, lastLine: output.trimEnd().split("\n").at(-1) };
}

const imports = `import { expect, test } from "bun:test";\n`;
const passing = `${imports}test("holds", () => expect(1).toBe(1));`;

describe("./psionic test", () => {
  test("counts what passed, failed and was skipped in its last line", async () => {
    const { status, output, lastLine } = await runTests({
      "src/a/one.test.ts": passing,
      "src/b/two.test.ts": `${imports}
        test("says <why> & how", () => expect(1).toBe(2));
        test.skip("later", () => expect(1).toBe(2));`,
    });
    expect({ status, lastLine }).toEqual({ status: 1, lastLine: "1 passed, 1 failed, 1 skipped" });
    expect(output).toContain("failed:\n  src/b/two.test.ts  says <why> & how");
    expect(output).toContain("skipped:\n  src/b/two.test.ts  later");
    expect(output).toContain("took ");
  });

  test("names nothing skipped when nothing was, and honours path filters", async () => {
    const files = {
      "src/a/one.test.ts": passing,
      "src/b/two.test.ts": `${imports}test("fails", () => expect(1).toBe(2));`,
    };
    const { status, lastLine } = await runTests(files, ["src/a"]);
    expect({ status, lastLine }).toEqual({ status: 0, lastLine: "1 passed, 0 failed" });
  });

  test.each([
    ["a file that does not load", `import "./absent.ts"; ${passing}`],
    [
      "a crash in native code",
      `${imports}test("dies", () => { process.kill(process.pid, 11); expect(1).toBe(1); });`,
    ],
    [
      "an exit in the middle",
      `${imports}test("leaves", () => { process.exit(3); expect(1).toBe(1); });`,
    ],
    [
      "an exit with status 0",
      `${imports}test("leaves", () => { process.exit(0); expect(1).toBe(1); });`,
    ],
    [
      "an error after the tests",
      `${imports}import { afterAll } from "bun:test"; afterAll(() => { throw new Error("late"); });\ntest("holds", () => expect(1).toBe(1));`,
    ],
  ])("%s is at least one failure, and the other files still count", async (_, text) => {
    const { status, lastLine } = await runTests({
      "src/a/bad.test.ts": text,
      "src/b/good.test.ts": passing,
    });
    expect(status).toBe(1);
    expect(lastLine).toMatch(/^[12] passed, 1 failed$/);
  });

  test("a filter that matches nothing and a build that fails are failures", async () => {
    const none = await runTests({ "src/a/one.test.ts": passing }, ["src/absent"]);
    expect(none).toMatchObject({ status: 1, lastLine: "0 passed, 1 failed" });
    const unbuilt = await runTests({
      "src/a/one.test.ts": passing,
      "build.ts": "process.exit(15)",
    });
    expect(unbuilt).toMatchObject({ status: 1, lastLine: "0 passed, 1 failed" });
  });

  test("tests do not see the node home of the person who runs them", async () => {
    const { status } = await runTests({
      "src/a/one.test.ts": `${imports}test("home", () => expect(process.env["PSIONIC_HOME"]).toContain("psionic-test-"));`,
    });
    expect(status).toBe(0);
  });
});
