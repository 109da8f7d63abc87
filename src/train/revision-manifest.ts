/**
 * What a revision is on the disk: a directory as a checkpoint's, with the parameters and the outer optimizer's
 * momentum. Its manifest holds no times, paths or names of nodes, so all who make a revision write the
 * same bytes, and it is one artifact wherever it comes from.
 */
import * as v from "valibot";
import { digestJson } from "#src/codec/digest.ts";
import { checkpointManifestSchema, contentEntries } from "./checkpoint.ts";

export const momentumFile = "momentum.safetensors";

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const revisionManifestSchema = v.strictObject({
  format: v.literal("psionic-revision/1"),
  run: v.string(),
  /** The revision's number; 0 is the seed's. Called so because it stands where a checkpoint has its step. */
  step: natural,
  planDigest: digest,
  lane: v.literal("exact/1"),
  ...contentEntries,
  /** State digest of the revision it was made of; null for number 0. */
  parent: v.nullable(digest),
  /** Digest of the canonical JSON of all of the above. */
  digest,
});
export type RevisionManifest = v.InferOutput<typeof revisionManifestSchema>;

/** Either kind of manifest: both can be asked for their parameters. */
export const storedManifestSchema = v.variant("format", [
  checkpointManifestSchema,
  revisionManifestSchema,
]);
export type StoredManifest = v.InferOutput<typeof storedManifestSchema>;

export function sealRevision(unsealed: Omit<RevisionManifest, "digest">): RevisionManifest {
  return { ...unsealed, digest: digestJson(unsealed) };
}
