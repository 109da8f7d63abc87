import * as v from "valibot";
import { digestJson } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { splitNames } from "./pre-tokenizer.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const part = v.strictObject({
  documents: count,
  tokens: count,
  bytes: count,
  /** Of the token file. */
  sha256: digest,
});

/** What a prepared dataset is. Its digest stands for every token in it. */
const schema = v.strictObject({
  version: v.literal(1),
  sources: v.array(
    v.strictObject({ name: v.string(), sizeBytes: count, sha256: digest, documents: count }),
  ),
  textField: v.string(),
  tokenizer: v.strictObject({
    kind: v.picklist(["byte", "char", "bpe", "loaded"]),
    digest,
    vocabularySize: count,
    endOfText: v.nullable(count),
    characters: v.optional(v.string()),
    split: v.optional(v.picklist(splitNames)),
  }),
  split: v.strictObject({
    policy: v.picklist(["position", "document"]),
    validationPerMille: count,
    seed: count,
  }),
  packing: v.strictObject({
    /** Whether a token that ends a document stands after each. */
    endOfText: v.boolean(),
    /** Little-endian unsigned integers of this size. */
    tokenBytes: v.picklist([2, 4]),
  }),
  counts: v.strictObject({ train: part, validation: part }),
  /** Of what was asked for, to recognise that it is prepared already. */
  recipe: digest,
  /** Of all of the above. */
  digest,
});

export type Manifest = v.InferOutput<typeof schema>;

export const MANIFEST_NAME = "manifest.json";

/** Adds the digest of the rest. */
export function sealManifest(manifest: Omit<Manifest, "digest">): Manifest {
  return { ...manifest, digest: digestJson(manifest) };
}

/** Reads a manifest back. Refusals: `dataset_damaged` naming the path. */
export function parseManifest(text: string, path: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(path, "it is not JSON");
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw damaged(path, parsed.issues[0].message);
  const { digest: expected, ...rest } = parsed.output;
  if (digestJson(rest) !== expected) throw damaged(path, "its digest is not that of its content");
  return parsed.output;
}

/** A prepared file is not what the manifest says. */
export function damaged(path: string, reason: string): Refusal {
  return new Refusal(
    "dataset_damaged",
    `${path} of the prepared dataset cannot be used: ${reason}`,
    "Delete the dataset's directory and start again from the text; it is prepared anew.",
    { file: path, reason },
  );
}
