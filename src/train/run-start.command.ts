import { defineCommand } from "#src/command/registry.ts";
import { namedRunResult } from "./run-results.ts";
import { trainParameters } from "./train-parameters.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "./trainings.ts";

defineCommand({
  name: "run/start",
  summary: "Start or resume a run in the daemon; it goes on when the caller is gone.",
  access: "owner",
  flow: "model",
  parameters: trainParameters,
  positional: ["files"],
  result: namedRunResult,
  examples: ["psionic run start book.txt", "psionic run start --resume book"],
  place: "daemon",
  paths: ["files", { key: "tokenizer", words: ["byte", "char", "bpe"] }],
  run: (request, { services, emit }) => services.trainings.start(request, emit),
  view: (screen) => ({
    result({ name, run }) {
      screen.print(`${name} (${run}) is training`);
      screen.note(`how it stands: psionic run status ${name}`);
    },
  }),
});
