import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { isaParameter, runParameter, threadsParameter } from "#src/train/parameter-entries.ts";

defineCommand({
  name: "replay",
  summary: "Recompute a stretch of a run and compare every recorded bit.",
  access: "trusted",
  flow: "proof",
  parameters: v.strictObject({
    run: runParameter,
    steps: v.optional(
      v.pipe(
        v.union([v.string(), v.number()]),
        v.description("first..last, counted from 1; by default all"),
      ),
    ),
    threads: threadsParameter("all cores"),
    isa: isaParameter,
  }),
  positional: ["run"],
  result: v.strictObject({
    type: v.literal("replayed-all"),
    run: v.string(),
    name: v.string(),
    from: v.number(),
    to: v.number(),
    /** Completed steps of the state it started from; 0 is the seed. */
    startedFrom: v.number(),
    comparedSteps: v.number(),
    comparedStates: v.number(),
    backend: v.string(),
    digest: v.string(),
  }),
  computes: true,
  examples: ["psionic replay latest --steps 100..120"],
  async run({ run: wanted, steps, threads, isa }, { services, emit, signal }) {
    const { RunStore } = await import("#src/train/run-store.ts");
    const { replay } = await import("./replay.ts");
    const runs = new RunStore(services.store);
    const run = runs.resolve(wanted);
    const stretch = readStretch(steps, runs.lastStep(run.id)?.step ?? 0);
    const report = await replay(
      run,
      runs,
      services,
      {
        ...stretch,
        threads: threads ?? (await services.machine.facts()).coreCount,
        isa: isa ?? null,
      },
      emit,
      signal,
    );
    return { type: "replayed-all" as const, run: run.id, name: run.name, ...stretch, ...report };
  },
  view: (screen) => ({
    event(event) {
      if (event.type === "replaying")
        screen.note(
          `from ${event["startedFrom"] === 0 ? "the seed" : `the checkpoint after step ${String(event["startedFrom"])}`} on ${String(event["backend"])}`,
        );
      if (event.type === "replayed")
        screen.draw([`step ${String(event["step"])}/${String(event["of"])} agrees`]);
    },
    result({ name, from, to, comparedSteps, comparedStates, digest }) {
      screen.print(
        `${name}: steps ${from}..${to} agree bit for bit (steps compared: ${comparedSteps}, whole states: ${comparedStates})`,
      );
      screen.print(`state digest: ${digest}`);
    },
  }),
});

/** `5..9`, `7`, or everything. Refuses with `usage`. */
function readStretch(
  text: string | number | undefined,
  last: number,
): { from: number; to: number } {
  if (text === undefined) return { from: 1, to: Math.max(1, last) };
  const match = /^(\d{1,15})(?:\.\.(\d{1,15}))?$/.exec(String(text));
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match && from >= 1 && to >= from) return { from, to };
  throw new Refusal(
    "usage",
    `replay: --steps: "${text}" is no stretch of steps`,
    "Write the first and the last step, counted from 1: --steps 100..120.",
    { steps: text },
  );
}
