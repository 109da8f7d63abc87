import type { Disk } from "#src/port/disk.ts";
import { readCorpus, type Corpus, type Progress } from "./corpus.ts";
import { MANIFEST_NAME, sealManifest, type Manifest } from "./manifest.ts";
import { Segments } from "./segment.ts";
import { tokenBytesFor, TokenFileWriter } from "./token-file.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What somebody trains on is theirs: nobody else of the machine reads it. */
const ownerOnly = 0o700;
const SIDES = ["train", "validation"] as const;

/** What a prepared directory is written from. */
export interface Preparation {
  readonly disk: Disk;
  readonly directory: string;
  readonly corpus: Corpus;
  readonly tokenizer: Tokenizer;
  readonly textField: string;
  readonly recipe: string;
  readonly progress?: Progress | undefined;
}

/** Where the tokens of one side of the split lie. */
export function tokenFile(directory: string, side: (typeof SIDES)[number]): string {
  return `${directory}/${side}.tokens`;
}

/** Writes token files, tokenizer and, last, the manifest. Refusals: `data_changed`. */
export async function prepareDirectory(preparation: Preparation): Promise<void> {
  const { disk, directory, corpus, tokenizer, textField, recipe } = preparation;
  await disk.makeDirectory(directory, ownerOnly);
  // Without a manifest the directory counts as unfinished while its files change.
  await disk.remove(`${directory}/${MANIFEST_NAME}`);
  const tokenBytes = tokenBytesFor(tokenizer.vocabularySize);
  const endOfText = tokenizer.endOfText !== null && corpus.documentCount > 1;
  const counts = await encodeCorpus(preparation, endOfText, tokenBytes);
  for (const { name, content } of tokenizer.files()) {
    await disk.publish(`${directory}/${name}`, content);
  }
  await disk.syncDirectory(directory);
  const manifest = sealManifest({
    version: 1,
    sources: corpus.sources.map(({ name, sizeBytes, sha256 }, index) => ({
      name,
      sizeBytes,
      sha256,
      documents: corpus.documentCounts[index]!,
    })),
    textField,
    tokenizer: tokenizer.describe(),
    split: corpus.decision.split,
    packing: { endOfText, tokenBytes },
    counts,
    recipe,
  });
  await disk.publish(`${directory}/${MANIFEST_NAME}`, `${JSON.stringify(manifest, null, 2)}\n`);
}

async function encodeCorpus(
  preparation: Preparation,
  endOfText: boolean,
  tokenBytes: 2 | 4,
): Promise<Manifest["counts"]> {
  const { disk, directory, corpus, tokenizer, textField, progress } = preparation;
  const totalBytes = corpus.sources.reduce((total, source) => total + source.sizeBytes, 0);
  let doneBytes = 0;
  const observe = (chunk: Uint8Array) =>
    progress?.("encode", (doneBytes += chunk.length), totalBytes);
  const open = async (side: (typeof SIDES)[number]) =>
    new SideWriter(
      await TokenFileWriter.create(disk, tokenFile(directory, side), tokenBytes),
      tokenizer,
      endOfText,
    );
  const sides = { train: await open("train"), validation: await open("validation") };
  try {
    for await (const { side, bytes, last } of readCorpus(disk, corpus, { textField, observe })) {
      await sides[side].add(bytes, last);
    }
    return { train: await sides.train.finish(), validation: await sides.validation.finish() };
  } catch (error) {
    for (const side of SIDES) await sides[side].writer.abandon().catch(() => {});
    throw error;
  }
}

/** One side of the split while it is written. */
class SideWriter {
  documents = 0;
  bytes = 0;
  readonly #segments: Segments;

  constructor(
    readonly writer: TokenFileWriter,
    readonly tokenizer: Tokenizer,
    readonly endOfText: boolean,
  ) {
    this.#segments = new Segments((text) => writer.add(tokenizer.encode(text)));
  }

  async add(bytes: Uint8Array, last: boolean): Promise<void> {
    this.bytes += bytes.length;
    // Bytes need no decoding, which makes large corpora quick.
    if (this.tokenizer.kind === "byte") await this.writer.add(bytes);
    else await this.#segments.add(bytes, last);
    if (!last) return;
    this.documents++;
    if (this.endOfText) await this.writer.add([this.tokenizer.endOfText!]);
  }

  async finish() {
    const sha256 = await this.writer.finish();
    return { documents: this.documents, tokens: this.writer.tokenCount, bytes: this.bytes, sha256 };
  }
}
