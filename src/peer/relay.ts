import * as v from "valibot";
import type { Random } from "#src/port/random.ts";
import { Allowance } from "./allowance.ts";
import { boxMaximumBytes } from "./sealed-box.ts";
import { callIdShape, nodeIdShape } from "./shapes.ts";
import { malformed, type JsonObject } from "./signed-document.ts";

/**
 * Ways through a third member where no direct one is open: who says to reach whom, which of them is taken,
 * and what this node passes on for others. A machine of times and words; the links carry them out. Times
 * are monotonic milliseconds.
 */

export interface RelayLimits {
  /** A member is reached through others once it was not reached directly for so long. */
  readonly patienceMs: number;
  /** A relay that failed for a member is left out for so long, for that member. */
  readonly avoidMs: number;
  /** One neighbour is told so often at most whom this node reaches. */
  readonly sayMs: number;
  /** What is passed on for one pair of members, and what is opened of one sender: each second, and at once. */
  readonly messagesPerSecond: number;
  readonly messageBurst: number;
  readonly bytesPerSecond: number;
  readonly byteBurst: number;
  /** Pairs of which something is passed on at the same time. */
  readonly pairs: number;
}

export const relayLimits: RelayLimits = {
  patienceMs: 1_000,
  avoidMs: 30_000,
  sayMs: 250,
  messagesPerSecond: 256,
  messageBurst: 512,
  bytesPerSecond: 8 * 1024 * 1024,
  byteBurst: 16 * 1024 * 1024,
  pairs: 4_096,
};

/** Members a neighbour may name; a mesh has no more. */
export const reachMaximum = 1_024;

const reachesSchema = v.strictObject({
  nodes: v.pipe(v.array(nodeIdShape), v.maxLength(reachMaximum)),
});
const sealedShape = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.maxLength(Math.ceil(boxMaximumBytes / 3) * 4),
  v.regex(/^[A-Za-z0-9+/]+={0,2}$/, "must be base64"),
);
/** What a member asks a relay to pass on. */
const relaySchema = v.strictObject({ to: nodeIdShape, session: callIdShape, sealed: sealedShape });
/** What a relay passes on; that it names the true sender is proven by what is inside. */
const relayedSchema = v.strictObject({
  from: nodeIdShape,
  session: callIdShape,
  sealed: sealedShape,
});

/** A way through another member. `session` is drawn anew whenever a way is taken. */
export interface Route {
  readonly relay: string;
  readonly session: string;
}

/** A box that came through a relay. */
export interface Arrival {
  readonly from: string;
  readonly session: string;
  readonly box: Uint8Array;
}

interface Known {
  /** Since when it is not linked; null while it is. */
  downSinceMs: number | null;
  route: Route | null;
  /** Relays that failed for it, and until when each is left out. */
  readonly avoided: Map<string, number>;
  /** Whom it says to reach. */
  reaches: ReadonlySet<string>;
  /** The last of this node's lists it was told, and when. */
  said: { readonly version: number; readonly atMs: number } | null;
}

/** The ways of one node. */
export class RelayBook {
  readonly #known = new Map<string, Known>();
  /** What was let pass of late, by pair. */
  readonly #allowances = new Map<string, Allowance>();
  /** Advances whenever this node is linked with others than before. */
  #version = 1;

  constructor(
    private readonly self: string,
    private readonly random: Random,
    private readonly limits: RelayLimits = relayLimits,
  ) {}

