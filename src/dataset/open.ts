import { digestJson, type Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { AdditionDataset } from "./addition.ts";
import { checkCorpus, digestSources, type Progress } from "./corpus.ts";
import type { Dataset, DatasetReference } from "./dataset.ts";
import { MANIFEST_NAME, parseManifest } from "./manifest.ts";
import { prepareDirectory, tokenFile } from "./prepare.ts";
import { listSources } from "./source.ts";
import { TextDataset } from "./text-dataset.ts";
import { readTokenFile } from "./token-file.ts";
import {
  checkChoice,
  loadTokenizer,
  makeTokenizer,
  reopenTokenizer,
  tokenizerRecipe,
  type TokenizerChoice,
} from "./tokenizer-choice.ts";

/** What a text dataset is made from. */
export interface TextDatasetOptions {
  readonly files: readonly string[];
  readonly tokenizer: TokenizerChoice;
  /**
   * Where the prepared dataset lives, or how that follows from the digest of its recipe; made when
   * absent, reused when it is of the same recipe.
   */
  readonly directory: string | ((recipe: Digest) => string);
  readonly disk: Disk;
  /** The field of JSONL records; `text` when absent. */
  readonly textField?: string;
  /** Thousandths of the text held out, 1 to 500; 100 when absent. */
  readonly validationPerMille?: number;
  /** Decides which documents are held out; 0 when absent. */
  readonly splitSeed?: number;
  readonly progress?: Progress;
}

/**
 * Opens a corpus of text, preparing its directory first unless that holds the same dataset already.
 * The manifest is written last, so a directory without one is unfinished and is made anew.
 * Refusals: `not_found`, `data_empty`, `data_binary`, `data_not_utf8`, `data_jsonl_invalid`,
 * `data_changed`, `tokenizer_invalid`, `usage`.
 */
export async function openTextDataset(options: TextDatasetOptions): Promise<TextDataset> {
  const { disk, textField = "text", validationPerMille = 100, splitSeed = 0 } = options;
  const { tokenizer: choice, progress } = options;
  checkChoice(choice);
  checkSplit(validationPerMille, splitSeed);
  const loaded = choice.kind === "loaded" ? await loadTokenizer(disk, choice.file) : null;
  const sources = await digestSources(disk, await listSources(disk, options.files), progress);
  const split = { validationPerMille, seed: splitSeed };
  const recipe = digestJson({
    // Counted up whenever the same sources would give other tokens than before.
    version: 1,
    sources: sources.map(({ name, format, sizeBytes, sha256 }) => ({
      name,
      format,
      sizeBytes,
      sha256,
    })),
    tokenizer: tokenizerRecipe(choice, loaded),
    textField,
    split,
  });
  const { directory: place } = options;
  const directory = typeof place === "string" ? place : place(recipe);
  await dropLink(disk, directory);
  const prepared = await reuse(disk, directory, recipe);
  if (prepared !== null) return prepared;
  const codePoints = choice.kind === "char";
  const corpus = await checkCorpus(disk, sources, { textField, split, codePoints }, progress);
  const tokenizer = loaded ?? (await makeTokenizer(disk, choice, corpus, textField, progress));
  await prepareDirectory({ disk, directory, corpus, tokenizer, textField, recipe, progress });
  return reopen(directory, disk);
}

/** Opens a prepared directory. Refusals: `not_found`, `dataset_damaged`. */
export async function reopen(directory: string, disk: Disk): Promise<TextDataset> {
  const path = `${directory}/${MANIFEST_NAME}`;
  if ((await disk.stat(path)) === null) {
    throw new Refusal(
      "not_found",
      `${directory} holds no prepared dataset`,
      "Start again from the text.",
      {
        file: path,
      },
    );
  }
  const manifest = parseManifest(await disk.readText(path), path);
  const tokenizer = await reopenTokenizer(disk, directory, manifest);
  const { counts, packing } = manifest;
  const read = (side: "train" | "validation") =>
    readTokenFile(disk, tokenFile(directory, side), counts[side], packing.tokenBytes);
  const [train, heldOut] = [await read("train"), await read("validation")];
  return new TextDataset(manifest, tokenizer, train, heldOut, { task: "text", directory });
}

/** Opens what a reference names, in any process. */
export async function reopenDataset(reference: DatasetReference, disk: Disk): Promise<Dataset> {
  return reference.task === "addition"
    ? new AdditionDataset(reference.digitCount)
    : reopen(reference.directory, disk);
}

function checkSplit(validationPerMille: number, splitSeed: number): void {
  const isWhole = Number.isInteger(validationPerMille);
  if (!isWhole || validationPerMille < 1 || validationPerMille > 500) {
    throw new Refusal(
      "usage",
      `the held-out share is ${validationPerMille} thousandths; it must be a whole number from 1 to 500`,
      "100 holds out a tenth.",
    );
  }
  if (!Number.isSafeInteger(splitSeed) || splitSeed < 0) {
    throw new Refusal(
      "usage",
      `the split seed ${splitSeed} is no whole number of 0 or more`,
      "Give one such as 0.",
    );
  }
}

/** The dataset in the directory when it is whole and of this recipe. */
/**
 * A link stands where a run of a mesh brought data that others prepared: its recipe is their word, so here the sources
 * at hand are prepared, and nothing is written through it.
 */
async function dropLink(disk: Disk, directory: string): Promise<void> {
  const isThere = (await disk.stat(directory)) !== null;
  if (isThere && (await disk.isLink?.(directory)) === true) await disk.remove(directory);
}

async function reuse(disk: Disk, directory: string, recipe: string): Promise<TextDataset | null> {
  try {
    const path = `${directory}/${MANIFEST_NAME}`;
    if ((await disk.stat(path)) === null) return null;
    if (parseManifest(await disk.readText(path), path).recipe !== recipe) return null;
    return await reopen(directory, disk);
  } catch (error) {
    // The sources are at hand, so a damaged directory is simply prepared again.
    if (error instanceof Refusal && error.code === "dataset_damaged") return null;
    throw error;
  }
}
