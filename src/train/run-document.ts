/**
 * What a run of several machines is, in full: the manifest of its training, how deltas travel, how they are
 * applied, and how the work is cut. It is `run.json` of the artifact that the mesh's log names; beside it,
 * where the run reads text, lies the prepared dataset as `data/`.
 */
import * as v from "valibot";
import type { Dataset } from "#src/dataset/dataset.ts";
import { reopenDataset } from "#src/dataset/open.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type CodecSettings, codecSettingsSchema, type deltaCodecNames } from "./delta/codec.ts";
import { outerSchema } from "./delta/outer.ts";
import { type RunManifest, runManifestSchema } from "./run-manifest.ts";

export const runDocumentFile = "run.json";
/** The folder with the prepared dataset of a run that reads text. */
export const runDataFolder = "data";

/** Characters of `run.json`; an honest one has a few thousand. */
const textMaximum = 256 * 1024;
/** Commitments of one contribution: what the rules of windows take. */
const segmentMaximum = 64;

const whole = (least: number, most: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));
const dayMs = 86_400_000;
const patience = whole(100, dayMs);

/** How the work is cut and judged: what of the log's settings the manifest does not decide. */
const windowSettings = v.strictObject({
  /** Local steps that the data is cut into, over all nodes. */
  slots: whole(1, 2 ** 40),
  /** Most local steps of a worker in a window, and those between two commitments. */
  windowSteps: whole(1, 65_536),
  segmentSteps: whole(1, 65_536),
  pace: v.picklist(["measured", "even"]),
  participants: whole(1, 64),
  validators: whole(0, 7),
  replayPerMillion: whole(0, 1_000_000),
  quorum: whole(1, 64),
  strikes: whole(1, 1_000),
  ...{ trainMs: patience, judgeMs: patience, mergeMs: patience, silenceMs: patience },
});
export type WindowSettings = v.InferOutput<typeof windowSettings>;

export const runDocumentSchema = v.pipe(
  v.strictObject({
    format: v.literal("psionic-run-document/1"),
    manifest: runManifestSchema,
    codec: codecSettingsSchema,
    outer: outerSchema,
    windows: windowSettings,
  }),
  v.check(
    ({ manifest }) => !manifest.stepsOpen,
    "manifest.stepsOpen: a run of several machines has its number of steps from the start",
  ),
  v.check(
    ({ windows: { windowSteps, segmentSteps } }) =>
      Math.ceil(windowSteps / segmentSteps) <= segmentMaximum,
    `windows.segmentSteps: a window has at most ${segmentMaximum} segments`,
  ),
);
export type RunDocument = v.InferOutput<typeof runDocumentSchema>;

/** What the log has to know of a run, in the shape the rules of windows take it. */
export interface DocumentSpec extends WindowSettings {
  readonly seed: number;
  readonly slotTokens: number;
  readonly scheduleSteps: number;
  readonly codec: CodecSettings["name"];
}

export function specOf({ manifest, codec, windows }: RunDocument): DocumentSpec {
  const { seed, batchSize, microBatches, contextLength, schedule } = manifest;
  return {
    ...windows,
    seed,
    slotTokens: batchSize * microBatches * contextLength,
    scheduleSteps: schedule.steps,
    codec: codec.name,
  };
}

/** How much of the residual each codec carries when nothing else is said; int8 loses too little to carry. */
export const usualDecayPerMille = { dense: 0, int8: 0, "top-k": 950 } as const satisfies Record<
  (typeof deltaCodecNames)[number],
  number
>;

/** Makes a document out of its parts. Refuses with `run_document_wrong` where they do not fit together. */
export function makeRunDocument(
  manifest: RunManifest,
  parts: Pick<RunDocument, "codec" | "outer" | "windows">,
): RunDocument {
  const { codec, outer, windows } = parts;
  return checked({ format: "psionic-run-document/1", manifest, codec, outer, windows });
}

/** The bytes of `run.json`: the same for the same document. */
export function runDocumentText(document: RunDocument): string {
  return `${JSON.stringify(document)}\n`;
}

/** Writes `run.json` into a directory. Refusals are the disk's. */
export async function writeRunDocument(
  disk: Disk,
  directory: string,
  document: RunDocument,
): Promise<void> {
  await disk.publish(`${directory}/${runDocumentFile}`, runDocumentText(checked(document)));
}

/** Reads `run.json` of a directory. Refuses with `not_found` and `run_document_wrong`. */
export async function readRunDocument(disk: Disk, directory: string): Promise<RunDocument> {
  const path = `${directory}/${runDocumentFile}`;
  const entry = await disk.stat(path);
  if (entry && entry.sizeBytes > textMaximum)
    throw wrong(`it has ${entry.sizeBytes} bytes; at most ${textMaximum} are read`);
  return parseRunDocument(await disk.readText(path));
}

/** Refuses with `run_document_wrong`. */
export function parseRunDocument(text: string): RunDocument {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw wrong("it is not JSON");
  }
  return checked(parsed);
}

/** Opens the data of a document in its directory. Refuses with `not_found`, `dataset_damaged`, `run_changed`. */
export async function openRunData(
  disk: Disk,
  directory: string,
  { manifest: { data } }: RunDocument,
): Promise<Dataset> {
  const { reference } = data;
  const place = { task: "text", directory: `${directory}/${runDataFolder}` } as const;
  const dataset = await reopenDataset(reference.task === "text" ? place : reference, disk);
  if (dataset.manifestDigest === data.digest) return dataset;
  throw new Refusal(
    "run_changed",
    "The data beside the run's document is not what its manifest pins.",
    "Fetch the run's artifact again from another holder.",
    { pinned: data.digest, found: dataset.manifestDigest },
  );
}

function checked(value: unknown): RunDocument {
  const parsed = v.safeParse(runDocumentSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue);
  throw wrong(path === null ? issue.message : `${path}: ${issue.message}`);
}

function wrong(what: string): Refusal {
  return new Refusal(
    "run_document_wrong",
    `Not the document of a run: ${what}.`,
    "Whoever began the run may have another version of psionic; use the same one on all nodes.",
    { what },
  );
}
