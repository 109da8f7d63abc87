/** The state digest of a checkpoint, from the bytes on the disk as they are now. */
import type { Services } from "#src/command/define.ts";
import type { Plan } from "#src/graph/plan.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { checkpointDirectory } from "#src/train/checkpoint.ts";
import {
  checkpointSteps,
  loadState,
  noCheckpoint,
  readManifest,
} from "#src/train/checkpoint-restore.ts";
import { layoutOf } from "#src/train/delta/layout.ts";
import { Executor } from "#src/train/executor.ts";
import { openHoldingBackend } from "#src/train/open-backend.ts";
import { digestRevision, readRevision } from "#src/train/revision.ts";
import type { StoredManifest } from "#src/train/revision-manifest.ts";
import { pinnedPlan } from "#src/train/run-plan.ts";
import type { Run, RunStore } from "#src/train/run-store.ts";
import { digestState, type StateDigest } from "#src/train/state-digest.ts";

/**
 * Reads and verifies one checkpoint: the newest, or the one of a step. No older one stands in for
 * it: a changed bit is refused with `checkpoint_corrupt`, naming tensor and block, a cut-off file
 * with `checkpoint_truncated`; `replay_differs` when the files are sound but not what was recorded.
 */
export async function digestRun(
  run: Run,
  runs: RunStore,
  { disk, clock, home }: Services,
  wantedStep: number | undefined,
): Promise<StateDigest> {
  const directory = `${home.runs}/${run.id}/checkpoints`;
  const steps = await checkpointSteps(disk, directory);
  const step = wantedStep ?? steps.at(-1);
  if (step === undefined || !steps.includes(step)) throw noCheckpoint(run, wantedStep, steps);
  const plan = pinnedPlan(run.manifest);
  const backend = await openHoldingBackend(plan);
  const executor = new Executor(backend, plan, clock);
  try {
    const path = `${directory}/${checkpointDirectory(step)}`;
    const manifest = await readManifest(disk, path, { run: run.id, planDigest: plan.digest });
    const state =
      manifest.format === "psionic-revision/1"
        ? await revisionState(disk, path, manifest, plan)
        : await checkpointState(disk, path, manifest, executor);
    const recorded = runs.checkpoints(run.id).find((each) => each.step === step)?.stateDigest;
    if (state.digest === manifest.stateDigest && (recorded ?? state.digest) === state.digest)
      return state;
    throw new Refusal(
      "replay_differs",
      `The checkpoint after step ${step} of run ${run.name} has another digest than was recorded.`,
      "Its files or the record were replaced; `psionic replay` tells which is right.",
      { run: run.id, step, recorded: recorded ?? manifest.stateDigest, found: state.digest },
    );
  } finally {
    executor.release();
    backend.release();
  }
}

async function checkpointState(
  disk: Disk,
  path: string,
  manifest: StoredManifest,
  executor: Executor,
): Promise<StateDigest> {
  await loadState(disk, path, manifest, executor);
  return digestState(executor, manifest.step);
}

/** Of a run of several machines: the parameters with the outer optimizer's momentum. */
async function revisionState(
  disk: Disk,
  path: string,
  { run, step: number, planDigest }: StoredManifest,
  plan: Plan,
): Promise<StateDigest> {
  const layout = layoutOf(plan);
  const expected = { run, planDigest, number, digest: null, optimizer: null };
  const { revision } = await readRevision(disk, path, layout, expected);
  return digestRevision(layout, revision);
}
