import { expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, type Outcome, runBinary, type TemporaryFolder } from "./binary.ts";

/** Runs small enough for tests of the compiled executable, and what the tests ask about them. */

/** A model of a few thousand parameters; its steps take about a millisecond. */
export const tinyModel = [
  ...["--layers", "1", "--width", "32", "--heads", "2", "--context", "32", "--batch", "4"],
] as const;

/** A step of this one takes long enough that a test can meet it at work. */
export const slowModel = [
  ...["--layers", "2", "--width", "64", "--heads", "2", "--context", "64", "--batch", "8"],
] as const;

const words = [
  "the",
  "sea",
  "ship",
  "old",
  "man",
  "wind",
  "gold",
  "night",
  "and",
  "of",
  "a",
  "king",
];

/** A book of nonsense, the same every time: about 40 bytes a line. */
export function writeBook(folder: TemporaryFolder, lineCount = 400, name = "book.txt"): string {
  let state = 12_345;
  const next = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  const line = () => Array.from({ length: 9 }, () => words[next() % words.length]).join(" ");
  const path = folder.file(name);
  writeFileSync(path, Array.from({ length: lineCount }, () => `${line()}.\n`).join(""));
  return path;
}

export interface Done {
  readonly type: "done";
  readonly run: string;
  readonly name: string;
  readonly steps: number;
  readonly digest: string;
  readonly loss: number;
}

/** The last JSON line, whatever it is. */
export const lastLine = (stdout: string) => jsonLines(stdout).at(-1) ?? {};

/** The `done` line of a run that must have finished. */
export function doneOf({ stdout, stderr, status }: Outcome): Done {
  const last = lastLine(stdout);
  expect({ status, type: last["type"], stderr, message: last["message"] }).toMatchObject({
    status: 0,
    type: "done",
  });
  return last as unknown as Done;
}

/** Trains with --json to the end. */
export async function trainToEnd(home: string, extra: readonly string[]): Promise<Done> {
  return doneOf(await runBinary(["train", ...extra, "--json", "--no-input"], { home }));
}

/** The directory of a run's checkpoints. */
export const checkpointsOf = (home: string, run: string) => join(home, "runs", run, "checkpoints");

/** Children of a process by /proc; empty once it has ended. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.trim().split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Trainer processes of one home that are alive now, whoever their parent is. */
export function trainersOf(home: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (!words.includes("__trainer") || isZombie(name)) return [];
      const environment = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
      return environment.includes(`PSIONIC_HOME=${home}`) ? [Number(name)] : [];
    } catch {
      // It ended between the listing and the reading.
      return [];
    }
  });
}

const isZombie = (name: string) =>
  /^State:\s+Z/m.test(readFileSync(`/proc/${name}/status`, "utf8"));

/** JSON lines of a program that is still running, as they come. */
export async function* liveLines(
  stdout: ReadableStream<Uint8Array>,
): AsyncGenerator<Record<string, unknown>, void, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stdout) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") yield JSON.parse(line) as Record<string, unknown>;
  }
}
