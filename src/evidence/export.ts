import type { Shelf } from "#src/artifact/shelf.ts";
import { chunkPlaces, contentSizes, type NamedManifest } from "#src/artifact/manifest.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RunRecord } from "#src/window/services.ts";
import { BundleWriter, contentOf, writeWhole, type PartContent } from "./bundle-writer.ts";
import { headerText, recordText, type EvidenceHeader } from "./header.ts";
import type { Exporter } from "./parts.ts";

/** What a bundle is made of, as the node that exports has it. */
export interface EvidenceSource {
  readonly mesh: string;
  /** All events of the run, from its creation on. */
  readonly records: readonly RunRecord[];
  /** By ascending node: everybody who may have signed. */
  readonly members: EvidenceHeader["members"];
  readonly shelf: Pick<Shelf, "manifest" | "blobs">;
  /** Brings an artifact here from other members. Refused where nobody has it. */
  fetch(artifact: Digest, from: readonly string[]): Promise<void>;
}

export interface WrittenEvidence {
  readonly sizeBytes: number;
  readonly parts: number;
  readonly records: number;
  readonly contributions: number;
  readonly missing: number;
  /** Of the container, which its last line signs. */
  readonly chain: Digest;
  /** Of the run's events. */
  readonly runChain: Digest;
}

/** An artifact of the run and who is asked for it first. */
interface Wanted {
  readonly artifact: Digest;
  readonly from: readonly string[];
  /** Without it there is no bundle. */
  readonly isNeeded: boolean;
}

/**
 * Writes the evidence of a run to a new file, which appears whole or not at all. What is not on this node's shelf is
 * fetched. Refused with `evidence_incomplete` where something that counted cannot be had.
 */
export async function writeEvidence(
  disk: Disk,
  path: string,
  source: EvidenceSource,
  exporter: Exporter,
  options: {
    readonly signal: AbortSignal;
    /** Without the files of the last revision a bundle is smaller and proves the same. */
    readonly hasRevision?: boolean;
    readonly onProgress?: (done: number, of: number) => void;
  },
): Promise<WrittenEvidence> {
  const created = creationOf(source);
  const wanted = wantedArtifacts(source.records, created.document, options.hasRevision ?? true);
  const found = await gather(source, wanted, options.signal);
  const last = source.records.at(-1)!;
  const header: EvidenceHeader = {
    format: "psionic-run-evidence/1",
    ...{ mesh: source.mesh, run: created.run, name: created.name, author: created.author },
    ...{ document: created.document, spec: created.spec },
    members: membersOf(source),
    ...{ records: source.records.length, chain: last.chain },
    missing: contributionsOf(source.records)
      .map(({ artifact }) => artifact)
      .filter((artifact, at, all) => !found.has(artifact) && all.indexOf(artifact) === at)
      .toSorted(),
  };
  return writeWhole(disk, path, async (file) => {
    const writer = new BundleWriter(file);
    await writer.begin();
    await writer.add("header", "", contentOf(headerText(header)));
    for (const [index, record] of source.records.entries())
      await writer.add("record", String(index + 1), contentOf(recordText(record)));
    let done = 0;
    for (const named of found.values()) {
      options.signal.throwIfAborted();
      await writer.add("manifest", named.digest, contentOf(named.text));
      for (const { path: name, content } of filesOf(source.shelf, named))
        await writer.add("file", name, content);
      options.onProgress?.(++done, found.size);
    }
    const chain = await writer.end(header, exporter);
    return {
      ...{ sizeBytes: writer.sizeBytes, parts: writer.parts, records: header.records, chain },
      contributions: contributionsOf(source.records).length,
      ...{ missing: header.missing.length, runChain: header.chain },
    };
  });
}

function creationOf({ records }: EvidenceSource) {
  const [first] = records;
  if (first?.command.kind === "run-created") return { ...first.command, author: first.author };
  throw new Refusal(
    "evidence_incomplete",
    "the beginning of the run is not among its events here",
    "export it on a member that was there from the start",
  );
}

/** Those of the members who did something in the run. */
function membersOf({ records, members }: EvidenceSource): EvidenceHeader["members"] {
  const authors = new Set(records.map(({ author }) => author));
  for (const { command } of records) if (command.kind === "run-stated") authors.add(command.node);
  const signed = members.filter(({ node }) => authors.has(node));
  for (const { node } of signed) authors.delete(node);
  if (authors.size === 0) return signed;
  throw new Refusal(
    "evidence_incomplete",
    `the keys of ${[...authors].join(", ")} are not known here`,
    "export it on a member that knows them",
    { nodes: [...authors] },
  );
}

