import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";
import { forgeParameter } from "./forged-checkpoint.fixture.ts";
import {
  checkpointsOf,
  type Done,
  lastLine,
  tinyModel,
  trainToEnd,
  writeBook,
} from "./training.fixture.ts";

const steps = 60;
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const home = folder.file("home");
let done: Done;

beforeAll(async () => {
  const words = [writeBook(folder), ...tinyModel, "--dropout", "0.1", "--micro-batches", "2"];
  done = await trainToEnd(home, [
    ...[...words, "--steps", String(steps), "--checkpoint-every", "10", "--threads", "2"],
  ]);
}, 120_000);

const replay = (words: readonly string[], where = home) =>
  runBinary(["replay", "latest", ...words, "--json"], { home: where });

let copies = 0;

/** A copy of the home with something done to its record. */
function changed(change: (database: Database, checkpoints: string) => void): string {
  const copy = folder.file(`changed-${++copies}`);
  cpSync(home, copy, { recursive: true });
  using database = new Database(join(copy, "node.db"));
  change(database, checkpointsOf(copy, done.run));
  return copy;
}

/** The gain of a normalization: a parameter that no input leaves out. */
function aGain(checkpoints: string, step: number): string {
  const path = join(checkpoints, `step-${String(step).padStart(6, "0")}`, "manifest.json");
  const { tensors } = JSON.parse(readFileSync(path, "utf8")) as { tensors: { name: string }[] };
  return tensors.find(({ name }) => /norm|ln_/i.test(name))!.name;
}

describe("T-10 replay", () => {
  test.each([["1..60"], ["1..1"], ["11..20"], ["37..44"], ["59..60"], ["60"], ["7..53"]])(
    "T-10 the stretch %s agrees bit for bit",
    async (stretch) => {
      for (const threads of ["1", "3"]) {
        const { status, stdout } = await replay(["--steps", stretch, "--threads", threads]);
        const [from, to = from] = stretch.split("..").map(Number);
        const report = lastLine(stdout);
        expect({ status, ...report }).toMatchObject({
          ...{ status: 0, from, to },
          comparedSteps: to! - from! + 1,
        });
        expect(Number(report["startedFrom"])).toBeLessThan(from!);
        const replayed = jsonLines(stdout).filter(({ type }) => type === "replayed");
        expect(replayed.map(({ step }) => step)).toEqual(
          Array.from({ length: to! - from! + 1 }, (_, index) => from! + index),
        );
        if (to === steps) expect(report["digest"]).toBe(done.digest);
      }
    },
  );

  test("T-10 without checkpoints a run is replayed from its seed", async () => {
    const bare = changed((_, checkpoints) => rmSync(checkpoints, { recursive: true }));
    const { status, stdout } = await replay(["--steps", "55..60"], bare);
    expect(status).toBe(0);
    expect(lastLine(stdout)).toMatchObject({ startedFrom: 0, digest: done.digest });
  });

  test.each([
    ["loss_bits", "loss"],
    ["gradient_norm_bits", "gradient norm"],
  ])("T-10 a record whose %s was changed is named with its step", async (column, what) => {
    const tampered = changed((database) => {
      const row = database
        .query(`SELECT ${column} AS bits FROM run_step WHERE step = 33`)
        .get() as { bits: string };
      const bits = (parseInt(row.bits, 16) ^ 1).toString(16).padStart(8, "0");
      database.run(`UPDATE run_step SET ${column} = ? WHERE step = 33`, [bits]);
    });
    const { status, stdout } = await replay(["--steps", "31..40"], tampered);
    const refusal = lastLine(stdout);
    expect({ status, refusal }).toMatchObject({
      ...{ status: 13, refusal: { code: "replay_differs", details: { step: 33, what } } },
    });
    expect(refusal["message"]).toContain("Step 33");
    expect((await replay(["--steps", "34..40"], tampered)).status).toBe(0);
  });

  test("T-10 a recorded state digest that was changed is named with its step", async () => {
    const tampered = changed((database) =>
      database.run("UPDATE run_checkpoint SET state_digest = ? WHERE step = 40", ["0".repeat(64)]),
    );
    const { status, stdout } = await replay(["--steps", "35..45"], tampered);
    expect({ status, refusal: lastLine(stdout) }).toMatchObject({
      ...{ status: 13, refusal: { code: "replay_differs", details: { step: 40, what: "state" } } },
    });
  });

  test("T-10 a forged checkpoint shows at the first step computed from it", async () => {
    const tampered = changed((_, checkpoints) =>
      // An element that every batch uses.
      forgeParameter(checkpoints, 50, aGain(checkpoints, 50), 0, 0x3f900000),
    );
    const { status, stdout } = await replay(["--steps", "51..60"], tampered);
    expect({ status, refusal: lastLine(stdout) }).toMatchObject({
      ...{ status: 13, refusal: { code: "replay_differs", details: { step: 51 } } },
    });
  });

  test.each([["0..5"], ["9..3"], ["five"], ["55..99"], ["1..999999999999999999"]])(
    "T-10 the stretch %s is refused",
    async (stretch) => {
      const { status, stdout } = await replay(["--steps", stretch]);
      expect(status).toBe(stretch === "55..99" ? 14 : 2);
      expect(lastLine(stdout)).toMatchObject({ type: "refusal" });
    },
  );
});
