import { expect, test } from "bun:test";
import * as v from "valibot";
import { specSchema } from "#src/window/event.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  makeRunDocument,
  openRunData,
  parseRunDocument,
  readRunDocument,
  runDocumentText,
  specOf,
  usualDecayPerMille,
  type WindowSettings,
  writeRunDocument,
} from "./run-document.ts";
import { pinnedPlan } from "./run-plan.ts";
import { dataset, MemoryDisk, tinyManifest } from "./train.fixture.ts";

const windows: WindowSettings = {
  ...{ slots: 5_200, windowSteps: 64, segmentSteps: 8, pace: "measured" as const },
  ...{ participants: 8, validators: 2, replayPerMillion: 250_000, quorum: 2, strikes: 3 },
  ...{ trainMs: 60_000, judgeMs: 30_000, mergeMs: 30_000, silenceMs: 10_000 },
};
const parts = {
  codec: { name: "top-k", decayPerMille: usualDecayPerMille["top-k"] },
  outer: { kind: "nesterov", rate: 0.7, momentum: 0.9 },
  windows,
} as const;
const document = makeRunDocument(tinyManifest(), parts);

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("W-1 the log's settings follow from the document, and are what the log takes", () => {
  const spec = specOf(document);
  expect(spec).toEqual({
    ...windows,
    ...{ seed: 7, slotTokens: 4 * 2 * 5, scheduleSteps: 20, codec: "top-k" },
  });
  expect(v.parse(specSchema, spec)).toEqual(spec);
});

test("W-1 a document that is written is read again, from the same bytes each time", async () => {
  const disk = new MemoryDisk();
  await writeRunDocument(disk, "run", document);
  expect(await readRunDocument(disk, "run")).toEqual(document);
  expect(await disk.readText("run/run.json")).toBe(runDocumentText(document));
  expect(parseRunDocument(runDocumentText(document))).toEqual(document);
});

test("W-1 a document that says something unknown, unfit or too much is refused by its field", () => {
  const changed = (change: object) => JSON.stringify({ ...document, ...change });
  for (const [text, what] of [
    ["{", "not JSON"],
    ["null", "Object"],
    [changed({ format: "psionic-run-document/2" }), "format"],
    [changed({ surplus: 1 }), "surplus"],
    [changed({ manifest: { ...document.manifest, seed: -1 } }), "manifest.seed"],
    [changed({ manifest: tinyManifest({ stepsOpen: true }) }), "manifest.stepsOpen"],
    [changed({ codec: { name: "dense", decayPerMille: 1 } }), "decayPerMille"],
    [changed({ outer: { kind: "nesterov", rate: 0 } }), "outer"],
    [changed({ windows: { ...windows, slots: 0 } }), "windows.slots"],
    [changed({ windows: { ...windows, segmentSteps: 0 } }), "windows.segmentSteps"],
    [changed({ windows: { ...windows, windowSteps: 65, segmentSteps: 1 } }), "segments"],
    [changed({ windows: { ...windows, quorum: 65 } }), "windows.quorum"],
    [changed({ windows: { ...windows, trainMs: 1 } }), "windows.trainMs"],
  ] as const) {
    const refusal = refusalOf(() => parseRunDocument(text));
    expect(refusal.code).toBe("run_document_wrong");
    expect(refusal.message).toContain(what);
  }
});

test("W-1 a document of no sensible size is not read at all", async () => {
  const disk = new MemoryDisk();
  await disk.publish("run/run.json", " ".repeat(256 * 1024 + 1));
  const refusal = await readRunDocument(disk, "run").catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "run_document_wrong" });
});

test("W-1 the data of a document is opened, and other data than it pins is refused", async () => {
  const disk = new MemoryDisk();
  const opened = await openRunData(disk, "run", document);
  expect(opened.manifestDigest).toBe(dataset.manifestDigest);
  const data = { ...document.manifest.data, digest: "0".repeat(64) };
  const other = makeRunDocument(tinyManifest({ data }), parts);
  const refusal = await openRunData(disk, "run", other).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "run_changed" });
});

test("W-1 a document of a model that cannot be is refused, and is no bug", () => {
  const withModel = (changes: object) => {
    const manifest = tinyManifest();
    const model = { ...manifest.model, ...changes };
    const read = parseRunDocument(
      JSON.stringify({ ...document, manifest: { ...manifest, model } }),
    );
    return refusalOf(() => pinnedPlan(read.manifest)).code;
  };
  for (const changes of [
    ...[{ heads: 3 }, { groups: 3 }, { style: "llama", headSize: 7 }, { headSize: 64 }],
    ...[{ layers: 1_000, width: 65_536 }],
  ])
    expect(withModel(changes)).toBe("model_invalid");
});

test("W-1 a document does not print on a terminal, name long places or huge numbers", () => {
  const withManifest = (changes: object) =>
    refusalOf(() =>
      parseRunDocument(
        JSON.stringify({ ...document, manifest: { ...tinyManifest(), ...changes } }),
      ),
    ).code;
  const { data } = tinyManifest();
  for (const changes of [
    ...[{ size: "\u001b[2J" }, { size: "x".repeat(65) }],
    { data: { ...data, reference: { task: "addition", digitCount: 8 } } },
    { data: { ...data, reference: { task: "text", directory: "../x" } } },
    { data: { ...data, reference: { task: "text", directory: "x".repeat(201) } } },
  ])
    expect(withManifest(changes)).toBe("run_document_wrong");
});
