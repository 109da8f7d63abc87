import type { Digest } from "#src/codec/digest.ts";
import type { Saying } from "./event.ts";
import {
  jobKey,
  type Job,
  type JobKind,
  type Outcome,
  type ParticipantEffect,
  type ParticipantInput,
} from "./job.ts";
import { Patience } from "./patience.ts";
import { isOver, type Run, type Worker } from "./run.ts";
import type { Surroundings } from "./surroundings.ts";

/** What a node has to do, the most urgent first; `holding` gives the revision of a run that lies here. */
export type Duties = (
  runs: readonly Run[],
  node: string,
  holding: (run: string) => number | null,
  around: Surroundings,
) => readonly Job[];

export interface ParticipantOptions {
  readonly node: string;
  readonly duties: Duties;
}

/** How often one piece of work makes way for more urgent ones before it is done undisturbed. */
const interruptionMaximum = 8;
/** How long a statement that was taken may need until the state here shows it. */
const landingMs = 5_000;

/** Lower goes first. Only what is longer than a breath makes way, and only for what others wait for. */
const ranks: Readonly<Record<JobKind, number>> = {
  ...{ merge: 0, validate: 0, train: 1, evaluate: 2, prepare: 2 },
};

interface Underway {
  readonly key: string;
  readonly job: Job;
}

/** Something to state, and by what name patience with it is kept. */
interface Due {
  readonly key: string;
  readonly run: Run;
  readonly anchor: Digest | null;
  readonly said: Saying;
}

/** What this node knows of a run beside the state: lost with the process, and found again by preparing. */
interface Holding {
  readonly lane: string;
  readonly rate: number;
  /** Digests of revisions that lie here, by number. */
  readonly revisions: Map<number, Digest>;
}

/**
 * A node's part in the runs of its mesh: looks at the state, has the most urgent work done, and states what came of
 * it. It decides by what it sees alone: what it remembers saves work and time, and one that remembers nothing
 * comes to the same end. Pure: time comes with the looks.
 */
export class Participant {
  readonly #node: string;
  readonly #duties: Duties;
  #runs: readonly Run[] = [];
  #around: Surroundings | null = null;
  #nowMs = 0;
  #underway: Underway | null = null;
  readonly #holdings = new Map<string, Holding>();
  /** Outcomes that the state does not show yet, by the key of their job. */
  readonly #outcomes = new Map<string, Outcome>();
  readonly #patience = new Patience();
  readonly #interruptions = new Map<string, number>();
  /** Evaluations that this machine cannot make. */
  readonly #unevaluated = new Set<string>();
  /** Runs that this machine cannot work on, and why. */
  readonly #hopeless = new Map<string, string>();
  #ticket = 0;
  #saying: { readonly ticket: number; readonly due: Due; readonly previous: Digest | null } | null =
    null;
  /** Statements that were taken and are not seen yet, by their run. */
  readonly #landings = new Map<
    string,
    { readonly previous: Digest | null; readonly untilMs: number }
  >();

  constructor({ node, duties }: ParticipantOptions) {
    this.#node = node;
    this.#duties = duties;
  }

  /** The key of the work under way; null while there is none. */
  get underway(): string | null {
    return this.#underway?.key ?? null;
  }

  /** Takes note of what happened, and gives what is to be done, in this order. */
  step(input: ParticipantInput): readonly ParticipantEffect[] {
    switch (input.kind) {
      case "look":
        this.#runs = input.runs;
        this.#around = input.around;
        this.#nowMs = Math.max(this.#nowMs, input.nowMs);
        this.#forget();
        break;
      case "finished":
        this.#finished(input.key, input.outcome);
        break;
      case "failed":
        this.#failed(input.key, input.code, input.isHopeless);
        break;
      case "said":
        this.#said(input.ticket, input.refused);
        break;
    }
    const due = this.#dueJobs();
    return [...this.#work(due), ...this.#say(due)];
  }

  /** The revision of a run that is here, as far as the state asks for it. */
  #heldRevision(run: Run): number | null {
    const { number, digest } = run.revision;
    const held = this.#holdings.get(run.run)?.revisions.get(number);
    return held !== undefined && (digest === null || digest === held) ? number : null;
  }

