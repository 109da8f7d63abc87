/** The data a `train` request names, opened: the built-in task, or text prepared once per content. */
import { digestJson } from "#src/codec/digest.ts";
import type { Event } from "#src/command/define.ts";
import { AdditionDataset } from "#src/dataset/addition.ts";
import { digestSources } from "#src/dataset/corpus.ts";
import type { Dataset } from "#src/dataset/dataset.ts";
import { openTextDataset } from "#src/dataset/open.ts";
import { listSources } from "#src/dataset/source.ts";
import type { TokenizerChoice } from "#src/dataset/tokenizer-choice.ts";
import type { Disk } from "#src/port/disk.ts";
import { additionRecipe, textDefaults } from "./recipes.ts";
import { sizeOf } from "./run-request.ts";
import type { TrainRequest } from "./train-parameters.ts";

/**
 * Opens the dataset of a request. Prepared text lies below `directory` under a name made from the
 * digests of its sources, so an edited file becomes another dataset and never changes an old run's.
 */
export async function openData(
  request: TrainRequest,
  disk: Disk,
  directory: string,
  emit: (event: Event) => void,
): Promise<Dataset> {
  if (request.files.length === 0) return new AdditionDataset(additionRecipe.digitCount);
  const tokenizer = tokenizerOf(request);
  const progress = (stage: string, doneBytes: number, totalBytes: number) =>
    emit({ type: "data", stage, doneBytes, totalBytes });
  const sources = await digestSources(disk, await listSources(disk, request.files));
  const options = {
    files: request.files,
    tokenizer,
    textField: request.textField ?? "text",
    validationPerMille: request.holdOut ?? 100,
  };
  const key = digestJson({
    sources: sources.map(({ name, sha256 }) => ({ name, sha256 })),
    tokenizer: tokenizer.kind === "loaded" ? await digestOfFile(disk, tokenizer.file) : tokenizer,
    textField: options.textField,
    validationPerMille: options.validationPerMille,
  });
  return openTextDataset({
    ...options,
    disk,
    directory: `${directory}/${key.slice(0, 16)}`,
    progress,
  });
}

async function digestOfFile(disk: Disk, file: string): Promise<unknown> {
  return { kind: "loaded", digest: digestJson(await disk.readText(file)) };
}

function tokenizerOf(request: TrainRequest): TokenizerChoice {
  const size = sizeOf(request);
  const defaults = textDefaults[size === "addition" ? "micro" : size];
  const wanted =
    request.tokenizer ?? (request.vocabulary === undefined ? defaults.tokenizer : "bpe");
  if (wanted === "byte" || wanted === "char") return { kind: wanted };
  if (wanted === "bpe")
    return {
      kind: "bpe",
      vocabularySize: request.vocabulary ?? defaults.vocabularySize,
      split: "gpt-2",
    };
  return { kind: "loaded", file: wanted };
}
