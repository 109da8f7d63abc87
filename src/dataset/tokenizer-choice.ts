import { digestBytes } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { BpeTokenizer } from "./bpe-tokenizer.ts";
import { trainMerges, WordCounts } from "./bpe-training.ts";
import { ByteTokenizer } from "./byte-tokenizer.ts";
import { CharTokenizer } from "./char-tokenizer.ts";
import { readCorpus, type Corpus, type Progress } from "./corpus.ts";
import { LoadedTokenizer } from "./loaded-tokenizer.ts";
import { damaged, type Manifest } from "./manifest.ts";
import type { SplitName } from "./pre-tokenizer.ts";
import { Segments } from "./segment.ts";
import type { Tokenizer, TokenizerDescription } from "./tokenizer.ts";

/** Which tokenizer a dataset uses. */
export type TokenizerChoice =
  | { readonly kind: "byte" | "char" }
  /** Learnt from the training part; `vocabularySize` counts the 256 bytes and the end of text. */
  | { readonly kind: "bpe"; readonly vocabularySize: number; readonly split: SplitName }
  /** A tokenizer.json; a tokenizer_config.json beside it is used too. */
  | { readonly kind: "loaded"; readonly file: string };

/** BPE learns from this much of the training part at most; more changes its merges hardly. */
const TRAINING_TEXT_BYTES = 64 << 20;
const VOCABULARY_MAXIMUM = 1 << 20;

/** Refusals: `usage` for a vocabulary out of bounds. */
export function checkChoice(choice: TokenizerChoice): void {
  if (choice.kind !== "bpe") return;
  const { vocabularySize } = choice;
  if (
    Number.isInteger(vocabularySize) &&
    vocabularySize >= 257 &&
    vocabularySize <= VOCABULARY_MAXIMUM
  )
    return;
  throw new Refusal(
    "usage",
    `a BPE vocabulary of ${vocabularySize} tokens is out of bounds: it has 257 to ${VOCABULARY_MAXIMUM}`,
    "512 to 8192 suit a small model, 32768 to 65536 a large one.",
  );
}

/** What of a choice decides the tokens: a loaded file by its content, not by its place. */
export function tokenizerRecipe(choice: TokenizerChoice, loaded: LoadedTokenizer | null): unknown {
  if (loaded === null) return choice;
  const { kind, digest, configuration } = loaded;
  return {
    kind,
    digest,
    configuration: configuration === null ? null : digestBytes(configuration),
  };
}

/** Reads a tokenizer.json and what stands beside it. Refusals: `not_found`, `tokenizer_invalid`. */
export async function loadTokenizer(disk: Disk, file: string): Promise<LoadedTokenizer> {
  if ((await disk.stat(file)) === null) {
    throw new Refusal("not_found", `${file} does not exist`, "Name a tokenizer.json.", { file });
  }
  const configuration = `${file.slice(0, file.lastIndexOf("/") + 1)}tokenizer_config.json`;
  const hasConfiguration = (await disk.stat(configuration)) !== null;
  return new LoadedTokenizer(
    await disk.readText(file),
    hasConfiguration ? await disk.readText(configuration) : null,
    file,
  );
}

/** Makes the tokenizer of a corpus. */
export async function makeTokenizer(
  disk: Disk,
  choice: TokenizerChoice,
  corpus: Corpus,
  textField: string,
  progress?: Progress,
): Promise<Tokenizer> {
  const endOfText = corpus.documentCount > 1;
  switch (choice.kind) {
    case "byte":
      return new ByteTokenizer({ endOfText });
    case "char":
      return CharTokenizer.ofCodePoints(corpus.codePoints, { endOfText });
    case "loaded":
      return loadTokenizer(disk, choice.file);
    case "bpe": {
      const words = await countWords(disk, choice.split, corpus, textField, progress);
      return new BpeTokenizer(choice.split, trainMerges(words, choice.vocabularySize - 1));
    }
  }
}

/** Only training text is looked at: the held-out part must not shape the vocabulary. */
async function countWords(
  disk: Disk,
  split: SplitName,
  corpus: Corpus,
  textField: string,
  progress?: Progress,
): Promise<WordCounts> {
  const words = new WordCounts(split);
  const segments = new Segments((text) => words.add(text));
  const totalBytes = Math.min(TRAINING_TEXT_BYTES, corpus.textBytes);
  let seenBytes = 0;
  for await (const piece of readCorpus(disk, corpus, { textField })) {
    if (piece.side !== "train") continue;
    await segments.add(piece.bytes, piece.last);
    seenBytes += piece.bytes.length;
    progress?.("tokenizer", Math.min(seenBytes, totalBytes), totalBytes);
    if (seenBytes >= TRAINING_TEXT_BYTES) break;
  }
  await segments.flush();
  return words;
}

/** The tokenizer of a prepared directory. Refusals: `dataset_damaged`. */
export async function reopenTokenizer(
  disk: Disk,
  directory: string,
  manifest: Manifest,
): Promise<Tokenizer> {
  const { tokenizer: description } = manifest;
  const path = `${directory}/tokenizer.json`;
  const tokenizer = await readTokenizer(disk, description, path);
  if (tokenizer?.digest !== description.digest) {
    throw damaged(path, "it is not the manifest's tokenizer");
  }
  return tokenizer;
}

async function readTokenizer(
  disk: Disk,
  description: TokenizerDescription,
  path: string,
): Promise<Tokenizer | null> {
  if (description.kind === "byte") {
    return new ByteTokenizer({ endOfText: description.endOfText !== null });
  }
  if (description.kind === "char") return CharTokenizer.fromDescription(description);
  if ((await disk.stat(path)) === null) throw damaged(path, "it is missing");
  if (description.kind === "bpe") return BpeTokenizer.fromFile(await disk.readText(path));
  try {
    return await loadTokenizer(disk, path);
  } catch (error) {
    if (error instanceof Refusal && error.code === "tokenizer_invalid")
      throw damaged(path, error.message);
    throw error;
  }
}