  #runOf(id: string): Run | undefined {
    return this.#runs.find(({ run }) => run === id);
  }

  #mayTrain(): boolean {
    const member = this.#around?.members.find(({ node }) => node === this.#node);
    return member?.isReady === true && member.isTrainer;
  }

  #workerOf(run: Run): Worker | undefined {
    return run.workers.find(({ node }) => node === this.#node);
  }

  #dueJobs(): readonly Job[] {
    if (this.#around === null) return [];
    const holding = (id: string) => {
      const run = this.#runOf(id);
      return run === undefined ? null : this.#heldRevision(run);
    };
    const isPrepared = ({ kind, run }: Job) =>
      kind === "prepare" && this.#heldRevision(run) === run.revision.number;
    const isPossible = (job: Job) =>
      !this.#hopeless.has(job.run.run) && !this.#unevaluated.has(jobKey(job));
    return this.#duties(this.#runs, this.#node, holding, this.#around).filter(
      (job) => isPossible(job) && !isPrepared(job),
    );
  }

  /** What belongs to runs that are gone or over is not needed any more. */
  #forget(): void {
    const isKept = (id: string) => {
      const run = this.#runOf(id);
      return run !== undefined && !isOver(run);
    };
    for (const id of this.#holdings.keys()) if (!isKept(id)) this.#holdings.delete(id);
    for (const id of this.#hopeless.keys()) if (!isKept(id)) this.#hopeless.delete(id);
    for (const id of this.#landings.keys()) if (!isKept(id)) this.#landings.delete(id);
    for (const run of this.#runs) {
      const { revisions } = this.#holdings.get(run.run) ?? {};
      for (const number of revisions?.keys() ?? [])
        if (number < run.revision.number) revisions!.delete(number);
    }
  }

  #work(due: readonly Job[]): readonly ParticipantEffect[] {
    const keys = new Set(due.map(jobKey));
    for (const key of this.#outcomes.keys()) if (!keys.has(key)) this.#outcomes.delete(key);
    for (const key of this.#interruptions.keys())
      if (!keys.has(key)) this.#interruptions.delete(key);
    for (const key of this.#unevaluated) if (this.#isOfThePast(key)) this.#unevaluated.delete(key);
    this.#patience.keep((key) => keys.has(key) || this.#isOfRun(key));
    const next = due.find((job) => {
      const key = jobKey(job);
      return !this.#outcomes.has(key) && !this.#patience.isWaiting(key, this.#nowMs);
    });
    const effects: ParticipantEffect[] = [];
    const { key } = this.#underway ?? {};
    const isDue = key !== undefined && (keys.has(key) || this.#isMergedElsewhere());
    if (key !== undefined && (!isDue || this.#makesWay(next))) {
      this.#underway = null;
      effects.push({ kind: "cancel", key });
    }
    if (this.#underway === null && next !== undefined) {
      this.#underway = { key: jobKey(next), job: next };
      effects.push({ kind: "begin", ...this.#underway });
    }
    return effects;
  }

  /**
   * Whether others were first to make the revision that is being made here: having it in the end is worth more than
   * to stop and fetch it.
   */
  #isMergedElsewhere(): boolean {
    const { job } = this.#underway!;
    if (job.kind !== "merge") return false;
    const run = this.#runOf(job.run.run);
    const past = run?.past;
    return (
      past?.outcome === "promoted" &&
      past.anchor === job.window.anchor &&
      past.revision === run!.revision.number
    );
  }

  /** Whether the work under way is put off for another, which is not done more than a few times to each. */
  #makesWay(next: Job | undefined): boolean {
    const { key, job } = this.#underway!;
    if (next === undefined || ranks[next.kind] >= ranks[job.kind]) return false;
    const count = this.#interruptions.get(key) ?? 0;
    if (count >= interruptionMaximum) return false;
    this.#interruptions.set(key, count + 1);
    return true;
  }

  #isOfThePast(evaluation: string): boolean {
    const keysOf = (run: Run) =>
      [true, false].map((isFull) => jobKey({ kind: "evaluate", run, isFull }));
    return !this.#runs.some((run) => keysOf(run).includes(evaluation));
  }

  /** Names of what is said about runs in general: `ready RUN`, `gone RUN`. */
  #isOfRun(key: string): boolean {
    return this.#runs.some(({ run }) => key === `ready ${run}` || key === `gone ${run}`);
  }

  #finished(key: string, outcome: Outcome): void {
    const { job } = this.#underway?.key === key ? this.#underway : {};
    if (job !== undefined) this.#underway = null;
    if (outcome.kind !== "prepare") {
      this.#outcomes.set(key, outcome);
      if (outcome.kind === "merge" && job !== undefined) this.#merged(job, outcome);
      return;
    }
    if (job === undefined) return;
    const { revision, digest, lane, rate } = outcome;
    const known = this.#holdings.get(job.run.run)?.revisions;
    const revisions = (known ?? new Map<number, Digest>()).set(revision, digest);
    this.#holdings.set(job.run.run, { lane, rate, revisions });
    // What was asked for may be another by now; if it is the one and is not the right one, that is a failure.
    const run = this.#runOf(job.run.run);
    if (run !== undefined && run.revision.number === revision && this.#heldRevision(run) === null)
      this.#patience.lose(key, this.#nowMs);
  }

  #merged({ run }: Job, { said }: Outcome & { readonly kind: "merge" }): void {
    this.#holdings.get(run.run)?.revisions.set(said.revision, said.digest);
  }

  #failed(key: string, code: string, isHopeless: boolean): void {
    if (this.#underway?.key !== key) return;
    const { job } = this.#underway;
    this.#underway = null;
    this.#patience.lose(key, this.#nowMs);
    if (isHopeless && job.kind === "evaluate") this.#unevaluated.add(key);
    else if (isHopeless) this.#hopeless.set(job.run.run, code);
  }

  #said(ticket: number, refused: string | null): void {
    if (this.#saying?.ticket !== ticket) return;
    const { due, previous } = this.#saying;
    const { run } = due.run;
    this.#saying = null;
    if (refused !== null) return this.#patience.lose(due.key, this.#nowMs);
    this.#patience.win(due.key);
    this.#landings.set(run, { previous, untilMs: this.#nowMs + landingMs });
  }

  /** States what is most urgent, one thing at a time: each statement names the one before. */
  #say(jobs: readonly Job[]): readonly ParticipantEffect[] {
    if (this.#saying !== null) return [];
    const isFree = ({ run, key }: Due) =>
      !this.#isLanding(run) && !this.#patience.isWaiting(key, this.#nowMs);
    const due = this.#sayings(jobs).find(isFree);
    if (due === undefined) return [];
    const { run, anchor, said } = due;
    const previous = this.#workerOf(run)?.statement ?? null;
    this.#saying = { ticket: ++this.#ticket, due, previous };
    return [{ kind: "say", ticket: this.#ticket, run: run.run, previous, anchor, said }];
  }

  #isLanding(run: Run): boolean {
    const landing = this.#landings.get(run.run);
    if (landing === undefined) return false;
    const isSeen = (this.#workerOf(run)?.statement ?? null) !== landing.previous;
    if (!isSeen && this.#nowMs < landing.untilMs) return true;
    this.#landings.delete(run.run);
    return false;
  }

  #sayings(jobs: readonly Job[]): readonly Due[] {
    const ofJobs = jobs.flatMap((job): readonly Due[] => {
      const key = jobKey(job);
      const outcome = this.#outcomes.get(key);
      if (outcome === undefined || outcome.kind === "prepare") return [];
      const anchor = "window" in job ? job.window.anchor : null;
      return [{ key, run: job.run, anchor, said: outcome.said }];
    });
    return [...ofJobs, ...this.#runs.flatMap((run) => this.#standing(run))];
  }

  /** That it asks for work, or that it cannot do any, where the state has it otherwise. */
  #standing(run: Run): readonly Due[] {
    const worker = this.#workerOf(run);
    if (isOver(run) || run.wish === "stop" || worker?.isQuarantined === true) return [];
    const reason = this.#hopeless.get(run.run);
    if (reason !== undefined) {
      if ((worker?.revision ?? null) === null) return [];
      const said = { saying: "gone", reason: reason.slice(0, 64) } as const;
      return [{ key: `gone ${run.run}`, run, anchor: null, said }];
    }
    const revision = this.#heldRevision(run);
    if (revision === null || worker?.revision === revision || !this.#mayTrain()) return [];
    const { lane, rate, revisions } = this.#holdings.get(run.run)!;
    const said = {
      saying: "ready",
      revision,
      digest: revisions.get(revision)!,
      lane,
      rate,
    } as const;
    return [{ key: `ready ${run.run}`, run, anchor: null, said }];
  }
}
