import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./build/sources.ts";
import { type FileResult, listTestFiles, runTestFiles } from "./testing/test-file.ts";

/**
 * Runs the tests, each file in a process of its own so that a crash in native code costs one file.
 *
 *   ./psionic test                  everything, the compiled executable included
 *   ./psionic test src/codec gate   files whose path contains one of the words
 *   ./psionic test --unit           without the black-box tests of src/acceptance
 *
 * The last line is `N passed, N failed` with `, N skipped` where tests were skipped. Whenever the
 * exit status is not 0, at least one failure is in that line.
 */
const startedMs = performance.now();
const slowSeconds = 5;

function finish(passed: number, failed: number, skipped: number): never {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`\ntook ${seconds} s`);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exit(failed > 0 ? 1 : 0);
}

/** Tests run against the libraries and the executable of the sources as they are now. */
async function build(kernelsOnly: boolean): Promise<boolean> {
  const command = [process.execPath, "build.ts", ...(kernelsOnly ? ["--kernels"] : [])];
  const child = Bun.spawn(command, { cwd: root, stdin: "ignore", stdout: 2, stderr: "inherit" });
  return (await child.exited) === 0;
}

const count = (result: FileResult, outcome: "passed" | "failed" | "skipped") =>
  result.cases.filter((each) => each.outcome === outcome).length;

function reportFile(result: FileResult): void {
  const mark = result.failedCount > 0 ? "FAIL" : "ok  ";
  const tests = `${result.cases.length} ${result.cases.length === 1 ? "test" : "tests"}`;
  if (result.firstOutput !== null) {
    console.log(`again ${result.path}: its first attempt failed`);
    console.log(result.firstOutput);
  }
  console.log(`${mark} ${result.path}  ${tests}, ${result.seconds.toFixed(1)} s`);
  if (result.failedCount > 0) {
    console.log(result.output);
    if (result.trouble !== null) console.log(`FAIL ${result.path} ${result.trouble}`);
  }
}

function reportSlow(results: readonly FileResult[]): void {
  const slow = results
    .flatMap(({ path, cases }) => cases.map((each) => ({ path, ...each })))
    .filter((each) => each.seconds >= slowSeconds)
    .sort((a, b) => b.seconds - a.seconds);
  if (slow.length > 0) console.log(`\ntests that took ${slowSeconds} s or more:`);
  for (const { path, name, seconds } of slow) {
    console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${path}  ${name}`);
  }
}

/** A test that passed only at its second attempt is a defect of the test or of the program. */
function reportUnsteady(results: readonly FileResult[]): void {
  const paths = results.filter((each) => each.firstOutput !== null).map((each) => each.path);
  if (paths.length > 0) console.log(`\nneeded a second attempt:\n  ${paths.join("\n  ")}`);
}

function reportByName(results: readonly FileResult[], outcome: "failed" | "skipped"): void {
  const lines = results.flatMap(({ path, cases, trouble }) => [
    ...cases.filter((each) => each.outcome === outcome).map((each) => `  ${path}  ${each.name}`),
    ...(outcome === "failed" && trouble !== null ? [`  ${path}  ${trouble}`] : []),
  ]);
  if (lines.length > 0) console.log(`\n${outcome}:\n${lines.join("\n")}`);
}

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  options: { unit: { type: "boolean", default: false } },
  allowPositionals: true,
});
const paths = listTestFiles(positionals).filter(
  (path) => !values.unit || !path.startsWith("src/acceptance/"),
);
if (paths.length === 0) {
  console.log(`FAIL no test file matches ${positionals.join(" ")}`);
  finish(0, 1, 0);
}
const blackBox = paths.some((path) => path.startsWith("src/acceptance/"));
if (!(await build(!blackBox))) {
  console.log("FAIL the build (see above)");
  finish(0, 1, 0);
}

const home = mkdtempSync(join(tmpdir(), "psionic-test-"));
const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => interruption.abort());
}
const results = await runTestFiles(paths, home, interruption.signal, reportFile);
rmSync(home, { recursive: true, force: true });

reportSlow(results);
reportUnsteady(results);
reportByName(results, "skipped");
reportByName(results, "failed");
const sum = (value: (result: FileResult) => number) =>
  results.reduce((total, result) => total + value(result), 0);
if (interruption.signal.aborted) console.log("FAIL interrupted before every file had run");
finish(
  sum((result) => count(result, "passed")),
  sum((result) => result.failedCount) + (interruption.signal.aborted ? 1 : 0),
  sum((result) => count(result, "skipped")),
);
