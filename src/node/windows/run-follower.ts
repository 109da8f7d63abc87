import { getLogger } from "@logtape/logtape";
import type { Digest } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { checkpointDirectory, manifestFile, pointerFile } from "#src/train/checkpoint.ts";
import { revisionDigest } from "#src/train/revision.ts";
import { openRunData } from "#src/train/run-document.ts";
import { assignTrainingData } from "#src/train/training-data.ts";
import { discardWindows, keepPrivate, sparePrivateCount } from "#src/train/windows/window-store.ts";
import type { SayingOf } from "#src/window/event.ts";
import { isOver, type Run } from "#src/window/run.ts";
import type { LocalRuns } from "./local-runs.ts";
import { ownerOf, type RunArtifacts } from "./run-artifacts.ts";
import type { RunHistory } from "./run-history.ts";
import { isUnfit, type RunJobs } from "./run-jobs.ts";
import type { RunPlaces } from "./run-places.ts";
import type { RunRecords } from "./run-records.ts";

const log = getLogger(["psionic", "runs"]);

/** Revisions whose files stay here beside the best. */
const keptRevisions = 3;
/** Windows between two collections of what is not needed any more: each looks at all artifacts there are. */
const collectEvery = 16;
/** States as large as this do not gather over windows. */
const largeStateBytes = 256 * 1024 ** 2;
/** Contributions of one run that are kept for its evidence. */
const contributionBytesMaximum = 4 * 1024 ** 3;
/** How long what could not be fetched ahead rests. */
const restMs = 2_000;
/** A history that nobody has whole is asked for ever more seldom, down to this. */
const historyRestMs = 300_000;
/** Contributions fetched ahead at the same time. */
const aheadMaximum = 8;

export interface FollowerParts {
  readonly services: Services;
  readonly node: string;
  readonly places: RunPlaces;
  readonly artifacts: RunArtifacts;
  readonly local: LocalRuns;
  readonly jobs: RunJobs;
  readonly records: RunRecords;
  readonly history: RunHistory;
}

/**
 * Keeps up with runs beside the work itself: rows and checkpoints of this home, contributions fetched before they are
 * asked for, losses that others measured, and what is not needed any more.
 */
export class RunFollower {
  readonly #stopped = new AbortController();
  /** The newest revision that is this home's latest checkpoint, by run. */
  readonly #published = new Map<string, number>();
  readonly #collected = new Map<string, number>();
  /** Up to which window all events are known to be here, by run. */
  readonly #completed = new Map<string, number>();
  /** Windows before this one have no states here any more, by run. */
  readonly #tidied = new Map<string, number>();
  readonly #busy = new Map<string, Promise<void>>();
  /** How long each run's history rests that nobody had whole. */
  readonly #historyRests = new Map<string, { readonly waitMs: number; readonly untilMs: number }>();
  readonly #restUntilMs = new Map<string, number>();
  readonly #bytesPerTarget = new Map<string, number | null>();
  #seenPlace = 0;

  constructor(readonly parts: FollowerParts) {}

