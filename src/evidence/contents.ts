import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { contentSizes, parseManifest, type NamedManifest } from "#src/artifact/manifest.ts";
import { readPart, type Bundle } from "./bundle-reader.ts";
import { readHeader, type EvidenceHeader } from "./header.ts";
import { linkBroken, partName, type Part } from "./parts.ts";

/** An artifact in a bundle. */
export interface BundledArtifact {
  readonly named: NamedManifest;
  /** In the order of the manifest; one of an artifact that is a single file. */
  readonly files: readonly Part[];
}

/** What lies where in a bundle. */
export interface BundleContents {
  readonly bundle: Bundle;
  readonly header: EvidenceHeader;
  /** In the order of the run's events. */
  readonly records: readonly Part[];
  readonly artifacts: ReadonlyMap<Digest, BundledArtifact>;
}

/**
 * Sorts the parts of a bundle: the header first, events counted from 1, each artifact's manifest followed by just the
 * files it names, of the sizes it names, chunk by chunk what it says. Refused with `evidence_broken`.
 */
export async function readContents(bundle: Bundle, signal: AbortSignal): Promise<BundleContents> {
  const [first, ...rest] = bundle.parts;
  if (first?.kind !== "header") throw linkBroken("the header", "the bundle does not begin with it");
  const header = readHeader(await readPart(bundle, first));
  if (header.mesh !== bundle.footer.mesh || header.run !== bundle.footer.run)
    throw linkBroken("the header", "its last line is of another run");
  const records: Part[] = [];
  const artifacts = new Map<Digest, BundledArtifact>();
  for (let index = 0; index < rest.length;) {
    signal.throwIfAborted();
    const part = rest[index++]!;
    if (part.kind === "record") {
      records.push(part);
      if (part.name !== String(records.length))
        throw linkBroken(partName(part), `record ${records.length} was to stand here`);
    } else if (part.kind === "manifest") {
      const named = await readNamed(bundle, part);
      const files = rest.slice(index, index + contentSizes(named.manifest).length);
      index += files.length;
      await checkFiles(bundle, part, named, files);
      if (artifacts.has(named.digest)) throw linkBroken(partName(part), "it stands there twice");
      artifacts.set(named.digest, { named, files });
    } else throw linkBroken(partName(part), "nothing of its kind belongs here");
  }
  if (records.length !== header.records)
    throw linkBroken("the header", `there are ${records.length} records, not ${header.records}`);
  return { bundle, header, records, artifacts };
}

async function readNamed(bundle: Bundle, part: Part): Promise<NamedManifest> {
  const bytes = await readPart(bundle, part);
  if (digestBytes(bytes) !== part.name)
    throw linkBroken(partName(part), "it is the manifest of another artifact");
  return parseManifest(bytes);
}

async function checkFiles(
  bundle: Bundle,
  of: Part,
  { manifest }: NamedManifest,
  files: readonly Part[],
): Promise<void> {
  const sizes = contentSizes(manifest);
  let chunk = 0;
  for (const [index, sizeBytes] of sizes.entries()) {
    const path = manifest.files?.[index]?.path ?? "";
    const file = files[index];
    if (file?.kind !== "file" || file.name !== path || file.sizeBytes !== sizeBytes)
      throw linkBroken(partName(of), `its file ${path} does not follow it`, { path });
    for (let offset = 0; offset < sizeBytes; offset += manifest.chunkBytes) {
      const length = Math.min(manifest.chunkBytes, sizeBytes - offset);
      const bytes = await bundle.disk.readRange(bundle.path, file.offset + offset, length);
      if (digestBytes(bytes) !== manifest.chunks[chunk++])
        throw linkBroken(partName(file), `it is not what artifact ${of.name} holds`, { path });
    }
  }
}

/** The file of an artifact under a path, or null. */
export function fileOf(artifact: BundledArtifact, path: string): Part | null {
  return artifact.files.find(({ name }) => name === path) ?? null;
}

/** Pieces in which files are copied out of a bundle. */
const copyBytes = 4 * 1024 * 1024;

/** Copies a part into a file; what is there gives way. */
export async function copyOut(bundle: Bundle, part: Part, path: string): Promise<void> {
  const { disk } = bundle;
  const file = await disk.create(path);
  try {
    for (let offset = 0; offset < part.sizeBytes; offset += copyBytes) {
      const length = Math.min(copyBytes, part.sizeBytes - offset);
      await file.write(await disk.readRange(bundle.path, part.offset + offset, length));
    }
  } finally {
    await file.close();
  }
}

/** Copies an artifact that is a folder. */
export async function copyArtifact(
  bundle: Bundle,
  { files }: BundledArtifact,
  folder: string,
): Promise<void> {
  await bundle.disk.makeDirectory(folder);
  for (const file of files) {
    const end = file.name.lastIndexOf("/");
    if (end !== -1) await bundle.disk.makeDirectory(`${folder}/${file.name.slice(0, end)}`);
    await copyOut(bundle, file, `${folder}/${file.name}`);
  }
}
