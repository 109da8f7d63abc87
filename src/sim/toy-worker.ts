import { digestJson, type Digest } from "#src/codec/digest.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { SayingOf } from "#src/window/event.ts";
import { jobKey, type Job, type Outcome, type ParticipantInput } from "#src/window/job.ts";
import type { Reason } from "#src/window/reasons.ts";
import { knownWorker } from "#src/window/workers.ts";
import type { Chance } from "./chance.ts";
import type { RunShared } from "./run-shared.ts";
import type { Temper, WorkDisk } from "./workplace.ts";
import { tickMs, type Surroundings } from "./surroundings.ts";
import {
  afterSegment,
  artifactOf,
  commitmentsOf,
  firstRevision,
  firstState,
  mergedRevision,
  privateOf,
  revisionArtifact,
  segmentsOf,
  trainedStates,
  type ToyDelta,
} from "./toy-step.ts";

/** Work that hangs is given up after so long, as a daemon does. */
const hangMs = 60 * tickMs;
/** Attempts at having an artifact before a validator says that nobody gave it. */
const pullMaximum = 5;

type Failed = { readonly failed: string; readonly isHopeless: boolean };
type Given = Outcome | Failed;

/** Does jobs in simulated time, one at a time, with toy steps. */
export class ToyWorker {
  readonly disk: WorkDisk;
  readonly temper: Temper;
  #present: { readonly key: string } | null = null;

  constructor(
    readonly world: Surroundings,
    readonly shared: RunShared,
    readonly site: string,
    readonly chance: Chance,
    readonly hear: (input: ParticipantInput) => void,
  ) {
    const { disk, temper } = shared.workplace(site);
    this.disk = disk;
    this.temper = temper;
  }

  begin(key: string, job: Job): void {
    assert(this.#present === null && key === jobKey(job), "one piece of work at a time");
    const present = { key };
    this.#present = present;
    const [delayMs, work] = this.#plan(key, job);
    this.world.agenda.after(delayMs, () => {
      if (this.#present !== present) return;
      this.#present = null;
      const given = work();
      if ("failed" in given) {
        const { failed: code, isHopeless } = given;
        return this.hear({ kind: "failed", key, code, isHopeless });
      }
      if (given.kind !== "prepare") this.disk.outcomes.set(key, given);
      this.hear({ kind: "finished", key, outcome: given });
    });
  }

  cancel(key: string): void {
    // What is done may not be heard yet: its process stands still.
    if (this.#present?.key === key) this.#present = null;
  }

  /** The process is gone, or its work was told to stop for good. */
  end(): void {
    this.#present = null;
  }

  /** How long it takes, and what it gives then. */
  #plan(key: string, job: Job): readonly [delayMs: number, work: () => Given] {
    const { faults, probes } = this.world;
    const { weather } = this.shared;
    const { chance } = this;
    const done = this.disk.outcomes.get(key);
    if (done !== undefined) {
      probes.add("run-result-on-disk");
      return [1, () => done];
    }
    if (this.temper.hopeless.get(job.run.run) === job.kind)
      return [tickMs, () => ({ failed: "memory_lacking", isHopeless: true })];
    if (chance.happens(weather.workHung)) {
      faults.add("work-hung");
      return [hangMs, () => ({ failed: "worker_hung", isHopeless: false })];
    }
    if (chance.happens(weather.workFailed)) {
      faults.add("work-failed");
      return [
        chance.between(1, 10) * tickMs,
        () => ({ failed: "worker_crashed", isHopeless: false }),
      ];
    }
    return [this.#durationMs(job), () => this.#do(key, job)];
  }

  #durationMs(job: Job): number {
    const { stepMs } = this.temper;
    switch (job.kind) {
      case "prepare":
        return this.chance.between(1, 8) * tickMs;
      case "train":
        return job.task.steps * stepMs;
      case "validate":
        return tickMs + (job.draw.segment === null ? 0 : job.run.spec.segmentSteps * stepMs);
      case "merge":
      case "evaluate":
        return 2 * tickMs;
    }
  }

  #do(key: string, job: Job): Given {
    switch (job.kind) {
      case "prepare":
        return this.#prepare(job);
      case "train":
        return this.#train(job);
      case "validate":
        return this.#validate(key, job);
      case "merge":
        return this.#merge(job);
      case "evaluate": {
        const said: SayingOf<"evaluation"> = {
          ...{ saying: "evaluation", revision: job.run.revision.number, isFull: job.isFull },
          ...{ lossBits: "3f800000", targets: 64, rows: 8, matches: 0 },
        };
        return { kind: "evaluate", said };
      }
    }
  }

  #prepare({ run }: Job & { readonly kind: "prepare" }): Given {
    const { number: revision, artifact } = run.revision;
    if (artifact !== null && this.shared.plane.pull(this.site, artifact) === undefined)
      return { failed: "artifact_unavailable", isHopeless: false };
    const digest = run.revision.digest ?? firstRevision(run);
    const { lane, stepMs } = this.temper;
    const rate = Math.floor((run.spec.slotTokens * 1_000) / stepMs);
    return { kind: "prepare", revision, digest, lane, rate };
  }

