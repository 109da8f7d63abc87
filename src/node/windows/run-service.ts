import type { Keep } from "#src/artifact/kept.ts";
import { encodeCrockford } from "#src/codec/base32.ts";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Run } from "#src/window/run.ts";
import type { LocalRunFacts, NewRun, RunRecord, RunService } from "#src/window/services.ts";
import { workerOf } from "#src/window/workers.ts";
import type { KeptKind } from "./run-artifacts.ts";
import type { RunEngine } from "./run-engine.ts";

/** How long a node that was drawn is waited for to be known here, and how often that is looked at. */
const drawMs = 2_000;
const drawLookMs = 25;
/** Who asks too early waits in so many places; beyond them it asks again by itself. */
const waitingMaximum = 32;

/** The runs of the mesh as commands of this node ask for them. */
export class MeshRuns implements RunService {
  /** Askers that are waiting to be drawn. */
  #waitingCount = 0;

  constructor(readonly engine: RunEngine) {}

  async create({ name, spec, location }: NewRun, signal: AbortSignal) {
    const { artifacts, parts } = this.engine;
    const run = encodeCrockford(parts.services.random.bytes(5));
    const keep = { run, kind: "document", number: 0 } as const;
    const { artifact: document } = await artifacts.add(location, keep, signal);
    const command = { kind: "run-created", run, name, document, spec } as const;
    try {
      const { index } = await parts.cluster.submit("membership", command, signal);
      return { run, name, document, index };
    } catch (error) {
      // Where it may be in the log all the same, the document stays.
      const isUnsure = error instanceof Refusal && error.code === "cluster_uncertain";
      if (!isUnsure && !signal.aborted) await artifacts.letGo(run, [document]).catch(() => {});
      throw error;
    }
  }

  records(run: string | null, after: number, count: number): readonly RunRecord[] {
    return this.engine.parts.records.after(run, after, count);
  }

  latestRecords(run: string, count: number): readonly RunRecord[] {
    return this.engine.parts.records.latest(run, count);
  }

  wholeRecords(run: string, signal: AbortSignal) {
    return this.engine.history.whole(run, this.#runOf(run), signal);
  }

  localFacts(run: string): LocalRunFacts | null {
    const { places, artifacts, tally, parts } = this.engine;
    const known = this.#runOf(run);
    if (known === undefined) return null;
    const { receivedBytes, sentBytes } = artifacts.traffic(run);
    return {
      ...{ run, isHere: places.isHere(run), receivedBytes, sentBytes },
      revision: workerOf(known, parts.node)?.revision ?? null,
      ...tally.factsOf(run),
    };
  }

  async fetch(artifact: Digest, from: readonly string[], signal: AbortSignal): Promise<void> {
    const { artifacts, parts, places } = this.engine;
    const state = parts.cluster.ownState();
    const found = state?.runs.find((run) => namesArtifact(run, artifact));
    const owner = found?.run ?? "evidence";
    const keep = { run: owner, ...placeOf(found, artifact) };
    const shelf = await artifacts.shelf();
    if (shelf.catalog.get(artifact)?.isWhole === true) return;
    const isDelta = state?.runs.some(({ window }) => isContributed(window, artifact)) === true;
    const mostBytes = isDelta ? places.bytesMaximum(owner, "contribution") : null;
    await artifacts.fetch(artifact, keep, { from, mostBytes }, signal);
  }

  async state(
    request: { readonly run: string; readonly window: number; readonly segment: number },
    asker: string | null,
    signal: AbortSignal,
  ): Promise<{ readonly artifact: Digest }> {
    const { run: id, window, segment } = request;
    const { clock } = this.engine.parts.services;
    // Who asks may have heard of the draw before this node did.
    const untilMs = clock.monotonicMs() + drawMs;
    this.#waitingCount++;
    try {
      for (;;) {
        const run = this.#drawn(request, asker);
        if (run !== null) return await this.engine.drawnState(run, window, segment);
        const isLate = clock.monotonicMs() > untilMs || this.#waitingCount > waitingMaximum;
        if (isLate) throw notDrawn(id, window);
        await clock.sleep(drawLookMs, signal);
      }
    } finally {
      this.#waitingCount--;
    }
  }

  /** The run, where the state of a segment is to be given now. */
  #drawn(
    { run: id, window: number, segment }: Parameters<MeshRuns["state"]>[0],
    asker: string | null,
  ): Run | null {
    const run = this.#runOf(id);
    const window = run?.window;
    const draw = window?.draws.find(({ worker }) => worker === this.engine.parts.node);
    const isDrawn =
      window?.number === number &&
      window.stage === "sealed" &&
      draw?.segment === segment &&
      (asker === null || draw.validators.includes(asker));
    return isDrawn ? run! : null;
  }

  #runOf(id: string): Run | undefined {
    return this.engine.parts.cluster.ownState()?.runs.find(({ run }) => run === id);
  }
}

function namesArtifact({ document, revision, window }: Run, artifact: Digest): boolean {
  return document === artifact || revision.artifact === artifact || isContributed(window, artifact);
}

/** As what a run keeps it. */
function placeOf(
  run: Run | undefined,
  artifact: Digest,
): Pick<Keep, "number"> & { kind: KeptKind } {
  if (run?.document === artifact) return { kind: "document", number: 0 };
  if (run?.revision.artifact === artifact) return { kind: "revision", number: run.revision.number };
  return { kind: "contribution", number: run?.window?.number ?? 0 };
}

function isContributed(window: Run["window"], artifact: Digest): boolean {
  return window?.contributions.some((each) => each.artifact === artifact) === true;
}

function notDrawn(run: string, window: number): Refusal {
  return new Refusal(
    "window_stale",
    `no state of window ${window} of ${run} is to be given now`,
    "a state is given to who was drawn to judge it, while it is judged",
    { run, window },
  );
}