interface Contributed {
  readonly node: string;
  readonly artifact: Digest;
}

function contributionsOf(records: readonly Pick<RunRecord, "command">[]): Contributed[] {
  return records.flatMap(({ command }) => {
    if (command.kind !== "run-stated" || command.statement.said.saying !== "contribution")
      return [];
    return [{ node: command.node, artifact: command.statement.said.artifact }];
  });
}

/** Contributions that became part of a revision. */
function countedArtifacts(records: readonly RunRecord[]): ReadonlySet<Digest> {
  const counted = new Set<Digest>();
  let given = new Map<string, Digest>();
  let accepted: readonly string[] = [];
  for (const { command, decided } of records) {
    if (command.kind === "window-opened") given = new Map();
    for (const { node, artifact } of contributionsOf([{ command }])) given.set(node, artifact);
    const said = decided as { readonly accepted?: readonly string[] };
    accepted = said.accepted ?? accepted;
    if (!isPromotion({ command, decided })) continue;
    for (const node of accepted) counted.add(given.get(node)!);
  }
  return counted;
}

function isPromotion({ command, decided }: Pick<RunRecord, "command" | "decided">): boolean {
  if (command.kind !== "run-stated" || command.statement.said.saying !== "revision") return false;
  return (decided as { readonly past?: unknown }).past !== undefined;
}

/** The revision that was promoted last, and who holds it; null before the first. */
function lastRevision(records: readonly RunRecord[]) {
  const promotion = records.findLast(isPromotion);
  if (promotion?.command.kind !== "run-stated") return null;
  const { said } = promotion.command.statement;
  if (said.saying !== "revision") return null;
  const { holders } = promotion.decided as { readonly holders?: readonly string[] };
  return { artifact: said.artifact, from: holders ?? [promotion.author] };
}

/** The document, every contribution, and the last revision that a quorum stated, each once. */
function wantedArtifacts(
  records: readonly RunRecord[],
  document: Digest,
  hasRevision: boolean,
): Wanted[] {
  const wanted = new Map<Digest, Wanted>();
  const want = (artifact: Digest, from: readonly string[], isNeeded: boolean) => {
    const known = wanted.get(artifact);
    wanted.set(artifact, {
      artifact,
      from: [...(known?.from ?? []), ...from],
      isNeeded: isNeeded || known?.isNeeded === true,
    });
  };
  want(document, [records[0]!.author], true);
  const counted = countedArtifacts(records);
  for (const { node, artifact } of contributionsOf(records))
    want(artifact, [node], counted.has(artifact));
  const last = lastRevision(records);
  if (last !== null && hasRevision) want(last.artifact, last.from, false);
  return [...wanted.values()];
}

/** Manifests of what is here or could be brought here. */
async function gather(
  { shelf, fetch }: EvidenceSource,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, NamedManifest>> {
  const found = new Map<Digest, NamedManifest>();
  for (const { artifact, from, isNeeded } of wanted) {
    signal.throwIfAborted();
    try {
      if (!(await isWhole(shelf, artifact))) await fetch(artifact, from);
      found.set(artifact, await shelf.manifest(artifact));
    } catch (error) {
      if (!(error instanceof Refusal) || signal.aborted) throw error;
      if (isNeeded)
        throw new Refusal(
          "evidence_incomplete",
          `artifact ${artifact} of the run cannot be had: ${error.message}`,
          "ask again once more members are there",
          { artifact, cause: error.code },
        );
    }
  }
  return found;
}

async function isWhole(shelf: EvidenceSource["shelf"], artifact: Digest): Promise<boolean> {
  try {
    const { manifest } = await shelf.manifest(artifact);
    const chunks = chunkPlaces(manifest).map((place) => ({ kind: "chunks", ...place }) as const);
    const here = await shelf.blobs.present(chunks);
    return chunks.every(({ digest }) => here.has(digest));
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

/** The files of an artifact as content of parts, read chunk by chunk. */
function filesOf(
  { blobs }: EvidenceSource["shelf"],
  { manifest }: NamedManifest,
): { readonly path: string; readonly content: PartContent }[] {
  const places = chunkPlaces(manifest);
  let next = 0;
  return contentSizes(manifest).map((sizeBytes, index) => {
    const count = Math.ceil(sizeBytes / manifest.chunkBytes);
    const chunks = places.slice(next, next + count);
    next += count;
    const content: PartContent = {
      sizeBytes,
      async *pieces() {
        for (const { digest } of chunks) yield await blobs.read("chunks", digest);
      },
    };
    return { path: manifest.files?.[index]?.path ?? "", content };
  });
}
