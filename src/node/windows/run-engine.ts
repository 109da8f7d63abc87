import { getLogger } from "@logtape/logtape";
import { memberOf } from "#src/cluster/members.ts";
import { surroundingsOf } from "#src/cluster/runs.ts";
import type { MeshState } from "#src/cluster/state.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import type { RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { keptState } from "#src/train/windows/window-store.ts";
import { dutiesOf } from "#src/window/duties.ts";
import { jobKey, type Job, type Outcome, type ParticipantEffect } from "#src/window/job.ts";
import { Participant } from "#src/window/participant.ts";
import { isOver, type Run } from "#src/window/run.ts";
import { signStatement } from "#src/window/statement.ts";
import { workerOf } from "#src/window/workers.ts";
import type { ClusterRuntime } from "../cluster/runtime.ts";
import { RunTally } from "./run-tally.ts";
import { LocalRuns } from "./local-runs.ts";
import { RunArtifacts } from "./run-artifacts.ts";
import { RunFollower } from "./run-follower.ts";
import { RunHistory } from "./run-history.ts";
import { RunJobs } from "./run-jobs.ts";
import { RunPlaces } from "./run-places.ts";
import type { RunRecords } from "./run-records.ts";
import { Sabotage } from "./sabotage.ts";
import { WorkerDesk } from "./worker-desk.ts";

const log = getLogger(["psionic", "runs"]);

/** How often the state is looked at without a change. */
const lookMs = 500;

/** States that are remembered as given. */
const givenMaximum = 64;

/** What no further attempt on this machine makes different. */
const hopeless: ReadonlySet<RefusalCode | "bug"> = new Set([
  ...(["backend_unavailable", "lane_unavailable", "memory_short", "run_changed"] as const),
  ...(["run_document_wrong", "data_too_small", "run_exists", "model_invalid"] as const),
]);

export interface EngineParts {
  readonly services: Services;
  readonly node: string;
  readonly cluster: ClusterRuntime;
  readonly records: RunRecords;
}

interface Underway {
  readonly job: Job;
  readonly key: string;
  readonly giveUp: AbortController;
}

/**
 * This node's work on the runs of its mesh: looks at the state after every change and now and then, has done what is
 * due, and says what came of it. Nothing is remembered that the next start would miss.
 */
export class RunEngine {
  readonly artifacts: RunArtifacts;
  readonly local: LocalRuns;
  readonly desk: WorkerDesk;
  readonly places: RunPlaces;
  readonly tally: RunTally;
  readonly jobs: RunJobs;
  readonly history: RunHistory;
  readonly follower: RunFollower;
  readonly #sabotage: Sabotage;
  readonly #stopped = new AbortController();
  #participant: Participant;
  #mesh = "";
  #underway: Underway | null = null;
  #running: Promise<void> = Promise.resolve();
  readonly #working = new Set<Promise<void>>();
  #runs: readonly Run[] | null = null;
  #wake: (() => void) | null = null;
  #isLeaving = false;
  /** States that were given to who judges, by run, window and segment. */
  readonly #given = new Map<string, Promise<{ readonly artifact: Digest }>>();
  /** The state that was made ready last before anybody asked. */
  #readied = "";

  constructor(readonly parts: EngineParts) {
    const { services, node, cluster } = parts;
    this.artifacts = new RunArtifacts(services, node, () => cluster.ownState());
    this.local = new LocalRuns(services);
    this.desk = new WorkerDesk(services);
    this.places = new RunPlaces(services, this.artifacts, this.local);
    this.tally = new RunTally(services.clock);
    this.#sabotage = Sabotage.from(services.environment);
    const { artifacts, local, desk, places, tally } = this;
    this.jobs = new RunJobs({
      ...{ services, node, desk, places, artifacts },
      ask: (to, name, parameters, signal) => cluster.ask(to, name, parameters, signal),
      isReached: (other) =>
        cluster.links().some((link) => link.node === other && link.state === "connected"),
      onProgress: (run, window, progress) => tally.progress(run, window, progress, local),
    });
    const { jobs } = this;
    const { records } = parts;
    this.history = new RunHistory({ cluster, records, node });
    const { history } = this;
    this.follower = new RunFollower({
      ...{ services, node, places, artifacts, local, jobs, records, history },
    });
    this.#participant = this.#newParticipant();
  }

