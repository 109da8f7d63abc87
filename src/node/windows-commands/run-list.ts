/** The runs of the mesh and of this home in one list. */
import type { Services } from "#src/command/define.ts";
import { listRuns } from "#src/train/run-list.ts";
import type { Run } from "#src/window/run.ts";
import { runsOf } from "./find-run.ts";
import { stateOfPhase } from "./run-description.ts";

type LocalLine = ReturnType<typeof listRuns>[number];
type MeshLine = ReturnType<typeof meshLineOf>;

/** Newest first. */
export function listAll(services: Pick<Services, "store" | "clock" | "cluster">) {
  const runs = new Map(runsOf(services.cluster).map((run) => [run.run, run]));
  const locals = listRuns(services.store, services.clock.wallMs()).map((line) => {
    const mesh = runs.get(line.run);
    runs.delete(line.run);
    return mesh === undefined ? { ...line, mesh: null } : withMesh(line, mesh);
  });
  const others = [...runs.values()].map((run) => unseen(run));
  return [...others, ...locals].toSorted((a, b) => b.createdMs - a.createdMs);
}

/** The steps are those of the schedule, wherever this node's own stopped. */
function withMesh(line: LocalLine, run: Run): LocalLine & { mesh: MeshLine } {
  return { ...line, step: stepsOf(run), mesh: meshLineOf(run) };
}

/** A run of which this node has the state alone. */
function unseen(run: Run) {
  const { phase, spec, name, createdMs } = run;
  return {
    ...{ run: run.run, name, state: stateOfPhase(phase), size: "–", task: null },
    ...{ step: stepsOf(run), steps: spec.scheduleSteps, loss: null, valLoss: null },
    ...{ bitsPerByte: null, exactMatch: null, tokensPerSecond: null, percentOfPeak: null },
    ...{ createdMs, mesh: meshLineOf(run) },
  };
}

function stepsOf({ spec, acceptedSlots }: Run): number {
  return Math.floor((spec.scheduleSteps * acceptedSlots) / spec.slots);
}

function meshLineOf({ phase, reason, windowCount, workers, acceptedSlots, spec, revision }: Run) {
  const present = workers.filter((worker) => worker.revision === revision.number);
  const share = acceptedSlots / spec.slots;
  return { phase, reason, windowCount, participants: present.length, share };
}
