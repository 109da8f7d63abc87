/** The whole program with its real processes, killed at random moments. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = mkdtempSync(join(tmpdir(), "psionic-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const main = new URL("../node/main.ts", import.meta.url).pathname;
const book = join(root, "book.txt");
const tiny = [
  ...[book, "--name", "r", "--isa", "reference", "--layers", "1", "--width", "16", "--heads", "2"],
  ...["--context", "16", "--batch", "2", "--tokenizer", "char", "--seed", "3"],
  ...["--steps", "24", "--checkpoint-every", "4", "--evaluate-every", "1000"],
];

type Line = Record<string, unknown> & { readonly type: string };

interface Outcome {
  readonly lines: Line[];
  readonly status: number | null;
}

/** Runs a command line; `watch` sees each line as it comes and may kill. */
async function psionic(
  home: string,
  words: readonly string[],
  watch: (line: Line, kill: (signal: "SIGKILL" | "SIGINT") => void) => void = () => {},
): Promise<Outcome> {
  const child = Bun.spawn({
    cmd: [process.execPath, main, ...words, "--json", "--no-input"],
    env: { ...process.env, PSIONIC_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: Line[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const part of parts) {
      const line = JSON.parse(part) as Line;
      lines.push(line);
      watch(line, (signal) => child.kill(signal));
    }
  }
  await child.exited;
  return { lines, status: child.exitCode };
}

const last = ({ lines }: Outcome) => lines.at(-1)!;
const home = (name: string) => join(root, name);

let whole: Line;
beforeAll(async () => {
  writeFileSync(book, "the quick brown fox jumps over the lazy dog. ".repeat(60));
  const outcome = await psionic(home("whole"), ["train", ...tiny]);
  expect(outcome.status).toBe(0);
  whole = last(outcome);
}, 60_000);

test("T-6 the last line of a finished run says what scripts rely on", () => {
  expect(whole).toMatchObject({ type: "done", name: "r", steps: 24, percentOfPeak: null });
  for (const name of ["tokens", "loss", "valLoss", "bitsPerByte", "tokensPerSecond", "seconds"])
    expect(whole[name]).toBeNumber();
  expect(whole["digest"]).toMatch(/^[0-9a-f]{64}$/);
});

test("T-6 kill -9 of the trainer at random steps: another goes on, and the run ends in the same state", async () => {
  const victims = [3, 6 + Math.floor(Math.random() * 10)];
  let pid = 0;
  const outcome = await psionic(home("child"), ["train", ...tiny], (line) => {
    if (line.type === "started") pid = Number(line["trainerPid"]);
    if (line.type !== "step" || victims.length === 0 || Number(line["step"]) < victims[0]!) return;
    victims.shift();
    process.kill(pid, "SIGKILL");
  });
  expect(outcome.status).toBe(0);
  expect(outcome.lines.filter(({ type }) => type === "restart").length).toBeGreaterThanOrEqual(1);
  expect(last(outcome)["digest"]).toBe(whole["digest"]);
}, 60_000);

test("T-6 kill -9 of the parent at random steps, again and again: resumed, it ends in the same state", async () => {
  const place = home("parent");
  let words = ["train", ...tiny];
  for (let round = 0; round < 3; round++) {
    const victim = round * 6 + 2 + Math.floor(Math.random() * 6);
    const outcome = await psionic(place, words, (line, kill) => {
      if (line.type === "step" && Number(line["step"]) >= victim) kill("SIGKILL");
    });
    expect(outcome.status).not.toBe(0);
    words = ["train", "--resume", "r", "--isa", "reference"];
  }
  const resumed = await psionic(place, words);
  expect(resumed.status).toBe(0);
  expect(last(resumed)).toMatchObject({ type: "done", steps: 24, digest: whole["digest"] });
  const replayed = await psionic(place, ["replay", "r", "--steps", "5..9", "--isa", "reference"]);
  expect(replayed.status).toBe(0);
}, 90_000);

test("T-6 Ctrl-C writes a checkpoint, says how to go on, and ends with 130", async () => {
  const place = home("interrupt");
  const outcome = await psionic(place, ["train", ...tiny], (line, kill) => {
    if (line.type === "step" && line["step"] === 5) kill("SIGINT");
  });
  expect(outcome.status).toBe(130);
  const stopped = last(outcome);
  expect(stopped).toMatchObject({ type: "interrupted", resume: "psionic train --resume r" });
  const resumed = await psionic(place, ["train", "--resume", "r", "--isa", "reference"]);
  expect(resumed.lines.find(({ type }) => type === "started")).toMatchObject({
    step: stopped["steps"],
  });
  expect(last(resumed)["digest"]).toBe(whole["digest"]);
}, 60_000);

test("T-7 one changed bit in the newest checkpoint is named by digest, and resume passes over it", async () => {
  const place = home("whole");
  const run = String(whole["run"]);
  const path = join(place, "runs", run, "checkpoints", "step-000024", "model.safetensors");
  const bytes = new Uint8Array(await Bun.file(path).arrayBuffer());
  bytes[bytes.length - 3]! ^= 4;
  await Bun.write(path, bytes);
  const outcome = await psionic(place, ["digest", "r"]);
  expect(outcome.status).toBe(13);
  expect(last(outcome)).toMatchObject({ type: "refusal", code: "checkpoint_corrupt" });
  expect(String(last(outcome)["message"])).toMatch(/tensor .*, block 0/);
  const sampled = await psionic(place, [
    "sample",
    "r",
    "--prompt",
    "the ",
    "--tokens",
    "3",
    "--isa",
    "reference",
  ]);
  expect(sampled.status).toBe(0);
  expect(sampled.lines[0]).toMatchObject({ type: "model", step: 20 });
}, 60_000);

test("T-6 a second trainer on the same home is refused while the first one works", async () => {
  const place = home("two");
  let second: Promise<Outcome> | null = null;
  const first = await psionic(place, ["train", ...tiny], (line) => {
    if (line.type === "started") second ??= psionic(place, ["train", ...tiny]);
  });
  expect(first.status).toBe(0);
  expect((await second!).status).toBe(11);
  expect(last(await second!)).toMatchObject({ type: "refusal", code: "home_locked" });
}, 60_000);
