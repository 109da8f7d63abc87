/**
 * The one executor of a run and what every task does with it: have a revision in it, put a private state beside it,
 * take local steps, make a delta. Nothing in memory outlives a task but the parameters of the latest revision.
 */
import type { Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { DeltaCodec, type EncodedDelta } from "../delta/codec.ts";
import { type DeltaLayout, layoutOf, readParameters, writeParameters } from "../delta/layout.ts";
import { type OuterState, pseudoGradient } from "../delta/outer.ts";
import type { Executor } from "../executor.ts";
import { digestRevision, firstRevision, readRevision, writeRevision } from "../revision.ts";
import type { RunDocument } from "../run-document.ts";
import { learningRate } from "../schedule.ts";
import type { TensorRoot } from "../state-digest.ts";
import { type StepRecord, Trainer, type TrainingData } from "../trainer.ts";
import { slotsOf } from "./commitments.ts";
import type { InterruptibleClock } from "./interruptible-clock.ts";
import type { LocalWork, RevisionPlace } from "./tasks.ts";
import { digestRoots, type PrivateParts, WorkerState, zeroPrivate } from "./worker-state.ts";

/** A run as the process holds it open. */
export interface OpenRun {
  /** Its id, which revisions name. */
  readonly run: string;
  readonly document: Pick<RunDocument, "manifest" | "codec" | "outer">;
  /** The run's directory. */
  readonly directory: string;
  readonly executor: Executor;
  readonly data: TrainingData;
  readonly disk: Disk;
  /** The one the executor was made with. */
  readonly clock: InterruptibleClock;
  /** Bytes that the kept states of one window may take. */
  readonly keepBytes: number;
}

/** A revision in the executor's memory. */
export interface LoadedRevision {
  readonly number: number;
  readonly digest: Digest;
  readonly values: Float32Array;
  readonly momentum: Float32Array | null;
  /** Digest of the parameters, as commitments have it. */
  readonly parameters: Digest;
}

export class Workbench {
  readonly layout: DeltaLayout;
  readonly codec: DeltaCodec;
  readonly state: WorkerState;
  readonly trainer: Trainer;
  /** The private state of a worker that never worked. */
  readonly zeros: PrivateParts;
  #latest: LoadedRevision | null = null;

  constructor(readonly run: OpenRun) {
    const { document, executor, data } = run;
    this.layout = layoutOf(executor.plan);
    this.codec = new DeltaCodec(document.codec);
    const residualLength = document.codec.decayPerMille > 0 ? this.layout.count : null;
    const residual = residualLength === null ? null : new Float32Array(residualLength);
    this.state = new WorkerState(executor, residual);
    this.zeros = zeroPrivate(executor.plan, residualLength);
    this.trainer = new Trainer(executor, document.manifest, data);
  }

  /** What a measured pace holds for: plan, lane and threads. */
  get paceName(): string {
    const { plan, backend } = this.run.executor;
    return `${plan.digest} ${backend.name} ${backend.threadCount}`;
  }

  /**
   * Has a revision here, verified, and its parameters in the executor; what is private there is left as it is. Refuses
   * with `checkpoint_*`, and with `run_changed` where the seed gives another revision 0 than all others have.
   */
  async loadRevision(place: RevisionPlace): Promise<LoadedRevision> {
    const { number, digest } = place;
    const latest = this.#latest;
    // Without a digest a place says too little to take one revision for another.
    if (latest !== null && latest.number === number && (number === 0 || latest.digest === digest))
      checkDigest(latest, digest);
    else {
      this.#latest = null;
      this.#latest = place.directory === null ? await this.#first(place) : await this.#read(place);
    }
    assert(this.#latest, "a revision was loaded");
    this.restore(this.#latest);
    return this.#latest;
  }

  /** Puts the parameters of a revision into the executor. */
  restore({ values }: LoadedRevision): void {
    writeParameters(this.run.executor, this.layout, values);
  }

  /** Writes what follows a revision; gives its digest. */
  async writeRevision(
    directory: string,
    parent: LoadedRevision,
    next: OuterState,
  ): Promise<Digest> {
    const { run, executor, disk } = this.run;
    await disk.makeDirectory(directory.slice(0, directory.lastIndexOf("/")));
    const revision = { ...next, number: parent.number + 1 };
    const facts = { run, planDigest: executor.plan.digest, parent: parent.digest };
    return (await writeRevision(disk, directory, this.layout, revision, facts)).stateDigest;
  }

  async #first({ number, digest }: RevisionPlace): Promise<LoadedRevision> {
    if (number !== 0)
      throw new Refusal(
        "work_invalid",
        `Revision ${number} is not here; only number 0 is made from the seed.`,
        "This is a mistake of the program that gave the task; report it.",
      );
    const { outer } = this.run.document;
    const revision = await firstRevision(this.trainer, this.layout, outer);
    const found = digestRevision(this.layout, revision);
    const loaded = this.#loaded(revision, found.digest, found.tensors);
    checkDigest(loaded, digest);
    return loaded;
  }

  async #read({ number, digest, directory }: RevisionPlace): Promise<LoadedRevision> {
    const { run, disk, executor, document } = this.run;
    const planDigest = executor.plan.digest;
    const expected = { run, planDigest, number, digest, optimizer: document.outer };
    const { manifest, revision } = await readRevision(disk, directory!, this.layout, expected);
    return this.#loaded(revision, manifest.stateDigest, manifest.tensors);
  }

  #loaded(
    { number, parameters, momentum }: OuterState & { readonly number: number },
    digest: Digest,
    tensors: readonly TensorRoot[],
  ): LoadedRevision {
    const own = tensors.slice(0, this.layout.tensors.length);
    return { number, digest, values: parameters, momentum, parameters: digestRoots(own) };
  }

  /** Learning rates of the steps of some work. */
  ratesOf({ scheduleSteps }: LocalWork): number[] {
    const { schedule } = this.run.document.manifest;
    return scheduleSteps.map((step) => learningRate(schedule, step));
  }

  /**
   * Takes local steps from `from` up to `to` (exclusive); the executor holds the state before. `taken` is told each
   * step with the milliseconds it took. Refuses with `not_finite`, and with `interrupted` between two stretches.
   */
  async takeSteps(
    work: LocalWork,
    from: number,
    to: number,
    taken: (record: StepRecord, slot: number, tookMs: number) => void = () => {},
  ): Promise<void> {
    const { clock } = this.run;
    const slots = slotsOf(work);
    this.trainer.restored(from);
    for (let step = from; step < to; step++) {
      clock.check();
      const startMs = clock.monotonicMs();
      const slot = slots[step]!;
      const schedule = work.scheduleSteps[step]!;
      const place = { slot, schedule, age: this.state.age, counter: slot };
      const record = await this.trainer.trainStep(place);
      this.state.age++;
      taken(record, slot, clock.monotonicMs() - startMs);
    }
  }

  /** The delta of the state in memory, and what is left of it for the next. Refuses with `not_finite`. */
  encode(revision: LoadedRevision): EncodedDelta {
    const { layout, state } = this;
    const moved = pseudoGradient(revision.values, readParameters(this.run.executor, layout));
    return this.codec.encode(layout, moved, state.residual);
  }
}

function checkDigest({ number, digest }: LoadedRevision, expected: Digest | null): void {
  if (expected === null || expected === digest) return;
  throw new Refusal(
    "run_changed",
    `Revision ${number} is ${digest} on this machine, not ${expected} as in the run.`,
    "Its document or the program is not what the others have; update psionic and fetch the run again.",
    { expected, found: digest },
  );
}
