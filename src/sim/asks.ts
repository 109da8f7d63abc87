import { digestBytes, type Digest } from "#src/codec/digest.ts";
import type { Event, Request } from "#src/cluster/event.ts";
import type { AskOutcome } from "#src/cluster/lanes.ts";
import type { MeshResult } from "#src/cluster/mesh-fold.ts";
import type { SyncOutcome } from "#src/cluster/reads.ts";
import type { Count } from "./count.ts";
import { ensure } from "./failure.ts";
import type { ProbeName } from "./probes.ts";

interface Effect {
  readonly index: number;
  readonly result: MeshResult;
}

/** A command that a node was asked for, and all that became of it. */
interface Asked {
  readonly site: string;
  /** The highest index answered anywhere when it was asked. */
  readonly floor: number;
  effect: Effect | null;
  answer: AskOutcome | null;
}

interface Synced {
  readonly site: string;
  readonly floor: number;
}

/**
 * Commands asked of nodes, which find their own way to whoever leads. Each is known in the log by a tag that
 * stands where a policy's digest does, so that what was answered can be held against what is written.
 */
export class Asks {
  readonly #byTag = new Map<Digest, Asked>();
  readonly #open = new Map<number, Asked | Synced>();
  #count = 0;
  /** Commands whose effect was told to who asked. */
  decidedCount = 0;

  constructor(readonly probes: Count<ProbeName>) {}

  /** Requests that nodes still owe an answer. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Takes note of a command, and gives it with its tag. */
  begin(site: string, request: number, command: Request, floor: number): Request {
    const policy = digestBytes(`ask ${++this.#count}`);
    const asked: Asked = { site, floor, effect: null, answer: null };
    this.#byTag.set(policy, asked);
    this.#open.set(request, asked);
    return { ...command, policy };
  }

  beginSync(site: string, request: number, floor: number): void {
    this.#open.set(request, { site, floor });
  }

  /**
   * A node lost its power: it owes nothing any more. What it sent may still be written. Gives the requests that are not
   * answered now.
   */
  lost(site: string): readonly number[] {
    const lost = [...this.#open].filter(([, asked]) => asked.site === site);
    for (const [request] of lost) this.#open.delete(request);
    return lost.map(([request]) => request);
  }

  /** An event of the mesh was applied for the first time in the committed log. */
  committed({ policy, author }: Event, index: number, result: MeshResult): void {
    const asked = policy === null ? undefined : this.#byTag.get(policy);
    if (asked === undefined) return;
    const { site, effect, answer } = asked;
    const what = () => `a command of ${site} at ${index}`;
    ensure(author === site, "author-true", () => `${what()} is in the name of ${author}`);
    ensure(effect === null, "asked-once", () => `${what()} was applied at ${effect!.index} before`);
    const isUnwritten = answer !== null && isRefused(answer);
    ensure(!isUnwritten, "asked-once", () => `${what()} was answered as ${answer!.kind}`);
    asked.effect = { index, result };
  }

  /** What a node answered. Gives the index that it spoke of, 0 where none. */
  answered(request: number, outcome: AskOutcome | SyncOutcome): number {
    const asked = this.#open.get(request);
    if (asked === undefined) return 0;
    this.#open.delete(request);
    if (outcome.kind === "synced" || !("effect" in asked)) return this.#synced(asked, outcome);
    asked.answer = outcome;
    this.#probe(outcome);
    const { site, effect, floor } = asked;
    const who = () => `${site} answers ${JSON.stringify(outcome)}`;
    if (isRefused(outcome)) ensure(effect === null, "asked-once", () => `${who()}, and it is done`);
    if (outcome.kind !== "done" && outcome.kind !== "denied") return 0;
    if (outcome.index === 0) return 0;
    ensure(effect?.index === outcome.index, "asked-once", who);
    const isSame =
      effect.result.term === outcome.term &&
      (outcome.kind === "done"
        ? "done" in effect.result
        : "refused" in effect.result && effect.result.refused === outcome.code);
    ensure(isSame, "answers-true", who);
    ensure(outcome.index > floor, "linearizable", () => `${who()} behind ${floor}`);
    this.decidedCount++;
    return outcome.index;
  }

  #synced({ site, floor }: Synced, outcome: AskOutcome | SyncOutcome): number {
    if (outcome.kind !== "synced") return 0;
    this.probes.add("ask-synced");
    const { index } = outcome;
    ensure(index >= floor, "linearizable", () => `${site} synced to ${index}, behind ${floor}`);
    return 0;
  }

  #probe(outcome: AskOutcome): void {
    if (outcome.kind === "leaderless") this.probes.add("ask-leaderless");
    if (outcome.kind === "uncertain") this.probes.add("ask-uncertain");
    if (outcome.kind !== "denied" || outcome.index > 0) return;
    this.probes.add(outcome.code === "majority_needed" ? "parting-denied" : "ask-forged");
  }
}

/** Whether an answer promises that nothing is written, ever. */
function isRefused(answer: AskOutcome): boolean {
  if (answer.kind === "denied") return answer.index === 0;
  return answer.kind === "leaderless" || answer.kind === "busy";
}
