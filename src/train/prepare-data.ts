/** The data a `train` request names, opened: the built-in task, or text prepared once per content. */
import type { Event } from "#src/command/define.ts";
import { AdditionDataset } from "#src/dataset/addition.ts";
import type { Dataset } from "#src/dataset/dataset.ts";
import { openTextDataset } from "#src/dataset/open.ts";
import type { TokenizerChoice } from "#src/dataset/tokenizer-choice.ts";
import type { Disk } from "#src/port/disk.ts";
import { additionRecipe, textDefaults } from "./recipes.ts";
import { sizeOf } from "./run-request.ts";
import type { TrainRequest } from "./train-parameters.ts";

/**
 * Opens the dataset of a request. Prepared text lies below `directory` under a name made from the
 * digest of its recipe, so an edited file becomes another dataset and never changes an old run's.
 */
export async function openData(
  request: TrainRequest,
  disk: Disk,
  directory: string,
  emit: (event: Event) => void,
): Promise<Dataset> {
  if (request.files.length === 0) return new AdditionDataset(additionRecipe.digitCount);
  return openTextDataset({
    files: request.files,
    tokenizer: tokenizerOf(request),
    textField: request.textField ?? "text",
    validationPerMille: request.holdOut ?? 100,
    disk,
    directory: (recipe) => `${directory}/${recipe.slice(0, 16)}`,
    progress: (stage, doneBytes, totalBytes) =>
      emit({ type: "data", stage, doneBytes, totalBytes }),
  });
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
