import { defineCommand } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "./trainings.ts";
import { trainResult } from "./run-results.ts";
import { trainParameters } from "./train-parameters.ts";
import { trainView } from "./train-view.ts";

defineCommand({
  name: "train",
  summary: "Train a model on your text, or on the built-in task when no file is given.",
  access: "owner",
  flow: "model",
  parameters: trainParameters,
  positional: ["files"],
  examples: ["psionic train book.txt", "psionic train", "psionic train --resume latest"],
  result: trainResult,
  place: "node",
  paths: ["files", { key: "tokenizer", words: ["byte", "char", "bpe"] }],
  run: (request, context) => context.services.trainings.train(request, context),
  view: trainView,
});
