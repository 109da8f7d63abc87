/**
 * What a checkpoint is: a directory `step-000200` with the parameters and the optimizer state as
 * safetensors, the block digests of every tensor, and a manifest that pins all of it. The manifest
 * holds no times or paths, so two machines that did the same work write the same bytes.
 */
import * as v from "valibot";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import type { SafetensorsTensor } from "#src/codec/safetensors.ts";
import type { Plan } from "#src/graph/plan.ts";
import { optimizerSchema } from "./optimizer.ts";
import { stateTensors, type StateTensor } from "./state-digest.ts";

export const modelFile = "model.safetensors";
export const optimizerFile = "optimizer.safetensors";
/** Block digests of all tensors in state order, 32 bytes each: they tell which block changed. */
export const blocksFile = "blocks.bin";
export const manifestFile = "manifest.json";
export const pointerFile = "latest.json";
/** Checkpoint directories under construction begin with this and are swept at the next start. */
export const temporaryPrefix = ".tmp-";
/** A checkpoint that gives way to one of the same step is called so while the two change places. */
export const displacedPrefix = `${temporaryPrefix}old-`;

const digestSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What the manifests of checkpoints and of revisions say of their files. */
export const contentEntries = {
  stateDigest: digestSchema,
  tensors: v.array(
    v.strictObject({ name: v.string(), shape: v.array(natural), root: digestSchema }),
  ),
  files: v.array(v.strictObject({ name: v.string(), sizeBytes: natural, sha256: digestSchema })),
};

export const checkpointManifestSchema = v.strictObject({
  format: v.literal("psionic-checkpoint/1"),
  run: v.string(),
  /** Completed steps. */
  step: natural,
  planDigest: digestSchema,
  lane: v.literal("exact/1"),
  /** Where in the data and the random sequence the next step begins. */
  data: v.strictObject({ digest: digestSchema, nextStep: natural, tokensRead: natural }),
  random: v.strictObject({ seed: natural, nextCounter: natural }),
  optimizer: optimizerSchema,
  ...contentEntries,
  /** Digest of the manifest of the checkpoint before this one in the run; null for the first. */
  parent: v.nullable(digestSchema),
  /** Digest of the canonical JSON of all of the above. */
  digest: digestSchema,
});

export type CheckpointManifest = v.InferOutput<typeof checkpointManifestSchema>;
export type UnsealedManifest = Omit<CheckpointManifest, "digest">;

export const pointerSchema = v.strictObject({
  directory: v.pipe(v.string(), v.regex(/^step-\d{6,}$/)),
  manifestDigest: digestSchema,
});

export function sealManifest(unsealed: UnsealedManifest): CheckpointManifest {
  return { ...unsealed, digest: digestJson(unsealed) };
}

/** The digest a manifest has to state: of all of it but that. */
export function manifestDigest(manifest: { readonly digest: Digest }): Digest {
  const { digest: _, ...unsealed } = manifest;
  return digestJson(unsealed);
}

/** `step-000200`: names sort as numbers do up to a million steps, and are parsed beyond. */
export function checkpointDirectory(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/** The step of a checkpoint directory's name, or null for any other name. */
export function checkpointStep(name: string): number | null {
  const match = /^step-(\d{6,})$/.exec(name);
  return match ? Number(match[1]) : null;
}

/** One safetensors file of a checkpoint: its name and the state tensors it holds, in order. */
export interface CheckpointPart {
  readonly file: string;
  readonly tensors: readonly StateTensor[];
}

export function checkpointParts(plan: Plan): CheckpointPart[] {
  const tensors = stateTensors(plan);
  const isParameter = (each: StateTensor) => each.tensor.space === "parameters";
  return [
    { file: modelFile, tensors: tensors.filter(isParameter) },
    { file: optimizerFile, tensors: tensors.filter((each) => !isParameter(each)) },
  ];
}

export function asSafetensors({ name, tensor }: StateTensor): SafetensorsTensor {
  return { name, type: "F32", shape: tensor.shape };
}
