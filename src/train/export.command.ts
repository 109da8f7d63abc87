import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { runParameter, stepParameter } from "./parameter-entries.ts";

defineCommand({
  name: "export",
  summary: "A run's model as a directory other programs load.",
  access: "owner",
  flow: "model",
  parameters: v.strictObject({
    run: runParameter,
    to: v.optional(v.pipe(v.picklist(["hf"]), v.description("hf: a Hugging Face directory")), "hf"),
    out: v.pipe(v.string(), v.description("directory to write")),
    step: stepParameter,
  }),
  positional: ["run"],
  result: v.strictObject({
    run: v.string(),
    name: v.string(),
    to: v.string(),
    directory: v.string(),
    step: v.number(),
  }),
  computes: true,
  paths: ["out"],
  examples: ["psionic export latest --to hf --out model"],
  async run({ run: wanted, to, out, step }, { services }) {
    const { RunStore } = await import("./run-store.ts");
    const { exportRun } = await import("./export-run.ts");
    const run = new RunStore(services.store).resolve(wanted);
    const exported = await exportRun(run, services, out, step);
    return { run: run.id, name: run.name, to, directory: out, step: exported.step };
  },
  view: (screen) => ({
    result({ name, directory, step }) {
      screen.print(directory);
      screen.note(`${name} after step ${step}, for Hugging Face's libraries`);
    },
  }),
});
