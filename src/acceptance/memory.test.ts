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
  /** At every step reported from the third on, between checkpoints and while one is written. */
  readonly residentBytes: readonly number[];
}

/** Trains a few steps and looks at the trainer process at each. */
async function measure(name: string, model: readonly string[]): Promise<Measured> {
  const words = ["train", book, ...model, "--threads", "2", "--name", name, "--seed", "1"];
  const parent = await startBinary([...words, "--json", "--no-input"], folder.file("home"));
  let plannedBytes = 0;
  const resident: number[] = [];
  let last: Record<string, unknown> = {};
  for await (const line of liveLines(parent.stdout)) {
    last = line;
    if (line["type"] === "started") plannedBytes = Number(line["plannedBytes"]);
    const [trainer] = childrenOf(parent.pid);
    if (line["type"] !== "step" || Number(line["step"]) < 3 || trainer === undefined) continue;
    resident.push(residentBytes(trainer));
  }
  await parent.exited;
  expect({ status: parent.exitCode, last: lastLine(JSON.stringify(last)) }).toMatchObject({
    ...{ status: 0, last: { type: "done" } },
  });
  return { plannedBytes, residentBytes: resident };
}

describe.skipIf(process.platform !== "linux")("T-2 memory", () => {
  test("T-2 training stays within 10 % of the planned bytes plus the runtime", async () => {
    const small = ["--layers", "1", "--width", "8", "--heads", "1", "--context", "8"];
    const smallRun = [...small, "--batch", "1", "--steps", "400", "--checkpoint-every", "1000"];
    const runtime = await measure("runtime", smallRun);
    expect(runtime.plannedBytes).toBeLessThan(4e6);
    const runtimeBytes = Math.max(...runtime.residentBytes);

    const large = ["--layers", "4", "--width", "320", "--heads", "5", "--context", "128"];
    const largeRun = [...large, "--batch", "8", "--steps", "14", "--evaluate-every", "1000"];
    const { plannedBytes, residentBytes } = await measure("large", [
      ...[...largeRun, "--checkpoint-every", "1000"],
    ]);
    expect(plannedBytes).toBeGreaterThan(100e6);
    expect(residentBytes.length).toBeGreaterThan(3);
    const most = Math.max(...residentBytes);
    console.log(`planned ${plannedBytes}, runtime ${runtimeBytes}, most ${most}`);
    expect(most).toBeLessThan(1.1 * plannedBytes + runtimeBytes);
    // Planned memory is used, not merely announced.
    expect(most).toBeGreaterThan(0.5 * plannedBytes);
  });
});
