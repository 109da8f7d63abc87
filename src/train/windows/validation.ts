/**
 * The task `validate`: what can be said of a contribution without trusting who made it. Always: that its parts fit the
 * work, the statement and each other, that it began where it may, that its delta is one and no larger than honest
 * work makes. With a state of the worker: the segment from there on, bit for bit, and for the last one the delta
 * that its codec makes of it.
 */
import { digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { normOf } from "../delta/outer.ts";
import {
  checkWork,
  type Commitments,
  commitmentsDigest,
  committedDigest,
  deltaFile,
  privateAtEnd,
  privateAtStart,
  readCommitments,
  segmentCount,
  stepAt,
  workDigest,
} from "./commitments.ts";
import { deltaNormMaximum } from "./norm-bound.ts";
import type { ResultOf, TaskOf } from "./tasks.ts";
import { isDamage } from "./training.ts";
import type { LoadedRevision, Workbench } from "./workbench.ts";
import { privateDigest, windowStateDigest } from "./worker-state.ts";

/** A word of the rules, and for people what was found. */
interface Objection {
  readonly reason: string;
  readonly finding: string;
}

interface Recomputed {
  readonly objections: readonly Objection[];
  readonly recomputed: string | null;
}

/** Refuses with `work_invalid`, `interrupted`, `disk_*` and where this node's own revision does not hold. */
export async function validateContribution(
  bench: Workbench,
  task: TaskOf<"validate">,
): Promise<ResultOf<"validate">> {
  checkWork(task.work);
  const { clock } = bench.run;
  const startMs = clock.monotonicMs();
  const revision = await bench.loadRevision(task.revision);
  const validation = new Validation(bench, task, revision);
  const { objections, committed, recomputed, segment } = await validation.run();
  return {
    kind: "validate",
    reasons: [...new Set(objections.map(({ reason }) => reason))].slice(0, 8),
    finding: objections
      .map(({ finding }) => finding)
      .join(" ")
      .slice(0, 1_024),
    ...{ segment, committed, recomputed },
    tookMs: Math.round(clock.monotonicMs() - startMs),
  };
}

class Validation {
  constructor(
    readonly bench: Workbench,
    readonly task: TaskOf<"validate">,
    readonly revision: LoadedRevision,
  ) {}

  async run() {
    const { task } = this;
    const nothing = { segment: null, committed: null, recomputed: null };
    const commitments = await readCommitments(this.bench.run.disk, task.contribution);
    if (commitments === null)
      return {
        ...nothing,
        objections: [object("commitments_differ", "There is no list of commitments.")],
      };
    const unfit = this.#misfits(commitments);
    // What does not fit the work has no segment that could be computed again.
    if (unfit.length > 0) return { ...nothing, objections: unfit };
    const delta = await this.#readDelta();
    const objections = [...this.#checkStart(commitments), ...this.#checkDelta(commitments, delta)];
    const { segment, state } = task;
    if (segment === null || state === null) return { ...nothing, objections };
    const committed = committedDigest(commitments, task.work, segment + 1);
    const replay = await this.#replay(commitments, segment, state, delta);
    return {
      ...{ segment, committed, recomputed: replay.recomputed },
      objections: [...objections, ...replay.objections],
    };
  }

  /** What of the list is not as the work and the statement have it. */
  #misfits(commitments: Commitments): Objection[] {
    const { work, stated } = this.task;
    const segments = segmentCount(work);
    const differs = (isRight: boolean, finding: string) =>
      isRight ? [] : [object("commitments_differ", finding)];
    const { window, steps, segmentSteps } = commitments;
    const isWork =
      window === work.window && steps === work.steps && segmentSteps === work.segmentSteps;
    return [
      ...differs(
        commitmentsDigest(commitments) === stated.commitments,
        "The list of commitments is not the one that was stated.",
      ),
      ...differs(
        isWork && commitments.work === workDigest(work, this.revision.digest),
        `It commits to other work: ${steps} steps of window ${window}.`,
      ),
      ...differs(
        commitments.states.length === segments + 1 && stated.segments === segments,
        `It commits to ${commitments.states.length} states for ${segments} segments.`,
      ),
      ...differs(commitments.revision === this.revision.digest, "It began from another revision."),
      ...differs(
        commitments.codec === this.bench.codec.settings.name &&
          (commitments.residualBefore !== null) === (this.bench.zeros.residual !== null) &&
          (commitments.residualAfter !== null) === (this.bench.zeros.residual !== null),
        "It was made for another codec.",
      ),
      ...differs(
        privateAtEnd(commitments) === stated.private,
        "The private state that was stated is not the one committed to.",
      ),
    ];
  }

  /** The first state is known to everybody: the revision, and the private state the log has, or zeros. */
  #checkStart(commitments: Commitments): Objection[] {
    const start = privateAtStart(commitments);
    const zeros = privateDigest(this.bench.zeros);
    const isPrivate = start === zeros || start === this.task.privateBefore;
    const isRevision = commitments.states[0]!.parameters === this.revision.parameters;
    if (isPrivate && isRevision) return [];
    const what = isRevision ? "a private state that is not its own" : "other parameters";
    return [object("start_differs", `It began from ${what}.`)];
  }

  async #readDelta(): Promise<Uint8Array | null> {
    const { disk } = this.bench.run;
    const path = `${this.task.contribution}/${deltaFile}`;
    const entry = await disk.stat(path);
    const sizeBytes = this.bench.codec.sizeBytes(this.bench.layout);
    if (entry === null || entry.kind !== "file" || entry.sizeBytes !== sizeBytes) return null;
    return await disk.readBytes(path);
  }

  #checkDelta(commitments: Commitments, bytes: Uint8Array | null): Objection[] {
    const { codec, layout } = this.bench;
    if (bytes === null) return [object("delta_malformed", "Its delta has not the codec's size.")];
    if (digestBytes(bytes) !== commitments.delta || bytes.byteLength !== commitments.deltaBytes)
      return [object("delta_malformed", "Its delta is not the one it committed to.")];
    let values: Float32Array;
    try {
      values = codec.decode(layout, bytes);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isFinite = !/finite/.test(error.message);
      return [object(isFinite ? "delta_malformed" : "delta_not_finite", error.message)];
    }
    const length = normOf(values);
    if (!Number.isFinite(length))
      return [object("delta_not_finite", "Its delta has values that are no finite numbers.")];
    const most = this.#normMaximum(commitments);
    if (!(length > most)) return [];
    return [object("delta_too_large", `Its delta has norm ${length}; honest work has ${most}.`)];
  }

  #normMaximum({ age }: Commitments): number {
    const { bench, revision, task } = this;
    const { manifest, codec } = bench.run.document;
    return deltaNormMaximum({
      optimizer: manifest.optimizer,
      rates: bench.ratesOf(task.work),
      peakRate: manifest.schedule.peakRate,
      age,
      parameterCount: bench.layout.count,
      parameterNorm: normOf(revision.values),
      codec: codec.name === "dense" ? "exact" : codec.decayPerMille > 0 ? "residual" : "lossy",
    });
  }

  /** Computes a segment again from the state the worker gave. */
  async #replay(
    commitments: Commitments,
    segment: number,
    directory: string,
    delta: Uint8Array | null,
  ): Promise<Recomputed> {
    const { bench, task } = this;
    const { work } = task;
    const wrong = await this.#loadState(commitments, segment, directory);
    if (wrong !== null) return { objections: [wrong], recomputed: null };
    const to = stepAt(work, segment + 1);
    try {
      await bench.takeSteps(work, stepAt(work, segment), to);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "not_finite") throw error;
      const finding = `Segment ${segment} cannot be computed: ${error.message}`;
      return { objections: [object("segment_differs", finding)], recomputed: null };
    }
    const parts = await bench.state.digestParts();
    const place = { window: work.window, work: commitments.work, step: to };
    const recomputed = windowStateDigest(place, parts);
    const committed = committedDigest(commitments, work, segment + 1);
    if (recomputed !== committed) {
      const finding = `Segment ${segment} ends in ${recomputed}, not in ${committed}.`;
      return { objections: [object("segment_differs", finding)], recomputed };
    }
    const isLast = to === work.steps;
    return { objections: isLast ? await this.#checkEncoding(commitments, delta) : [], recomputed };
  }

  async #loadState(
    commitments: Commitments,
    index: number,
    directory: string,
  ): Promise<Objection | null> {
    const { state, run } = this.bench;
    try {
      const { place, parts } = await state.read(run.disk, directory);
      const found = windowStateDigest(place, parts);
      if (found === committedDigest(commitments, this.task.work, index)) return null;
      return object("state_differs", `The state it gave is ${found}, not commitment ${index}.`);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const { message } = error as Refusal;
      return object("state_differs", `The state it gave does not hold: ${message}`);
    }
  }

  /** The last state is in memory: its delta, and what is left, are known. */
  async #checkEncoding(
    commitments: Commitments,
    delta: Uint8Array | null,
  ): Promise<readonly Objection[]> {
    const { bench, revision } = this;
    let encoded;
    try {
      encoded = bench.encode(revision);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "not_finite") throw error;
      return [object("delta_not_of_state", `No delta can be made of it: ${error.message}`)];
    }
    if (delta === null || Buffer.compare(encoded.bytes, delta) !== 0)
      return [object("delta_not_of_state", "Its delta is not what the codec makes of its state.")];
    if (encoded.residual) bench.state.residual?.set(encoded.residual);
    const { residual } = await bench.state.digestParts();
    if (residual === commitments.residualAfter) return [];
    return [object("delta_not_of_state", "What it keeps for later is not what its delta left.")];
  }
}

function object(reason: string, finding: string): Objection {
  return { reason, finding };
}