  start(): void {
    this.#sabotage.announce();
    const unwatch = this.parts.cluster.watch(() => this.#changed());
    this.#running = this.#run().finally(unwatch);
  }

  /** Gives work up, which goes on after the next start, and ends the worker process. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Refusal("interrupted", "this daemon stops", ""));
    this.#wake?.();
    this.#underway?.giveUp.abort(this.#stopped.signal.reason);
    await this.#running;
    await this.desk.stop();
    await Promise.allSettled([...this.#working]);
    await this.follower.stop();
  }

  /** The run this node works on right now; null while it works on none. */
  get working(): Run | null {
    return this.#underway?.job.run ?? null;
  }

  get underway(): Job | null {
    return this.#underway?.job ?? null;
  }

  /** Whether the mesh counts on this node for a run, so that it has no hands free. */
  get engaged(): Run | null {
    const engaged = (run: Run) =>
      !isOver(run) &&
      run.wish === "run" &&
      (workerOf(run, this.parts.node)?.revision ?? null) !== null;
    return this.#underway?.job.run ?? this.#runs?.find(engaged) ?? null;
  }

  /**
   * The state of this node's own work at the beginning of a segment, as an artifact that is given to others. It is one
   * piece of work for all who ask, which none of them cuts short by going away.
   */
  drawnState(run: Run, window: number, segment: number): Promise<{ readonly artifact: Digest }> {
    const key = `${run.run} ${window} ${segment}`;
    const known = this.#given.get(key);
    if (known !== undefined) return known;
    const given = this.#giveState(run.run, window, segment, this.#stopped.signal);
    this.#given.set(key, given);
    given.catch(() => this.#given.delete(key));
    for (const other of this.#given.keys())
      if (this.#given.size > givenMaximum) this.#given.delete(other);
    return given;
  }

  /** What was drawn of this node's work is made ready before it judges others: they wait for it. */
  #giveDrawn(run: Run): void {
    const { window } = run;
    const draw = window?.draws.find(({ worker }) => worker === this.parts.node);
    if (window?.stage !== "sealed" || typeof draw?.segment !== "number") return;
    const key = `${run.run} ${window.number} ${draw.segment}`;
    if (this.#readied === key) return;
    this.#readied = key;
    this.drawnState(run, window.number, draw.segment).catch(() => {});
  }

  async #giveState(run: string, window: number, index: number, signal: AbortSignal) {
    const { disk } = this.parts.services;
    const { root } = this.places.paths(run);
    // A process that trains another run would be waited for too long: then what was kept is given as it lies.
    const other = this.#underway?.job.run.run;
    const isElsewhere = other !== undefined && other !== run;
    const kept = isElsewhere ? await keptState(disk, root, window, index) : null;
    const task = { kind: "state", window, index } as const;
    const directory = kept ?? (await this.desk.perform(run, task, { signal })).directory;
    const keep = { run, kind: "state", number: window } as const;
    const { artifact } = await this.artifacts.add(directory, keep, signal);
    return { artifact };
  }

  #changed(): void {
    // Told after every message: only another list of runs is a reason to look at once.
    if (this.parts.cluster.ownState()?.runs !== this.#runs) this.#wake?.();
  }

  async #run(): Promise<void> {
    const { clock } = this.parts.services;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        this.#look();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        log.warning("the runs of the mesh could not be looked at: {message}", {
          ...{ code: error.code, message: error.message },
        });
      }
      const woken = new AbortController();
      this.#wake = () => woken.abort(new Error("something changed"));
      await clock.sleep(lookMs, AbortSignal.any([signal, woken.signal])).catch(() => {});
      this.#wake = null;
    }
  }

  #look(): void {
    const { cluster, services } = this.parts;
    const state = cluster.ownState();
    if (state === null) {
      this.#runs = null;
      const nowMs = services.clock.monotonicMs();
      return this.#take({ kind: "look", runs: [], around: null, nowMs });
    }
    if (state.mesh !== this.#mesh) this.#enter(state.mesh);
    this.#runs = state.runs;
    this.follower.follow(state.runs);
    for (const run of state.runs) this.#giveDrawn(run);
    const isBusy = services.trainings.active().length > 0;
    const runs = isBusy || !this.#isFit(state) ? [] : state.runs;
    if (isBusy) void this.#leave(state);
    const around = surroundingsOf(state);
    this.#take({ kind: "look", runs, around, nowMs: services.clock.monotonicMs() });
    const isNeeded = (id: string) =>
      this.working?.run === id || runs.some((run) => run.run === id && !isOver(run));
    void this.desk.release(isNeeded);
  }

  /** Runs of another mesh are others. */
  #enter(mesh: string): void {
    this.#mesh = mesh;
    this.#underway?.giveUp.abort(new Refusal("interrupted", "this node left the mesh", ""));
    this.#underway = null;
    this.#participant = this.#newParticipant();
  }

  #newParticipant(): Participant {
    return new Participant({ node: this.parts.node, duties: dutiesOf });
  }

  #isFit(state: MeshState): boolean {
    const { roles = [] } = memberOf(state, this.parts.node) ?? {};
    return roles.includes("trainer") || roles.includes("validator");
  }

  #take(input: Parameters<Participant["step"]>[0]): void {
    for (const effect of this.#participant.step(input)) this.#carryOut(effect);
  }

  #carryOut(effect: ParticipantEffect): void {
    if (effect.kind === "begin") return this.#begin(effect.key, effect.job);
    if (effect.kind === "say") return this.#track(this.#say(effect));
    if (this.#underway?.key !== effect.key) return;
    log.debug("{key} is not due any more", { key: effect.key });
    this.#underway.giveUp.abort(new Refusal("interrupted", "it is not due any more", ""));
    this.#underway = null;
  }

  #track(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  #begin(key: string, job: Job): void {
    const underway = { key, job, giveUp: new AbortController() };
    this.#underway = underway;
    log.debug("{key} begins", { key });
    this.#track(this.#perform(underway));
  }

  async #perform(underway: Underway): Promise<void> {
    const { key, job, giveUp } = underway;
    const done = this.tally.begin(job);
    try {
      const honest = await this.jobs.perform(job, giveUp.signal);
      const outcome = await this.#sabotage.apply(job, honest, this);
      if (this.#underway !== underway) return;
      done(outcome);
      this.#underway = null;
      this.#noted(job, outcome);
      this.#take({ kind: "finished", key, outcome });
    } catch (error) {
      if (this.#underway !== underway || this.#stopped.signal.aborted) return;
      const { code, message, hint } = troubleOf(key, error);
      const isHopeless = hopeless.has(code);
      this.#underway = null;
      this.tally.failed(job, { code, message, hint, isHopeless });
      log.warning("{key} failed: {message}", { key, code, message, isHopeless });
      this.#take({ kind: "failed", key, code, isHopeless });
    } finally {
      done(null);
    }
  }

  #noted(job: Job, outcome: Outcome): void {
    log.info("{key} is done", { key: jobKey(job) });
    if (outcome.kind === "validate" && outcome.said.reasons.length > 0)
      log.warning("the contribution of {worker} to window {window} does not hold: {reasons}", {
        ...{ worker: outcome.said.worker, window: outcome.said.window },
        reasons: outcome.said.reasons.join(" "),
      });
  }

  async #say(effect: Extract<ParticipantEffect, { readonly kind: "say" }>): Promise<void> {
    const { ticket, run, previous, anchor, said } = effect;
    const refused = await this.#state(run, { previous, anchor, said });
    if (!this.#stopped.signal.aborted) this.#take({ kind: "said", ticket, refused });
  }

  /** Signs a statement and has it written into the log; the code it was refused with, or null. */
  async #state(
    run: string,
    {
      previous,
      anchor,
      said,
    }: Pick<Parameters<typeof signStatement>[1], "previous" | "anchor" | "said">,
  ): Promise<string | null> {
    const { services, node, cluster } = this.parts;
    const { key } = services.receipts.opened().author;
    const unsigned = { mesh: this.#mesh, run, node, previous, anchor, said };
    const statement = signStatement(key, unsigned);
    try {
      const command = { kind: "run-stated", node, statement } as const;
      await cluster.submit("self", command, this.#stopped.signal);
      log.debug("said {saying} of {run}", { saying: said.saying, run });
      return null;
    } catch (error) {
      if (this.#stopped.signal.aborted) return "interrupted";
      if (!(error instanceof Refusal)) throw error;
      log.info("what this node said of {run} was not taken ({saying}): {message}", {
        ...{ run, saying: said.saying, code: error.code, message: error.message },
      });
      return error.code;
    }
  }

  /** While a training of this home's own has the machine, the mesh is told not to count on it. */
  async #leave({ runs }: MeshState): Promise<void> {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    try {
      for (const run of runs) {
        const worker = workerOf(run, this.parts.node);
        if (isOver(run) || worker === undefined || worker.revision === null) continue;
        const said = { saying: "gone", reason: "training_busy" } as const;
        await this.#state(run.run, { previous: worker.statement, anchor: null, said });
      }
    } finally {
      this.#isLeaving = false;
    }
  }
}

/** Why a job failed. What is no refusal is a bug: it is logged whole, and the job tried again as others are. */
function troubleOf(
  key: string,
  error: unknown,
): Pick<Refusal, "message" | "hint"> & { readonly code: RefusalCode | "bug" } {
  if (error instanceof Refusal) return error;
  log.error("bug in {key}", { key, error });
  const message = error instanceof Error ? error.message : String(error);
  return { code: "bug", message, hint: "`psionic logs` has all of it" };
}
