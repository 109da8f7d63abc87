import { encodeCrockford } from "#src/codec/base32.ts";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import * as v from "valibot";
import { runCommands } from "#src/window/event.ts";
import type { Run } from "#src/window/run.ts";
import type { LocalRunFacts, NewRun, RunRecord, RunService } from "#src/window/services.ts";
import { workerOf } from "#src/window/workers.ts";
import { recordMaximum } from "./run-records.ts";
import type { RunEngine } from "./run-engine.ts";

/** Records asked for at once of another member, and pages of them. */
const pageCount = 200;
const pageMaximum = 2_000;

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const recordSchema = v.strictObject({
  ...{ run: v.pipe(v.string(), v.maxLength(32)), index: natural, term: natural, atMs: natural },
  author: v.pipe(v.string(), v.maxLength(64)),
  command: v.variant("kind", [...runCommands]),
  decided: v.unknown(),
  chain: digest,
});
const recordsAnswer = v.object({
  records: v.pipe(v.array(recordSchema), v.maxLength(pageCount)),
});

/** The runs of the mesh as commands of this node ask for them. */
export class MeshRuns implements RunService {
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

  async wholeRecords(run: string, signal: AbortSignal) {
    const { records } = this.engine.parts;
    const state = this.#runOf(run);
    const isWhole = (found: readonly RunRecord[]) => this.#isWhole(found, state);
    const own = records.all(run);
    if (isWhole(own)) return { records: own, isWhole: true };
    for (const node of this.#others()) {
      const theirs = await this.#recordsOf(node, run, signal).catch((error: unknown) => {
        if (signal.aborted || !(error instanceof Refusal)) throw error;
        return [];
      });
      const known = new Map([...theirs, ...own].map((record) => [record.index, record]));
      const joined = [...known.values()].toSorted((a, b) => a.index - b.index);
      if (!isWhole(joined)) continue;
      records.adopt(joined);
      return { records: joined, isWhole: true };
    }
    return { records: own, isWhole: false };
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
    const { artifacts, parts } = this.engine;
    const state = parts.cluster.ownState();
    const owner = state?.runs.find((run) => namesArtifact(run, artifact))?.run ?? "evidence";
    const keep = { run: owner, kind: "contribution", number: 0 } as const;
    const shelf = await artifacts.shelf();
    if (shelf.catalog.get(artifact)?.isWhole === true) return;
    await artifacts.fetch(artifact, keep, from, signal);
  }

  async state(
    request: { readonly run: string; readonly window: number; readonly segment: number },
    asker: string | null,
    signal: AbortSignal,
  ): Promise<{ readonly artifact: Digest }> {
    const { run: id, window: number, segment } = request;
    const { node } = this.engine.parts;
    const run = this.#runOf(id);
    const window = run?.window;
    const draw = window?.draws.find(({ worker }) => worker === node);
    const isDrawn =
      window?.number === number &&
      window.stage === "sealed" &&
      draw?.segment === segment &&
      (asker === null || draw.validators.includes(asker));
    if (!isDrawn) throw notDrawn(id, number);
    return this.engine.drawnState(run!, number, segment, signal);
  }

  #runOf(id: string): Run | undefined {
    return this.engine.parts.cluster.ownState()?.runs.find(({ run }) => run === id);
  }

  #others(): readonly string[] {
    const { cluster, node } = this.engine.parts;
    const members = cluster.ownState()?.members ?? [];
    return members
      .filter((member) => member.node !== node && member.standing === "ready")
      .map((member) => member.node);
  }

  async #recordsOf(node: string, run: string, signal: AbortSignal): Promise<readonly RunRecord[]> {
    const { cluster } = this.engine.parts;
    const found: RunRecord[] = [];
    for (let page = 0; page < pageMaximum; page++) {
      const after = found.at(-1)?.index ?? 0;
      const parameters = { run, after, count: pageCount };
      const answer = await cluster.ask(node, "run/records", parameters, signal);
      const read = v.safeParse(recordsAnswer, answer);
      if (!read.success || read.output.records.some((each) => each.index <= after)) return found;
      if (read.output.records.length === 0) return found;
      found.push(...(read.output.records as RunRecord[]));
    }
    return found;
  }

  /** Whether each leads to the next, from the run's beginning to what the state has, or to its end. */
  #isWhole(records: readonly RunRecord[], state: Run | undefined): boolean {
    const [first] = records;
    if (first?.command.kind !== "run-created") return false;
    const { run, document, spec } = first.command;
    const mesh = this.engine.parts.cluster.ownState()?.mesh ?? "";
    let chain = digestJson({ mesh, run, document, spec });
    for (const { author, atMs: timeMs, term, command, decided, chain: next } of records) {
      if (digestJson({ chain, author, timeMs, term, command, decided }) !== next) return false;
      chain = next;
    }
    return state === undefined || records.some((record) => record.chain === state.chain);
  }
}

function namesArtifact({ document, revision, window }: Run, artifact: Digest): boolean {
  return (
    document === artifact ||
    revision.artifact === artifact ||
    window?.contributions.some((each) => each.artifact === artifact) === true
  );
}

/** Records of a page that goes to another member. */
export function recordPage(records: readonly RunRecord[]): readonly RunRecord[] {
  let size = 0;
  const page: RunRecord[] = [];
  for (const record of records.slice(0, Math.min(pageCount, recordMaximum))) {
    size += JSON.stringify(record).length;
    if (page.length > 0 && size > pageBytesMaximum) break;
    page.push(record);
  }
  return page;
}

/** Messages between nodes have a megabyte. */
const pageBytesMaximum = 400_000;

function notDrawn(run: string, window: number): Refusal {
  return new Refusal(
    "window_stale",
    `no state of window ${window} of ${run} is to be given now`,
    "a state is given to who was drawn to judge it, while it is judged",
    { run, window },
  );
}