  /** Who belongs to the mesh, without this node; what was known of others is forgotten. */
  setMembers(nodes: readonly string[], nowMs: number): void {
    const members = new Set(nodes);
    for (const node of this.#known.keys()) {
      if (members.has(node)) continue;
      if (this.isLinked(node)) this.#version++;
      this.#known.delete(node);
    }
    for (const node of nodes) {
      if (node === this.self || this.#known.has(node)) continue;
      const unknown = { route: null, avoided: new Map(), reaches: new Set<string>(), said: null };
      this.#known.set(node, { downSinceMs: nowMs, ...unknown });
    }
  }

  /** A direct link to a member is usable, or no longer is. */
  setLinked(node: string, isLinked: boolean, nowMs: number): void {
    const known = this.#known.get(node);
    if (known === undefined || (known.downSinceMs === null) === isLinked) return;
    known.downSinceMs = isLinked ? null : nowMs;
    known.route = null;
    known.said = null;
    if (!isLinked) known.reaches = new Set();
    this.#version++;
  }

  isLinked(node: string): boolean {
    return this.#known.get(node)?.downSinceMs === null;
  }

  /** A neighbour said whom it is linked with. Refused with `envelope_malformed`. */
  heardReaches(from: string, body: JsonObject): void {
    const { nodes } = parsed(reachesSchema, body);
    const known = this.#known.get(from);
    if (known?.downSinceMs === null) known.reaches = new Set(nodes);
  }

  /** Whom to tell now whom this node is linked with, for those who do not know it yet. */
  takeReaches(nowMs: number): { readonly to: readonly string[]; readonly body: JsonObject } | null {
    const to: string[] = [];
    for (const [node, known] of this.#known) {
      if (known.downSinceMs !== null || known.said?.version === this.#version) continue;
      if (known.said !== null && nowMs - known.said.atMs < this.limits.sayMs) continue;
      known.said = { version: this.#version, atMs: nowMs };
      to.push(node);
    }
    if (to.length === 0) return null;
    const nodes = [...this.#known.keys()].filter((node) => this.isLinked(node)).toSorted();
    return { to, body: { nodes: nodes.slice(0, reachMaximum) } };
  }

  /**
   * The way to a member that was not linked for the patience: the one taken before while it holds, else
   * the neighbour that reaches it and carries the fewest ways of this node. Null where there is none.
   */
  routeTo(node: string, nowMs: number): Route | null {
    const known = this.#known.get(node);
    if (known === undefined || known.downSinceMs === null) return null;
    if (nowMs - known.downSinceMs < this.limits.patienceMs) return null;
    if (known.route !== null && this.#reaches(known.route.relay, node, nowMs)) return known.route;
    const relay = this.#chooseRelay(node, nowMs);
    const session = () => Buffer.from(this.random.bytes(16)).toString("hex");
    return (known.route = relay === null ? null : { relay, session: session() });
  }

  /** A way was given up: whoever takes one to that member again has another session. */
  leave(node: string, session: string): void {
    const known = this.#known.get(node);
    if (known?.route?.session === session) known.route = null;
  }

  /** A relay lost, changed or swallowed what was for or from a member: another is taken for a while. */
  avoid(node: string, relay: string, nowMs: number): void {
    const known = this.#known.get(node);
    if (known === undefined || !this.#known.has(relay)) return;
    known.avoided.set(relay, nowMs + this.limits.avoidMs);
    if (known.route?.relay === relay) known.route = null;
  }

  /**
   * What to pass on, and to whom, of what a neighbour asks to be passed on; null where it is dropped: the
   * recipient is not linked here, or the pair is beyond its rate. Only what is linked is passed to, so
   * nothing is relayed twice. Refused with `envelope_malformed`.
   */
  pass(from: string, body: JsonObject, nowMs: number): { to: string; body: JsonObject } | null {
    const { to, session, sealed } = parsed(relaySchema, body);
    if (to === from || !this.isLinked(from) || !this.isLinked(to)) return null;
    if (!this.#spend(`${from} ${to}`, sealed.length, nowMs)) return null;
    return { to, body: { from, session, sealed } };
  }

  /**
   * Reads what a neighbour passed on; null where it is dropped: from who is no member or stands at the
   * other end of that link itself, or beyond the rate. Refused with `envelope_malformed`.
   */
  arrive(relay: string, body: JsonObject, nowMs: number): Arrival | null {
    const { from, session, sealed } = parsed(relayedSchema, body);
    if (from === relay || !this.#known.has(from)) return null;
    if (!this.#spend(`${from} ${this.self}`, sealed.length, nowMs)) return null;
    return { from, session, box: Buffer.from(sealed, "base64") };
  }

  #chooseRelay(node: string, nowMs: number): string | null {
    let best: { readonly relay: string; readonly load: number } | null = null;
    for (const relay of this.#known.keys()) {
      if (!this.#reaches(relay, node, nowMs)) continue;
      const load = [...this.#known.values()].filter(({ route }) => route?.relay === relay).length;
      if (best === null || load < best.load || (load === best.load && relay < best.relay))
        best = { relay, load };
    }
    return best?.relay ?? null;
  }

  #reaches(relay: string, node: string, nowMs: number): boolean {
    const known = this.#known.get(relay);
    if (known === undefined || known.downSinceMs !== null || !known.reaches.has(node)) return false;
    return (this.#known.get(node)?.avoided.get(relay) ?? -Infinity) <= nowMs;
  }

  #spend(pair: string, sizeBytes: number, nowMs: number): boolean {
    const { messagesPerSecond, messageBurst, bytesPerSecond, byteBurst, pairs } = this.limits;
    let allowance = this.#allowances.get(pair);
    if (allowance === undefined) {
      if (this.#allowances.size >= pairs) this.#forgetIdle(nowMs);
      if (this.#allowances.size >= pairs) return false;
      allowance = new Allowance(
        { perSecond: messagesPerSecond, burst: messageBurst },
        { perSecond: bytesPerSecond, burst: byteBurst },
        nowMs,
      );
      this.#allowances.set(pair, allowance);
    }
    return allowance.spend(sizeBytes, nowMs);
  }

  #forgetIdle(nowMs: number): void {
    for (const [pair, allowance] of this.#allowances)
      if (allowance.isFull(nowMs)) this.#allowances.delete(pair);
  }
}

/** What a relay is asked to pass on. */
export function relayBody(to: string, { session }: Route, box: Uint8Array): JsonObject {
  return { to, session, sealed: Buffer.from(box).toString("base64") };
}

function parsed<T extends v.GenericSchema>(schema: T, body: JsonObject): v.InferOutput<T> {
  const result = v.safeParse(schema, body);
  if (!result.success) throw malformed(result.issues[0].message);
  return result.output;
}