  /** To be called at every look; what takes longer goes on beside it. */
  follow(runs: readonly Run[]): void {
    const nowMs = Math.floor(this.parts.services.clock.wallMs());
    for (const run of runs) {
      this.#complete(run);
      if (!this.parts.places.isHere(run.run)) {
        // Of a start before this one; what takes part opens it by itself.
        if (this.parts.local.has(run.run))
          this.#once(`open ${run.run}`, async (signal) => {
            await this.parts.places.document(run, signal);
          });
        continue;
      }
      this.parts.local.follow(run, nowMs);
      this.#publish(run);
      this.#fetchAhead(run);
      this.#tidy(run);
      this.#collect(run);
    }
    this.#readLosses(runs);
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Refusal("interrupted", "this daemon stops", ""));
    await Promise.allSettled(this.#busy.values());
  }

  /** One piece of work under a name at a time; one that failed rests before it is tried again. */
  #once(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    const { clock } = this.parts.services;
    const { signal } = this.#stopped;
    if (signal.aborted || this.#busy.has(name)) return;
    if (clock.monotonicMs() < (this.#restUntilMs.get(name) ?? -Infinity)) return;
    const done = work(signal).then(
      () => void this.#restUntilMs.delete(name),
      (error: unknown) => {
        this.#restUntilMs.set(name, clock.monotonicMs() + restMs);
        if (signal.aborted) return;
        const code = error instanceof Refusal ? error.code : "bug";
        const say = error instanceof Refusal ? log.debug.bind(log) : log.error.bind(log);
        say("{name} came to nothing: {code}", { name, code, error });
      },
    );
    this.#busy.set(
      name,
      done.finally(() => this.#busy.delete(name)),
    );
  }

  /** Asks now and then whether all of the run's events are here: to a node that was away a snapshot may have come. */
  #complete(run: Run): void {
    const at = this.#completed.get(run.run);
    const due = isOver(run) ? Infinity : run.windowCount;
    if (at !== undefined && due < at + collectEvery) return;
    if (at === Infinity) return;
    const restsUntilMs = this.#historyRests.get(run.run)?.untilMs ?? -Infinity;
    if (this.parts.services.clock.monotonicMs() < restsUntilMs) return;
    this.#once(`history ${run.run}`, async (signal) => {
      const { isWhole } = await this.parts.history.whole(run.run, run, signal);
      if (!isWhole) {
        this.#askHistoryLater(run.run);
        throw new Refusal("evidence_incomplete", "nobody has all of the run's events", "");
      }
      this.#completed.set(run.run, due);
      this.#historyRests.delete(run.run);
    });
  }

  /** All of a long history would otherwise come again and again from members that lack a part of it. */
  #askHistoryLater(run: string): void {
    const waitMs = Math.min(historyRestMs, 2 * (this.#historyRests.get(run)?.waitMs ?? restMs / 2));
    const untilMs = this.parts.services.clock.monotonicMs() + waitMs;
    this.#historyRests.set(run, { waitMs, untilMs });
  }

  /** The promoted revision as the home's newest checkpoint, once its files are here. */
  #publish(run: Run): void {
    const { number } = run.revision;
    if (number === 0 || (this.#published.get(run.run) ?? 0) >= number) return;
    this.#once(`publish ${run.run}`, (signal) => this.#publishNow(run, signal));
  }

  async #publishNow(run: Run, signal: AbortSignal): Promise<void> {
    const { places, services, local } = this.parts;
    const { number, digest } = run.revision;
    const paths = places.paths(run.run);
    // Who takes part has it at the next job; of a run that is over nobody asks any more.
    if (isOver(run)) await places.present(run, signal);
    const directory = paths.revision(number);
    if ((await services.disk.stat(directory)) === null) return;
    if ((await revisionDigest(services.disk, directory)) !== digest) return;
    const text = await services.disk.readText(`${directory}/${manifestFile}`);
    const manifest = JSON.parse(text) as { readonly digest: Digest };
    const pointer = { directory: checkpointDirectory(number), manifestDigest: manifest.digest };
    await services.disk.publish(
      `${paths.checkpoints}/${pointerFile}`,
      `${JSON.stringify(pointer)}\n`,
    );
    const removed = await this.#sweep(run);
    const record = { step: number, stateDigest: digest, manifestDigest: manifest.digest };
    local.store.recordCheckpoint(run.run, record, removed, Math.floor(services.clock.wallMs()));
    this.#published.set(run.run, number);
  }

  /** Removes files of revisions that are neither new nor the best; gives their numbers. */
  async #sweep(run: Run): Promise<number[]> {
    const { places, services, local } = this.parts;
    const best = local.store.best(run.run)?.step ?? null;
    const { number } = run.revision;
    const old = local.store
      .checkpoints(run.run)
      .filter(({ step, isKept }) => isKept && step <= number - keptRevisions && step !== best)
      .map(({ step }) => step);
    for (const step of old) await services.disk.remove(places.paths(run.run).revision(step));
    return old;
  }

  /** Contributions come while others still train, so that judging and merging need not wait for them. */
  #fetchAhead(run: Run): void {
    const { window } = run;
    const { node, jobs } = this.parts;
    if (window === null || isOver(run)) return;
    if (!run.workers.some((worker) => worker.node === node && worker.revision !== null)) return;
    for (const { worker, artifact } of window.contributions) {
      if (worker === node || this.#busy.size >= aheadMaximum) continue;
      const name = `contribution ${artifact}`;
      if (this.#collected.has(name)) continue;
      this.#once(name, async (signal) => {
        await jobs.contributionOf(run, window, worker, signal).catch((error: unknown) => {
          if (!isUnfit(error)) throw error;
        });
        this.#collected.set(name, window.number);
      });
    }
  }

  /** What others measured of revisions, as rows of this home. */
  #readLosses(runs: readonly Run[]): void {
    const { records } = this.parts;
    for (const record of records.after(null, this.#seenPlace, 200)) {
      this.#seenPlace = record.index;
      const { command } = record;
      if (command.kind !== "run-stated") continue;
      const { said } = command.statement;
      if (said.saying !== "evaluation") continue;
      const run = runs.find((each) => each.run === record.run);
      if (run !== undefined)
        this.#once(`loss ${record.index}`, (signal) => this.#recordLoss(run, said, signal));
    }
  }

  async #recordLoss(run: Run, said: SayingOf<"evaluation">, signal: AbortSignal): Promise<void> {
    const { local, services, places } = this.parts;
    const loss = Buffer.from(said.lossBits, "hex").readFloatBE(0);
    // Whoever states anything at all; a row takes numbers.
    if (!local.has(run.run) || !Number.isFinite(loss)) return;
    // Refused where the row is of another run than the mesh's.
    await places.document(run, signal);
    const bytesPerTarget = await this.#bytesPerTargetOf(run, said.isFull);
    local.recordEvaluation(
      run.run,
      {
        ...{ step: said.revision, full: said.isFull, loss, targets: said.targets, rows: said.rows },
        exactMatch: said.matches / Math.max(1, said.rows),
        bitsPerByte: bytesPerTarget === null ? null : loss / Math.LN2 / bytesPerTarget,
      },
      Math.floor(services.clock.wallMs()),
    );
  }

  async #bytesPerTargetOf({ run }: Run, isFull: boolean): Promise<number | null> {
    const key = `${run} ${isFull}`;
    const known = this.#bytesPerTarget.get(key);
    if (known !== undefined) return known;
    const { places, services } = this.parts;
    const document = places.known(run);
    if (document === null) return null;
    const dataset = await openRunData(services.disk, places.paths(run).document, document);
    const { full, sample } = assignTrainingData(dataset, document.manifest);
    const found = (isFull ? full : sample).bytesPerTarget;
    this.#bytesPerTarget.set(key, found);
    return found;
  }

  /** States of windows that are over, and private ones that nobody goes on from. */
  #tidy(run: Run): void {
    const { window, windowCount } = run;
    const { node, places, services } = this.parts;
    const own = window?.contributions.find(({ worker }) => worker === node);
    // While this node trains it makes a private state of which the mesh knows nothing yet.
    const isTraining = window?.stage === "active" && own === undefined;
    const before = isOver(run) ? windowCount + 1 : windowCount;
    if (isTraining || (this.#tidied.get(run.run) ?? 0) >= before) return;
    const self = run.workers.find((worker) => worker.node === node);
    const { root } = places.paths(run.run);
    this.#once(`tidy ${run.run}`, async () => {
      await discardWindows(services.disk, root, before);
      const known = [self?.private ?? null, own?.private ?? null];
      await keepPrivate(services.disk, root, known, isOver(run) ? 0 : sparePrivateCount);
      this.#tidied.set(run.run, before);
    });
  }

  /** Lets go what no duty and no evidence of a run needs any more. */
  #collect(run: Run): void {
    const at = this.#collected.get(run.run) ?? 0;
    const isEnded = isOver(run) && at !== Infinity;
    const stateBytes = this.parts.places.bytesMaximum(run.run, "state") ?? 0;
    const every = stateBytes > largeStateBytes ? 1 : collectEvery;
    if (!isEnded && run.windowCount < at + every) return;
    this.#collected.set(run.run, isOver(run) ? Infinity : run.windowCount);
    this.#once(`collect ${run.run}`, () => this.#collectNow(run));
  }

  async #collectNow(run: Run): Promise<void> {
    const { artifacts, services, places } = this.parts;
    const shelf = await artifacts.shelf();
    const kept = shelf.kept.of(ownerOf(run.run));
    const current = run.window?.number ?? run.windowCount + 1;
    const old = kept.filter(
      ({ kind, number }) =>
        (kind === "revision" && number < run.revision.number - 1) ||
        (kind === "state" && number < current),
    );
    const contributions = kept.filter(({ kind }) => kind === "contribution").toReversed();
    let usedBytes = 0;
    for (const each of contributions) {
      usedBytes += shelf.catalog.get(each.artifact)?.sizeBytes ?? 0;
      if (usedBytes > contributionBytesMaximum && each.number < current) old.push(each);
      // The files made of it are for judging and merging; its chunks stay for others and for evidence.
      if (each.number < current)
        await services.disk.remove(artifacts.placeOf(run.run, each.artifact));
    }
    for (const name of this.#collected.keys())
      if (name.startsWith("contribution ") && this.#collected.get(name)! < current)
        this.#collected.delete(name);
    await artifacts.letGo(
      run.run,
      old.map(({ artifact }) => artifact),
    );
    if (isOver(run)) await services.disk.remove(places.paths(run.run).artifacts);
    this.parts.records.prune();
  }
}
