import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { runParameter, stepParameter } from "#src/train/parameter-entries.ts";

defineCommand({
  name: "digest",
  summary: "The digest of a run's state, checked block by block, tensor by tensor.",
  access: "member",
  flow: "proof",
  parameters: v.strictObject({
    run: runParameter,
    step: stepParameter,
    tensors: v.optional(v.pipe(v.boolean(), v.description("list every tensor's root")), false),
  }),
  positional: ["run"],
  result: v.strictObject({
    type: v.literal("digest"),
    run: v.string(),
    name: v.string(),
    step: v.number(),
    digest: v.string(),
    tensors: v.optional(
      v.array(v.strictObject({ name: v.string(), shape: v.array(v.number()), root: v.string() })),
    ),
  }),
  computes: true,
  examples: ["psionic digest latest", "psionic digest latest --tensors"],
  async run({ run: wanted, step, tensors }, { services }) {
    const { RunStore } = await import("#src/train/run-store.ts");
    const { digestRun } = await import("./digest-run.ts");
    const runs = new RunStore(services.store);
    const run = runs.resolve(wanted);
    const state = await digestRun(run, runs, services, step);
    return {
      type: "digest" as const,
      run: run.id,
      name: run.name,
      step: state.step,
      digest: state.digest,
      ...(tensors
        ? { tensors: state.tensors.map((each) => ({ ...each, shape: [...each.shape] })) }
        : {}),
    };
  },
  view: (screen) => ({
    result({ digest, name, step, tensors }) {
      screen.print(digest);
      for (const { name: tensor, root } of tensors ?? []) screen.print(`${root}  ${tensor}`);
      screen.note(`${name} after step ${step}`);
    },
  }),
});
