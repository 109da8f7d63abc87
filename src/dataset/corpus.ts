import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { readDocuments } from "./document.ts";
import { digestSource, noText, type Source } from "./source.ts";
import {
  characterStart,
  decideSplit,
  DocumentList,
  type SplitDecision,
  type SplitOptions,
} from "./split.ts";

/** A source with what the manifest records of it. */
export interface DigestedSource extends Source {
  readonly sha256: string;
}

/** Part of a document on one side of the split. */
export interface CorpusPiece {
  readonly side: "train" | "validation";
  readonly bytes: Uint8Array;
  /** True in the last piece that the document has on this side. */
  readonly last: boolean;
}

/** Told how far a pass over the sources is. */
export type Progress = (
  stage: "digest" | "check" | "tokenizer" | "encode",
  doneBytes: number,
  totalBytes: number,
) => void;

/** Digests of all sources, one after the other. */
export async function digestSources(
  disk: Disk,
  sources: readonly Source[],
  progress?: Progress,
): Promise<readonly DigestedSource[]> {
  const totalBytes = sources.reduce((total, source) => total + source.sizeBytes, 0);
  const digested: DigestedSource[] = [];
  let doneBytes = 0;
  for (const source of sources) {
    digested.push({ ...source, sha256: await digestSource(disk, source) });
    doneBytes += source.sizeBytes;
    progress?.("digest", doneBytes, totalBytes);
  }
  return digested;
}

/** What one reading of everything found. Making it checks every byte of the sources. */
export interface Corpus {
  readonly sources: readonly DigestedSource[];
  /** Documents of each source. */
  readonly documentCounts: readonly number[];
  readonly documentCount: number;
  readonly textBytes: number;
  readonly decision: SplitDecision;
  readonly codePoints: readonly number[];
}

/** Reads and checks everything once. Refusals: those of `readDocuments`, and `data_empty`. */
export async function checkCorpus(
  disk: Disk,
  sources: readonly DigestedSource[],
  options: {
    readonly textField: string;
    readonly split: SplitOptions;
    readonly codePoints: boolean;
  },
  progress?: Progress,
): Promise<Corpus> {
  const documents = new DocumentList();
  const seen = new Uint8Array(0x110000);
  const documentCounts: number[] = [];
  const totalBytes = sources.reduce((total, source) => total + source.sizeBytes, 0);
  let textBytes = 0;
  let doneBytes = 0;
  for (const source of sources) {
    const before = documents.count;
    let hash = new Bun.CryptoHasher("sha256");
    let sizeBytes = 0;
    const observe = (chunk: Uint8Array) =>
      progress?.("check", (doneBytes += chunk.length), totalBytes);
    for await (const piece of readDocuments(disk, source, {
      textField: options.textField,
      observe,
    })) {
      hash.update(piece.bytes);
      sizeBytes += piece.bytes.length;
      if (options.codePoints) noteCodePoints(piece.bytes, seen);
      if (!piece.last) continue;
      documents.add(new DataView(hash.digest().buffer).getUint32(0), sizeBytes);
      textBytes += sizeBytes;
      hash = new Bun.CryptoHasher("sha256");
      sizeBytes = 0;
    }
    documentCounts.push(documents.count - before);
  }
  if (documents.count === 0) throw noText(sources.map(({ name }) => name).join(", "));
  const codePoints: number[] = [];
  seen.forEach((mark, codePoint) => mark === 1 && codePoints.push(codePoint));
  return {
    sources,
    documentCounts,
    documentCount: documents.count,
    textBytes,
    decision: decideSplit(documents, options.split),
    codePoints,
  };
}

function noteCodePoints(bytes: Uint8Array, seen: Uint8Array): void {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  for (let index = 0; index < text.length; index++) {
    const codePoint = text.codePointAt(index)!;
    seen[codePoint] = 1;
    if (codePoint >= 0x10000) index++;
  }
}

/**
 * Reads everything again, each piece on its side of the split. Refusals: `data_changed` when a
 * file is no longer what was checked.
 */
export async function* readCorpus(
  disk: Disk,
  corpus: Corpus,
  options: { readonly textField: string; readonly observe?: (chunk: Uint8Array) => void },
): AsyncGenerator<CorpusPiece> {
  let document = 0;
  for (const [index, source] of corpus.sources.entries()) {
    const hash = new Bun.CryptoHasher("sha256");
    const observe = (chunk: Uint8Array) => {
      hash.update(chunk);
      options.observe?.(chunk);
    };
    const expectedCount = document + corpus.documentCounts[index]!;
    let position = 0;
    for await (const piece of readDocuments(disk, source, {
      textField: options.textField,
      observe,
    })) {
      if (document >= expectedCount) throw changed(source);
      const { bytes, last } = piece;
      // How much of this piece comes before the cut, which may lie in an earlier or a later one.
      const wanted = corpus.decision.trainingBytesOf(document) - position;
      const cut = characterStart(bytes, Math.min(bytes.length, Math.max(0, wanted)));
      const endsTraining = wanted > 0 && (last || wanted <= bytes.length);
      if (cut > 0 || (endsTraining && position > 0)) {
        yield { side: "train", bytes: bytes.subarray(0, cut), last: endsTraining };
      }
      if (cut < bytes.length) yield { side: "validation", bytes: bytes.subarray(cut), last };
      position += bytes.length;
      if (!last) continue;
      document++;
      position = 0;
    }
    if (hash.digest("hex") !== source.sha256) throw changed(source);
  }
}

function changed(source: Source): Refusal {
  return new Refusal(
    "data_changed",
    `${source.name} changed while it was read`,
    "Wait until nothing writes to the file any more, then run the command again.",
    { file: source.name },
  );
}
