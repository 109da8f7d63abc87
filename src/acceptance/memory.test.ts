import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { startBinary, TemporaryFolder } from "./binary.ts";
import { childrenOf, lastLine, liveLines, writeBook } from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const book = writeBook(folder);

/** Resident bytes of a process now; Linux only. */
function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))!;
  return Number(kilobytes) * 1024;
}

interface Measured {
  readonly plannedBytes: number;
  /** What a checkpoint holds while it is written, as announced. */
  readonly snapshotBytes: number;
  /** At every step reported from the third on, between checkpoints and while one is written. */
  readonly residentBytes: readonly number[];
}

/** Trains a few steps and looks at the trainer process at each. */
async function measure(name: string, model: readonly string[]): Promise<Measured> {
  const words = ["train", book, ...model, "--threads", "2", "--name", name, "--seed", "1"];
  const parent = await startBinary([...words, "--json", "--no-input"], folder.file("home"));
  let [plannedBytes, snapshotBytes] = [0, 0];
  const resident: number[] = [];
  let last: Record<string, unknown> = {};
  for await (const line of liveLines(parent.stdout)) {
    last = line;
    if (line["type"] === "plan")
      snapshotBytes = (line["memory"] as { snapshotBytes: number }).snapshotBytes;
    if (line["type"] === "started") plannedBytes = Number(line["plannedBytes"]);
    const [trainer] = childrenOf(parent.pid);
    if (line["type"] !== "step" || Number(line["step"]) < 3 || trainer === undefined) continue;
    resident.push(residentBytes(trainer));
  }
  await parent.exited;
  expect({ status: parent.exitCode, last: lastLine(JSON.stringify(last)) }).toMatchObject({
    ...{ status: 0, last: { type: "done" } },
  });
  return { plannedBytes, snapshotBytes, residentBytes: resident };
}

/** Room for the runtime itself, from a run whose model is next to nothing. */
async function measureRuntime(): Promise<number> {
  const small = ["--layers", "1", "--width", "8", "--heads", "1", "--context", "8"];
  const run = [...small, "--batch", "1", "--steps", "400", "--checkpoint-every", "1000"];
  const { plannedBytes, residentBytes } = await measure("runtime", run);
  expect(plannedBytes).toBeLessThan(4e6);
  return Math.max(...residentBytes);
}

const large = [
  ...["--layers", "4", "--width", "320", "--heads", "5", "--context", "128", "--batch", "8"],
  ...["--steps", "14", "--evaluate-every", "1000"],
];

describe.skipIf(process.platform !== "linux")("T-2 memory", () => {
  test("T-2 training stays within 10 % of the planned bytes plus the runtime", async () => {
    const runtimeBytes = await measureRuntime();
    const steady = await measure("steady", [...large, "--checkpoint-every", "1000"]);
    const { plannedBytes, residentBytes, snapshotBytes } = steady;
    expect(plannedBytes).toBeGreaterThan(100e6);
    expect(residentBytes.length).toBeGreaterThan(3);
    const most = Math.max(...residentBytes);
    expect(most).toBeLessThan(1.1 * plannedBytes + runtimeBytes);
    // Planned memory is used, not merely announced.
    expect(most).toBeGreaterThan(0.5 * plannedBytes);

    // A checkpoint every third step: one snapshot on top, never the garbage of earlier ones.
    const busy = await measure("busy", [...large, "--checkpoint-every", "3"]);
    expect(snapshotBytes).toBeGreaterThan(40e6);
    expect(Math.max(...busy.residentBytes)).toBeLessThan(
      1.1 * plannedBytes + runtimeBytes + snapshotBytes,
    );
  });
});
