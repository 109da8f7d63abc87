import * as v from "valibot";
import { canonicalText, digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { pathsFault } from "./artifact-path.ts";

export const artifactFormat = "psionic-artifact/1";

/**
 * Bytes of a chunk, the last of a file excepted. At 4 MiB what a request, a sync and a row cost is a
 * few per cent of moving the bytes, eight chunks in flight are 32 MiB of memory, and a pull that is
 * killed loses a few of them at most; a terabyte would still need a manifest of 17 MB.
 */
export const chunkBytesDefault = 4 * 1024 * 1024;
export const chunkBytesMinimum = 64 * 1024;
export const chunkBytesMaximum = 16 * 1024 * 1024;
/** Chunks of an artifact: 256 GiB at the default size, in a manifest below its own maximum. */
export const chunkCountMaximum = 65_536;
export const fileCountMaximum = 10_000;
export const manifestBytesMaximum = 8 * 1024 * 1024;
/** What a path of a folder may have. */
export const pathLengthMaximum = 1_024;
const sizeBytesMaximum = chunkCountMaximum * chunkBytesMaximum;

export const digestShape = /^[0-9a-f]{64}$/;
const digest = v.pipe(v.string(), v.regex(digestShape, "a digest has 64 hexadecimal digits"));
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(sizeBytesMaximum));
/** A media type as it stands in a header: type, slash, subtype. */
export const mediaTypeSchema = v.pipe(
  v.string(),
  v.maxLength(127),
  v.regex(/^[a-z0-9][a-z0-9.+-]*\/[a-z0-9][a-z0-9.+-]*$/, "a media type looks like text/plain"),
);
/** A name for people that travels with the artifact. Prints on one line. */
export const titleSchema = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(200),
  v.regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, "a title has no control characters"),
);

const shape = v.strictObject({
  format: v.literal(artifactFormat),
  mediaType: mediaTypeSchema,
  title: v.optional(titleSchema),
  sizeBytes: size,
  chunkBytes: v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(chunkBytesMinimum),
    v.maxValue(chunkBytesMaximum),
  ),
  /** What a folder holds, sorted by path; an artifact without it is one file. */
  files: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          path: v.pipe(v.string(), v.maxLength(pathLengthMaximum)),
          sizeBytes: size,
        }),
      ),
      v.maxLength(fileCountMaximum),
    ),
  ),
  /** In order; each file begins a chunk of its own. */
  chunks: v.pipe(v.array(digest), v.maxLength(chunkCountMaximum)),
});

export type ArtifactManifest = v.InferOutput<typeof shape>;

/** A manifest with the text it is named by. */
export interface NamedManifest {
  /** SHA-256 of the text: the artifact's name everywhere. */
  readonly digest: Digest;
  readonly text: string;
  readonly manifest: ArtifactManifest;
}

/** A chunk as a manifest speaks of it. */
export interface ChunkPlace {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Names a manifest this program made. Refused like one that was read, so that no other is ever made. */
export function nameManifest(manifest: ArtifactManifest): NamedManifest {
  return parseManifest(new TextEncoder().encode(canonicalText(manifest)));
}

/**
 * Reads a manifest and checks all of it: shape, maxima, paths, that the sizes give just these chunks
 * and that the text is the canonical one. Refused with `artifact_manifest_wrong`.
 */
export function parseManifest(bytes: Uint8Array): NamedManifest {
  if (bytes.byteLength > manifestBytesMaximum)
    throw manifestWrong(`it has ${bytes.byteLength} bytes; ${manifestBytesMaximum} at most`);
  const [text, value] = decode(bytes);
  const checked = v.safeParse(shape, value, { abortEarly: true });
  if (!checked.success) {
    const [issue] = checked.issues;
    throw manifestWrong(`${v.getDotPath(issue) ?? "it"}: ${issue.message}`);
  }
  const manifest = checked.output;
  const fault = faultOf(manifest);
  if (fault !== null) throw manifestWrong(fault);
  if (canonicalText(manifest) !== text) throw manifestWrong("its text is not the canonical one");
  return { digest: digestBytes(bytes), text, manifest };
}

function decode(bytes: Uint8Array): [text: string, value: unknown] {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return [text, JSON.parse(text)];
  } catch {
    throw manifestWrong("it is no JSON");
  }
}

/** What does not fit together, or null. */
function faultOf(manifest: ArtifactManifest): string | null {
  const { files, sizeBytes, chunks } = manifest;
  if (files !== undefined) {
    const fault = pathsFault(files.map(({ path }) => path));
    if (fault !== null) return fault;
    const sum = files.reduce((total, file) => total + file.sizeBytes, 0);
    if (sum !== sizeBytes) return `its files have ${sum} bytes, not ${sizeBytes}`;
  }
  const count = contentSizes(manifest).reduce(
    (total, each) => total + Math.ceil(each / manifest.chunkBytes),
    0,
  );
  if (count !== chunks.length) return `its sizes make ${count} chunks, not ${chunks.length}`;
  return conflictingChunk(manifest);
}

/** A digest that stands for chunks of two sizes cannot be true of both. */
function conflictingChunk(manifest: ArtifactManifest): string | null {
  const sizes = new Map<Digest, number>();
  for (const { digest: name, sizeBytes } of chunkPlaces(manifest)) {
    const known = sizes.get(name);
    if (known !== undefined && known !== sizeBytes) return `chunk ${name} has two sizes`;
    sizes.set(name, sizeBytes);
  }
  return null;
}

/** Sizes of the files in order; of an artifact that is one file, its own. */
export function contentSizes({ files, sizeBytes }: ArtifactManifest): readonly number[] {
  return files === undefined ? [sizeBytes] : files.map((file) => file.sizeBytes);
}

/** Every chunk in order with the size it must have; one that repeats stands as often as it does. */
export function chunkPlaces(manifest: ArtifactManifest): ChunkPlace[] {
  const { chunks, chunkBytes } = manifest;
  const places: ChunkPlace[] = [];
  for (const contentBytes of contentSizes(manifest))
    for (let offset = 0; offset < contentBytes; offset += chunkBytes)
      places.push({
        digest: chunks[places.length]!,
        sizeBytes: Math.min(chunkBytes, contentBytes - offset),
      });
  return places;
}

/** The chunks without repetition: what has to be stored. */
export function distinctChunks(manifest: ArtifactManifest): ChunkPlace[] {
  return [...new Map(chunkPlaces(manifest).map((place) => [place.digest, place])).values()];
}

function manifestWrong(fault: string): Refusal {
  return new Refusal(
    "artifact_manifest_wrong",
    `the manifest cannot be used: ${fault}`,
    "whoever made the artifact must make it again",
    { fault },
  );
}
