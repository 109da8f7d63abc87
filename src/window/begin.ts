import { digestJson } from "#src/codec/digest.ts";
import { runMaximum, segmentMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import type { RunCommandOf } from "./event.ts";
import { withNamed } from "./list.ts";
import { isOver, type Run, type RunSpec } from "./run.ts";
import type { Surroundings } from "./surroundings.ts";

/** A run as it begins: nobody works on it, and all of its slots are in the pool. */
export function beginRun(
  runs: readonly Run[],
  command: RunCommandOf<"run-created">,
  author: string,
  around: Surroundings,
): Run {
  const { run, name, document, spec } = command;
  requireFree(runs, command);
  requireFit(spec);
  const { mesh, nowMs } = around;
  return {
    ...{ run, name, author, document, spec, phase: "planned", reason: "", wish: "run" },
    ...{ createdMs: nowMs, sinceMs: nowMs },
    revision: { number: 0, digest: null, artifact: null },
    pool: [{ first: 0, count: spec.slots }],
    ...{ acceptedSlots: 0, workers: [], windowCount: 0, window: null, past: null },
    ...{ heldCount: 0, evaluated: null, chain: digestJson({ mesh, run, document, spec }) },
  };
}

function requireFree(runs: readonly Run[], { run, name }: RunCommandOf<"run-created">): void {
  if (runs.some((each) => each.run === run))
    deny("run_exists", `this mesh has a run ${run}`, "draw another id");
  const active = runs.filter((each) => !isOver(each));
  if (active.some((each) => each.name === name))
    deny("run_name_taken", `a run of this mesh is called ${name}`, "choose another name");
  if (active.length >= runMaximum)
    deny("runs_full", `this mesh works on ${runMaximum} runs`, "wait until one ends, or stop one");
}

/** What the shape of a spec does not say. */
function requireFit(spec: RunSpec): void {
  const { windowSteps, segmentSteps, slots, slotTokens } = spec;
  const segments = Math.ceil(windowSteps / segmentSteps);
  if (segmentSteps > windowSteps || segments > segmentMaximum)
    deny(
      "spec_unfit",
      `${windowSteps} steps of a window make ${segments} segments of ${segmentSteps}`,
      `have from 1 to ${segmentMaximum} segments in a window`,
    );
  if (!Number.isSafeInteger(slots * slotTokens))
    deny("spec_unfit", "the run reads more tokens than can be counted", "read fewer");
}

/** Puts a run in; where there is no room, the one that ended longest ago goes. */
export function withRun(runs: readonly Run[], run: Run): readonly Run[] {
  const next = withNamed(runs, (each) => each.run, run);
  if (next.length <= runMaximum) return next;
  const over = next.filter(isOver);
  const oldest = over.reduce((a, b) => (b.sinceMs < a.sinceMs ? b : a));
  return next.filter((each) => each !== oldest);
}
