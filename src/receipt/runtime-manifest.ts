import * as v from "valibot";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * What a process really runs (I-3). Two digests are taken of it: one over what changes
 * execution, one over everything. What may change without changing a result stands under
 * `mutable` and is recorded but has no part in identity.
 */

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "must be a SHA-256 digest"));
const digests = v.record(v.string(), digest);
/** JSON without floats: what enters a digest of the intent flow is text, integer or truth. */
const scalar = v.union([
  v.string(),
  v.boolean(),
  v.null(),
  v.pipe(v.number(), v.safeInteger("must be an integer; give fractions as text")),
]);

export const runtimeManifestSchema = v.strictObject({
  type: v.literal("runtime-manifest"),
  version: v.literal(1),
  execution: v.strictObject({
    /** The executable: its version and the digest of what it was built from. */
    binary: v.strictObject({
      version: v.string(),
      buildDigest: v.string(),
    }),
    /** What computes: the backend, and what its kernels were made with. */
    backend: v.strictObject({
      name: v.string(),
      /** `avx512`, `avx2`, `neon`, `baseline`, `reference`. */
      lane: v.string(),
      compiler: v.string(),
      kernelLibraries: digests,
      /** The numeric specification the results obey: `exact/1`. */
      numericSpecification: v.string(),
    }),
    /** Facts of the selected device. */
    device: v.record(v.string(), scalar),
    /** Images and packages the process stands in, by digest. */
    environmentReferences: digests,
    /** What it works on, by digest: model, tokenizer, data, plan. */
    artifactBindings: digests,
    /** Configuration fixed for the life of the process. */
    staticConfiguration: v.record(v.string(), scalar),
    /** What the process claims to prove about itself. */
    claimsProfile: v.string(),
  }),
  mutable: v.strictObject({
    environmentVariables: v.record(v.string(), v.string()),
    /** Settings that may change while it runs: threads, intervals, verbosity. */
    knobs: v.record(v.string(), scalar),
  }),
});

export type RuntimeManifest = v.InferOutput<typeof runtimeManifestSchema>;

/** Digest over what changes execution: two equal ones must compute equal bits. */
export function identityDigestOf(manifest: RuntimeManifest): Digest {
  const { type, version, execution } = manifest;
  return digestJson({ type, version, execution });
}

/** Digest over the whole manifest, mutable variables included. */
export function manifestDigestOf(manifest: RuntimeManifest): Digest {
  return digestJson(manifest);
}

/** A manifest read from outside. Refused with `manifest_wrong` naming the path. */
export function parseRuntimeManifest(value: unknown): RuntimeManifest {
  const parsed = v.safeParse(runtimeManifestSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "";
  throw new Refusal(
    "manifest_wrong",
    `the runtime manifest is not understood at ${path || "its root"}: ${issue.message}`,
    "use a manifest this version of psionic wrote",
    { path },
  );
}
