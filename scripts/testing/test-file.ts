import { existsSync, mkdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { root } from "../build/sources.ts";
import { readReport, type TestCase } from "./junit.ts";

/** What one test file came to. A file that could not report counts as one failed test. */
export interface FileResult {
  readonly path: string;
  readonly cases: readonly TestCase[];
  readonly seconds: number;
  readonly failedCount: number;
  /** Why the file failed when no test of it says so: a load error, a crash, a hang. */
  readonly trouble: string | null;
  readonly output: string;
  /** What a first attempt printed that failed, where this one is the second. */
  readonly firstOutput: string | null;
}

/** A single test may take this long before Bun gives up on it, unless it names its own limit. */
const testTimeoutMs = 120_000;
const fileTimeoutMs = 15 * 60_000;

/** These rooms compute on every core or measure time, so their files run one at a time. */
const aloneRooms = /^src\/(acceptance|graph|kernel|model|train|validate)\//;

export function listTestFiles(filters: readonly string[]): string[] {
  const paths = [...new Bun.Glob("src/**/*.test.ts").scanSync({ cwd: root })].sort();
  if (filters.length === 0) return paths;
  const wanted = filters.map((filter) => filter.replace(/^\.\//, ""));
  return paths.filter((path) => wanted.some((filter) => path.includes(filter)));
}

export async function runTestFile(
  path: string,
  home: string,
  signal: AbortSignal,
): Promise<FileResult> {
  const reportPath = join(root, ".build/reports", `${path.replaceAll("/", "-")}.xml`);
  mkdirSync(join(root, ".build/reports"), { recursive: true });
  rmSync(reportPath, { force: true });
  const startedMs = performance.now();
  const child = Bun.spawn(
    [
      ...[process.execPath, "test", `./${path}`, "--only-failures", `--timeout=${testTimeoutMs}`],
      ...["--reporter=junit", `--reporter-outfile=${reportPath}`],
    ],
    {
      cwd: root,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      // No test may touch the node home of the person who runs it.
      env: { ...process.env, PSIONIC_HOME: home, FORCE_COLOR: "0", NO_COLOR: "1" },
      timeout: fileTimeoutMs,
      killSignal: "SIGKILL",
      signal,
    },
  );
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const status = await child.exited;
  // A test that ends the process, even with status 0, leaves no report.
  const isReported = existsSync(reportPath);
  const cases = isReported ? readReport(await Bun.file(reportPath).text()) : [];
  const failedTests = cases.filter((each) => each.outcome === "failed").length;
  const isTold = failedTests > 0 || (status === 0 && isReported);
  const trouble = isTold ? null : explainEnd(status, child.signalCode);
  return {
    path,
    cases,
    seconds: (performance.now() - startedMs) / 1000,
    failedCount: failedTests + (trouble === null ? 0 : 1),
    trouble,
    output: `${error}${out}`.trimEnd(),
    firstOutput: null,
  };
}

/**
 * Black-box tests wait for processes, sockets and a browser on a machine that others use too. One that fails is
 * run once more, alone; that it was needed is told and counted, so that nobody takes it for a pass like others.
 */
const againRoom = /^src\/acceptance\//;

async function runWithSecondAttempt(
  path: string,
  home: string,
  signal: AbortSignal,
): Promise<FileResult> {
  const first = await runTestFile(path, home, signal);
  if (first.failedCount === 0 || !againRoom.test(path) || signal.aborted) return first;
  const second = await runTestFile(path, home, signal);
  const trouble = first.trouble === null ? "" : `\n${first.trouble}`;
  return { ...second, firstOutput: `${first.output}${trouble}` };
}

function explainEnd(status: number, signal: string | number | null): string {
  if (signal) return `ended by ${signal}`;
  return `ended with status ${status} and no failed test: it did not load, or ended outside one`;
}

/** Runs files as many at a time as there are cores, those of `aloneRooms` by themselves. */
export async function runTestFiles(
  paths: readonly string[],
  home: string,
  signal: AbortSignal,
  report: (result: FileResult) => void,
): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const runQueue = async (queue: string[]) => {
    for (let path = queue.shift(); path !== undefined && !signal.aborted; path = queue.shift()) {
      const result = await runWithSecondAttempt(path, home, signal);
      results.push(result);
      report(result);
    }
  };
  const shared = paths.filter((path) => !aloneRooms.test(path));
  const alone = paths.filter((path) => aloneRooms.test(path));
  await Promise.all(Array.from({ length: availableParallelism() }, () => runQueue(shared)));
  await runQueue(alone);
  return results;
}
