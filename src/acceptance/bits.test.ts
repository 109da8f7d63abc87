import { afterAll, describe, expect, test } from "bun:test";
import { availableLanes } from "#src/kernel/cpu/lane.ts";
import { armBinaryPath, maySkipArm, runUnderQemu, TemporaryFolder, whyNoArm } from "./binary.ts";
import { type Done, lastLine, tinyModel, trainToEnd, writeBook } from "./training.fixture.ts";

/** Two micro-batches and dropout, so that every source of order and chance is in the run. */
const chance = ["--micro-batches", "2", "--dropout", "0.1"];
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const home = folder.file("home");
const book = writeBook(folder);
const lanes = availableLanes();
const styles = ["gpt2", "llama", "qwen3"];

const expected = new Map<string, Promise<Done>>();

/** The run on this machine's best lane with one thread, computed once. */
function reference(words: readonly string[]): Promise<Done> {
  const key = words.join(" ");
  const known = expected.get(key);
  if (known) return known;
  const run = trainToEnd(home, [...words, "--isa", lanes[0]!, "--threads", "1"]);
  expected.set(key, run);
  return run;
}

describe.each(styles)("T-1 200 steps of a %s model have one digest", (style) => {
  const words = [book, ...tinyModel, ...chance, "--style", style, "--steps", "200"];
  const seven = [...words, "--seed", "7"];

  for (const lane of ["avx512", "avx2"] as const) {
    const lacking = lanes.includes(lane) ? "" : ` (this processor has no ${lane})`;
    test.skipIf(lacking !== "")(
      `T-1 ${style} on ${lane} with one, two and three threads${lacking}`,
      async () => {
        const { digest, steps } = await reference(seven);
        expect(steps).toBe(200);
        for (const threads of ["1", "2", "3"]) {
          const done = await trainToEnd(home, [...seven, "--isa", lane, "--threads", threads]);
          expect({ threads, digest: done.digest }).toEqual({ threads, digest });
        }
      },
    );
  }

  test(`T-1 ${style}: another seed gives another digest`, async () => {
    const { digest } = await reference(seven);
    expect((await reference([...words, "--seed", "8"])).digest).not.toBe(digest);
  });
});

/** Few steps of a smaller model for backends that take a second for what a vector lane does at once. */
const slowly = [
  ...["--layers", "1", "--width", "16", "--heads", "2", "--context", "16", "--batch", "2"],
  ...[...chance, "--steps", "6"],
];
const page = writeBook(folder, 40, "page.txt");

describe("T-1 other backends have the digest of this machine", () => {
  // Without a fused multiply-add in the processor the baseline lane computes it in software.
  test.each(styles)(
    "T-1 %s on the baseline lane with one, two and three threads",
    async (style) => {
      const words = [page, ...slowly, "--style", style];
      const { digest } = await reference(words);
      for (const threads of ["1", "2", "3"]) {
        const done = await trainToEnd(home, [...words, "--isa", "baseline", "--threads", threads]);
        expect({ threads, digest: done.digest }).toEqual({ threads, digest });
      }
    },
  );

  test.each(styles)("T-1 %s on the TypeScript reference", async (style) => {
    const words = [page, ...slowly, "--style", style];
    const done = await trainToEnd(home, [...words, "--isa", "reference"]);
    expect(done.digest).toBe((await reference(words)).digest);
  });

  // Emulation runs one program, not the children it starts, so the arm64 executable checks the
  // run by replaying it: every loss, every gradient norm and the final state.
  test.skipIf(maySkipArm())(
    `T-1 NEON: the arm64 executable replays runs of this machine (${whyNoArm() ?? "emulated"})`,
    async () => {
      const arm = await armBinaryPath();
      for (const style of styles) {
        const { run, digest } = await reference([page, ...slowly, "--style", style]);
        for (const threads of ["1", "2"]) {
          const words = ["replay", run, "--threads", threads, "--json", "--no-input"];
          const { status, stdout } = await runUnderQemu([arm, ...words], { home });
          expect({ style, threads, status, last: lastLine(stdout) }).toMatchObject({
            ...{ style, threads, status: 0 },
            last: { backend: "cpu/neon", comparedSteps: 6, digest },
          });
        }
      }
    },
  );
});