  #train({ run, window, task }: Job & { readonly kind: "train" }): Given {
    const known = knownWorker(run, this.site).private;
    const isHeld = known !== null && this.disk.privates.has(known);
    const before = isHeld ? known : null;
    const start = firstState(run.revision.digest ?? firstRevision(run), before);
    const states = trainedStates(start, task, run.spec.segmentSteps);
    const { chance, temper } = this;
    const { weather, lies, plane } = this.shared;
    let delta: ToyDelta = { worker: this.site, private: before, states };
    if (temper.isLiar && chance.happens(weather.workFalse)) {
      this.world.faults.add("work-false");
      lies.add(`${run.run} ${window.number} ${this.site}`);
      delta = this.#falsified(delta);
    }
    const artifact = artifactOf(delta);
    plane.publish(this.site, artifact, delta);
    this.disk.privates.add(privateOf(delta));
    const said: SayingOf<"contribution"> = {
      ...{ saying: "contribution", window: window.number, artifact },
      ...{ sizeBytes: 64 * states.length, commitments: commitmentsOf(delta) },
      ...{ segments: states.length - 1, private: privateOf(delta) },
      trainMs: task.steps * temper.stepMs,
    };
    return { kind: "train", said };
  }

  /** From one segment on the states are made up, or the private state is one that it may not have. */
  #falsified({ worker, states, ...delta }: ToyDelta): ToyDelta {
    if (this.chance.happens(0.2))
      return { worker, states, private: digestJson(["made up", worker]) };
    const from = this.chance.between(1, states.length - 1);
    const made = states.map((state, place) =>
      place < from ? state : digestJson(["made up", worker, state]),
    );
    return { ...delta, worker, states: made };
  }

  #validate(key: string, job: Job & { readonly kind: "validate" }): Given {
    const { contribution, draw, window } = job;
    const delta = this.shared.plane.pull(this.site, contribution.artifact);
    const pulls = (this.disk.pulls.get(key) ?? 0) + 1;
    this.disk.pulls.set(key, pulls);
    if (!delta && pulls < pullMaximum) return { failed: "artifact_unavailable", isHopeless: false };
    const judged = delta ? this.#judge(job, delta) : { reason: "delta_unavailable" as const };
    const { reason = null, committed = null, recomputed = null } = judged;
    const said: SayingOf<"verdict"> = {
      ...{ saying: "verdict", window: window.number, worker: contribution.worker },
      ...{ contribution: contribution.statement, segment: draw.segment },
      ...{ verdict: reason === null ? "accepted" : "rejected" },
      ...{ committed, recomputed, tookMs: tickMs, reasons: reason === null ? [] : [reason] },
    };
    return { kind: "validate", said };
  }

  #judge(
    { run, task, contribution, draw }: Job & { readonly kind: "validate" },
    delta: ToyDelta,
  ): { readonly reason?: Reason; readonly committed?: Digest; readonly recomputed?: Digest } {
    if (delta.worker !== contribution.worker) return { reason: "delta_copied" };
    if (commitmentsOf(delta) !== contribution.commitments) return { reason: "commitments_differ" };
    const { states } = delta;
    const revision = run.revision.digest ?? firstRevision(run);
    const own = knownWorker(run, contribution.worker).private;
    const isOwn = delta.private === null || delta.private === own;
    if (!isOwn || states[0] !== firstState(revision, delta.private))
      return { reason: "start_differs" };
    if (privateOf(delta) !== contribution.private) return { reason: "delta_not_of_state" };
    const { segment } = draw;
    if (segment === null) return {};
    const slots = segmentsOf(task, run.spec.segmentSteps)[segment]!;
    const recomputed = afterSegment(states[segment]!, slots);
    const committed = states[segment + 1]!;
    const isSame = committed === recomputed;
    return { committed, recomputed, ...(!isSame && { reason: "segment_differs" as const }) };
  }

  #merge({ run, window }: Job & { readonly kind: "merge" }): Given {
    const { plane } = this.shared;
    const accepted = window.contributions.filter(({ worker }) => window.accepted.includes(worker));
    if (accepted.some(({ artifact }) => plane.pull(this.site, artifact) === undefined))
      return { failed: "artifact_unavailable", isHopeless: false };
    const digest = mergedRevision(run.revision.digest ?? firstRevision(run), accepted);
    const artifact = revisionArtifact(digest);
    plane.publish(this.site, artifact, null);
    const said: SayingOf<"revision"> = {
      ...{ saying: "revision", window: window.number, digest, artifact },
      revision: run.revision.number + 1,
    };
    return { kind: "merge", said };
  }
}
