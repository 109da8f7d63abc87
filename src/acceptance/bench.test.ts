import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";

interface Row {
  readonly type: string;
  readonly name: string;
  readonly threads: number;
  readonly gflops: number | null;
  readonly percentOfPeak: number | null;
  readonly tokensPerSecond: number | null;
  readonly gigabytesPerSecond: number | null;
}

test("bench measures peak, bandwidth, products and training with one thread and with all", async () => {
  using home = new TemporaryFolder();
  const words = ["bench", "peak", "copy", "gemm-c", "train-c", "--seconds", "0.05", "--json"];
  const { status, stdout } = await runBinary(words, { home: home.path });
  expect(status).toBe(0);
  const lines = jsonLines(stdout) as unknown as Row[];
  const rows = lines.filter(({ type }) => type === "row");
  const names = [
    "peak-fma",
    "copy-bandwidth",
    "gemm-c-forward",
    "gemm-c-input",
    "gemm-c-weight",
    "train-c",
  ];
  for (const threads of new Set([1, availableParallelism()])) {
    const measured = rows.filter((row) => row.threads === threads);
    expect(measured.map(({ name }) => name)).toEqual(names);
    for (const row of measured.filter(
      ({ name }) => name.startsWith("gemm") || name === "train-c",
    )) {
      expect(row.gflops).toBeGreaterThan(0.1);
      // No upper bound: on a busy machine the peak may be measured in a worse moment than the row.
      expect(row.percentOfPeak).toBeGreaterThan(0);
    }
    const training = measured.at(-1)!;
    // 6·N + 12·L·C·T of configuration (c), whose parameters without positions are 826,112.
    const flopsPerToken = 6 * 826_112 + 12 * 4 * 128 * 64;
    expect(training.gflops! / (training.tokensPerSecond! / 1e9)).toBeCloseTo(flopsPerToken, -3);
    expect(measured[1]!.gigabytesPerSecond).toBeGreaterThan(0.1);
  }
  expect(lines.at(-1)).toMatchObject({ type: "result", rows });
}, 60_000);

test("A-9 bench measures a call in the process and over the local socket of a daemon of its own", async () => {
  using home = new TemporaryFolder();
  const words = ["bench", "call", "--seconds", "0.05", "--threads", "1", "--json"];
  const { status, stdout } = await runBinary(words, { home: home.path });
  expect(status).toBe(0);
  const rows = jsonLines(stdout).filter(({ type }) => type === "row");
  expect(rows.map(({ name }) => name)).toEqual(["call-process", "call-socket"]);
  const [inside, socket] = rows.map(({ milliseconds }) => Number(milliseconds));
  expect(inside).toBeGreaterThan(0);
  expect(socket).toBeGreaterThan(inside!);
}, 60_000);

test("bench refuses rows there are none of", async () => {
  using home = new TemporaryFolder();
  const { status, stdout } = await runBinary(["bench", "nothing", "--json"], { home: home.path });
  expect(status).toBe(2);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ type: "refusal", code: "usage" });
}, 60_000);
