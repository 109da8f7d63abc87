import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdditionDataset } from "#src/dataset/addition.ts";
import { recipes, type SizeName } from "#src/model/sizes.ts";
import { openData } from "#src/train/prepare-data.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { trainParameters } from "#src/train/train-parameters.ts";
import { perMillion } from "#src/window/bounds.ts";
import * as v from "valibot";
import { machineDisk } from "../disk.ts";
import { draftRunManifest } from "./manifest-draft.ts";
import {
  manifestFormat,
  manifestJsonSchema,
  parseRunManifest,
  readRunManifest,
  sections,
} from "./manifest-file.ts";
import { meshDefaults } from "./mesh-defaults.ts";
import { planMeshRun, type MeshPower, type MeshRequest } from "./mesh-plan.ts";

const folder = mkdtempSync(join(tmpdir(), "psionic-run-manifest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const book = join(folder, "book.txt");
beforeAll(() => writeFileSync(book, "the sea and the sky and the long road home. ".repeat(2_000)));

const power: MeshPower = { trainerCount: 4, flopsPerSecond: 1e10 };
const request = (words: Partial<MeshRequest>): MeshRequest => ({
  ...v.parse(trainParameters, {}),
  ...words,
});
const dataOf = (words: Partial<MeshRequest>) =>
  openData(request(words), machineDisk, join(folder, "datasets"), () => {});
const planOf = async (words: Partial<MeshRequest>, given = power) =>
  planMeshRun(request(words), await dataOf(words), given);

/** Every key of the draft said, the remarks among them too. */
const openedUp = (text: string) => text.replaceAll(/^# ([A-Za-z]+ = )/gm, "$1");

function refused(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("W-1 the manifest of a run", () => {
  test("W-1 what init writes is the run that flags alone would begin", async () => {
    for (const size of ["nano", "micro", "small"] as const) {
      const file = join(folder, `${size}.toml`);
      writeFileSync(file, draftRunManifest(size, ["book.txt"]));
      const read = await readRunManifest(file, machineDisk);
      expect(read.files).toEqual([book]);
      expect(await planOf(read)).toEqual(await planOf({ size, files: [book] }));
    }
  });

  test("W-1 every size has a draft, every key stands in it, and every value in it is allowed", () => {
    const keys = sections.flatMap(({ entries }) => Object.keys(entries)).toSorted();
    for (const size of Object.keys(recipes) as SizeName[]) {
      const read = parseRunManifest(openedUp(draftRunManifest(size, ["book.txt"])), "run.toml");
      expect(Object.keys(read).toSorted()).toEqual(keys);
    }
  });

  test("W-1 no line of a draft is wider than a screen of a hundred columns", () => {
    for (const line of draftRunManifest("micro", ["book.txt"]).split("\n"))
      expect({ line, isWide: line.length > 100 }).toEqual({ line, isWide: false });
  });

  test("W-1 a mistake is refused with its line, what it is and what to try", () => {
    const head = `format = "${manifestFormat}"\n`;
    const cases: readonly (readonly [string, number, string, string])[] = [
      [`${head}[windows]\nwindowStep = 3\n`, 3, "there is no windows.windowStep", "windowSteps"],
      [`${head}[window]\nwindowSteps = 3\n`, 2, "there is no window", "windows"],
      [`${head}[training]\nseed = 3\n`, 3, "there is no training.seed", "run.seed"],
      [`${head}[windows]\ncodec = "zip"\n`, 3, "codec", "--schema"],
      [`${head}[patience]\ntrainPatience = "2d"\n`, 3, "100ms to a day", "--schema"],
      [`${head}[windows]\nwindowSteps = 0\n`, 3, "windowSteps", "--schema"],
      [`${head}[run\n`, 2, "", "correct"],
      [`[run]\nseed = 1\n`, 1, "format", manifestFormat],
    ];
    for (const [text, line, reason, hint] of cases) {
      const refusal = refused(() => parseRunManifest(text, "run.toml"));
      expect(refusal.code).toBe("run_manifest_wrong");
      expect(refusal.message).toStartWith(`run.toml:${line}: `);
      expect(refusal.message).toContain(reason);
      expect(refusal.hint).toContain(hint);
    }
  });

  test("W-1 the schema for editors names every key with what it means", () => {
    const schema = JSON.stringify(manifestJsonSchema());
    for (const { name, entries } of sections)
      for (const key of [name, ...Object.keys(entries)]) expect(schema).toContain(`"${key}"`);
    expect(schema).toContain("local steps of a node between two revisions");
  });

  test("W-1 a file that is not there is named", async () => {
    const missing = await readRunManifest(join(folder, "none.toml"), machineDisk).catch(
      (error: unknown) => error,
    );
    expect(missing).toMatchObject({ code: "not_found" });
  });
});

describe("W-1 the plan of a run", () => {
  test("W-1 however many nodes, the run reads what one machine would read", async () => {
    for (const trainerCount of [1, 2, 3, 4, 16, 40]) {
      const { spec, document, tokens } = await planOf(
        { files: [book] },
        { ...power, trainerCount },
      );
      const { manifest } = document;
      const alone = recipes.micro.steps * recipes.micro.batchSize * 128;
      expect(manifest.batchSize).toBe(Math.max(1, Math.floor(16 / trainerCount)));
      expect(spec.slotTokens).toBe(manifest.batchSize * manifest.contextLength);
      expect(spec.scheduleSteps).toBe(recipes.micro.steps);
      expect(tokens).toBeGreaterThanOrEqual(alone);
      expect(tokens).toBeLessThan(alone + spec.slotTokens);
    }
  });

  test("W-1 a run has a sensible number of windows on slow machines and on fast ones", async () => {
    for (const flopsPerSecond of [1e8, 1e9, 1e10, 1e12, null])
      for (const trainerCount of [1, 4, 16]) {
        const { windowCount, spec } = await planOf(
          { files: [book] },
          { trainerCount, flopsPerSecond },
        );
        expect(windowCount).toBeGreaterThanOrEqual(meshDefaults.windowsLeast - 2);
        expect(windowCount).toBeLessThanOrEqual(meshDefaults.windowsMost + 15);
        const segments = Math.ceil(spec.windowSteps / spec.segmentSteps);
        expect(segments).toBeLessThanOrEqual(10);
        expect(spec.trainMs).toBeGreaterThanOrEqual(meshDefaults.trainLeastMs);
      }
  });

  test("W-10 more than half of the trainers must agree, and of two both", async () => {
    const quorumOf = async (trainerCount: number) =>
      (await planOf({ files: [book] }, { ...power, trainerCount })).spec.quorum;
    expect(await Promise.all([1, 2, 3, 4, 5, 30].map(quorumOf))).toEqual([1, 2, 2, 3, 3, 16]);
  });

  test("W-1 every word reaches the run", () => {
    const words: Partial<MeshRequest> = {
      ...{
        nodeBatch: 3,
        windowSteps: 20,
        segmentSteps: 5,
        ...({ codec: "top-k", pace: "even" } as const),
      },
      ...{
        carry: 0.9,
        outerRate: 0.5,
        outerMomentum: 0.8,
        participants: 9,
        validators: 2,
        replay: 0.5,
      },
      ...{ quorum: 4, strikes: 3, trainPatience: "3m", judgePatience: "20s" },
      ...{ mergePatience: "30s", silencePatience: "700ms" },
    };
    const { spec, document } = planMeshRun(request(words), new AdditionDataset(4), power);
    expect(document.manifest.batchSize).toBe(3);
    expect(document.outer).toEqual({ kind: "nesterov", rate: 0.5, momentum: 0.8 });
    expect(document.codec).toEqual({ name: "top-k", decayPerMille: 900 });
    expect(spec).toMatchObject({
      ...{ windowSteps: 20, segmentSteps: 5, codec: "top-k", pace: "even", participants: 9 },
      ...{ validators: 2, replayPerMillion: perMillion / 2, quorum: 4, strikes: 3 },
      ...{ trainMs: 180_000, judgeMs: 20_000, mergeMs: 30_000, silenceMs: 700 },
    });
  });

  test("W-1 words that contradict each other are refused", () => {
    const dataset = new AdditionDataset(4);
    const wrong: readonly Partial<MeshRequest>[] = [
      { windowSteps: 4, segmentSteps: 5 },
      { windowSteps: 1_000, segmentSteps: 1 },
      { quorum: 5, participants: 4 },
      { minutes: 3 },
    ];
    for (const words of wrong)
      expect(refused(() => planMeshRun(request(words), dataset, power)).code).toBe("usage");
    expect(
      planMeshRun(request({ windowSteps: 4, segmentSteps: 4 }), dataset, power).spec,
    ).toMatchObject({
      windowSteps: 4,
    });
  });
});
