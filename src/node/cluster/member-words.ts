import type { Command, CommandOf, Contact, Scope } from "#src/cluster/event.ts";
import { memberOf } from "#src/cluster/members.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import type { LinkView } from "#src/peer/link.ts";

/** Measurements go into the log at most so often, and so often even where nothing changed. */
export const measureAtLeastMs = 60_000;
export const measureAtMostMs = 600_000;
/** What was refused or not heard is said again after so long. */
const againMs = 1_000;
/** A mesh of more members measures each link from one end, so that the log is not about links alone. */
const bothEndsMaximum = 32;
/** Links that are measured in one look. */
const linksPerLook = 8;

export type NodeMeasure = Omit<CommandOf<"node-measured">, "kind" | "node">;

/** What a node looks at before it speaks of itself. */
export interface OwnView {
  readonly mesh: MeshState;
  readonly node: string;
  readonly epoch: number;
  readonly key: string;
  readonly contact: Contact;
  readonly links: readonly LinkView[];
  /** Null while it is not measured yet. */
  readonly measure: NodeMeasure | null;
  readonly nowMs: number;
}

export interface Word {
  /** One of a name is under way at a time. */
  readonly name: string;
  readonly scope: Scope;
  readonly command: Command;
}

/**
 * What a member owes its mesh: that it is there, that it still is, and now and then how it and its links
 * are. Keeps book on what was said when; the caller says it and reports how that went.
 */
export class MemberWords {
  readonly #underWay = new Set<string>();
  readonly #saidMs = new Map<string, number>();
  readonly #failedMs = new Map<string, number>();
  readonly #measured = new Map<string, Command>();
  /** Who was told to drain stays offline until its next start. */
  #isDrained = false;

  /** What is to be said now. */
  due(view: OwnView): readonly Word[] {
    const self = memberOf(view.mesh, view.node);
    if (self === undefined || !isLive(self)) return [];
    if (self.standing === "draining" && self.epoch === view.epoch) this.#isDrained = true;
    const words = [this.#ready(view, self)];
    if (self.standing === "ready" && self.epoch === view.epoch)
      words.push(this.#renewal(view), this.#facts(view), ...this.#links(view));
    return words.filter((word): word is Word => word !== null && this.#isFree(word, view.nowMs));
  }

  begin({ name }: Word): void {
    this.#underWay.add(name);
  }

  /** `isDone` where it stands in the log now. */
  end({ name, command }: Word, isDone: boolean, nowMs: number): void {
    this.#underWay.delete(name);
    if (!isDone) return void this.#failedMs.set(name, nowMs);
    this.#failedMs.delete(name);
    this.#saidMs.set(name, nowMs);
    if (name !== "ready" && name !== "renewal") this.#measured.set(name, command);
  }

  #isFree({ name }: Word, nowMs: number): boolean {
    if (this.#underWay.has(name)) return false;
    // What was just said may not stand in this node's own copy of the state yet.
    const latestMs = Math.max(
      this.#failedMs.get(name) ?? -Infinity,
      this.#saidMs.get(name) ?? -Infinity,
    );
    return nowMs - latestMs >= againMs;
  }

  /** At each start, after it was given up, and when it moved or has another key. */
  #ready({ node, epoch, key, contact }: OwnView, self: MeshState["members"][number]): Word | null {
    const isElsewhere =
      self.key !== key ||
      JSON.stringify(contactOf(self)) !== JSON.stringify(contactOf({ contact }));
    const isDue =
      self.epoch < epoch ||
      self.standing === "joining" ||
      (self.standing === "offline" && !this.#isDrained) ||
      (self.standing === "ready" && isElsewhere);
    if (!isDue) return null;
    return word("ready", "self", { kind: "node-ready", node, epoch, key, contact });
  }

  #renewal({ mesh, node, epoch, nowMs }: OwnView): Word | null {
    // Nobody ends the lease of a node that is alone.
    if (mesh.members.filter(isLive).length === 1) return null;
    const saidMs = Math.max(
      this.#saidMs.get("renewal") ?? -Infinity,
      this.#saidMs.get("ready") ?? -Infinity,
    );
    const lease = mesh.leases.find((each) => each.node === node);
    const { leaseMs } = mesh.configuration;
    const isFresh = nowMs - saidMs < leaseMs / 3;
    // The mesh's time leaps where a leader's clock was set: less of the lease is left than passed here.
    const isLong = lease !== undefined && lease.untilMs - mesh.timeMs > leaseMs / 2;
    if (isLong && isFresh) return null;
    return word("renewal", "self", { kind: "lease-renewed", node, epoch });
  }

  #facts({ mesh, node, measure, nowMs }: OwnView): Word | null {
    if (measure === null) return null;
    const command = { kind: "node-measured" as const, node, ...measure };
    const known = mesh.nodes.find((each) => each.node === node);
    const before = (this.#measured.get("facts") ?? known) as typeof command | undefined;
    const isMoved = before === undefined || hasNodeMoved(before, command);
    return this.#isTimeTo("facts", isMoved, nowMs) ? word("facts", "self", command) : null;
  }

  #links({ mesh, node, links, nowMs }: OwnView): readonly Word[] {
    const isSmall = mesh.members.filter(isLive).length <= bothEndsMaximum;
    const measured = links.flatMap((link) => {
      const isOurs = isSmall || node < link.node;
      const other = memberOf(mesh, link.node);
      const command = isOurs ? linkMeasure(node, link) : null;
      if (command === null || other === undefined || !isLive(other)) return [];
      const name = `link ${link.node}`;
      const before = this.#measured.get(name) as typeof command | undefined;
      const isMoved = before === undefined || hasLinkMoved(before, command);
      return this.#isTimeTo(name, isMoved, nowMs) ? [word(name, "link", command)] : [];
    });
    return measured.slice(0, linksPerLook);
  }

  #isTimeTo(name: string, isMoved: boolean, nowMs: number): boolean {
    const saidMs = this.#saidMs.get(name);
    if (saidMs === undefined) return true;
    return nowMs - saidMs >= (isMoved ? measureAtLeastMs : measureAtMostMs);
  }
}

const word = (name: string, scope: Scope, command: Command): Word => ({ name, scope, command });

/** In one order of its fields, to be compared. */
const contactOf = ({ contact: { places, certificate, box } }: { readonly contact: Contact }) => [
  places,
  certificate,
  box,
];

/** A link's measures; null while it has none. Class is by round trip: one machine, one site, or further. */
export function linkMeasure(from: string, link: LinkView): CommandOf<"link-measured"> | null {
  const { node: to, state, path, roundTripUs, bytesPerSecond, lossPerMillion } = link;
  const isUp = state === "connected" || state === "degraded";
  if (!isUp || path === null || roundTripUs === null) return null;
  const whole = (value: number) => Math.max(0, Math.round(value));
  return {
    ...({ kind: "link-measured", from, to, path } as const),
    ...{ roundTripUs: whole(roundTripUs), bytesPerSecond: whole(bytesPerSecond ?? 0) },
    lossPerMillion: Math.min(1_000_000, whole(lossPerMillion)),
    class: roundTripUs < 1_000 ? "local" : roundTripUs < 20_000 ? "near" : "far",
  };
}

/** By a factor of two and more than what a quiet link moves by itself, or another class or way. */
function hasLinkMoved(
  before: CommandOf<"link-measured">,
  now: CommandOf<"link-measured">,
): boolean {
  const isOther = before.path !== now.path || before.class !== now.class;
  const apartUs = Math.abs(before.roundTripUs - now.roundTripUs);
  const isSlower = apartUs > 5_000 && apartUs > Math.min(before.roundTripUs, now.roundTripUs);
  return isOther || isSlower || Math.abs(before.lossPerMillion - now.lossPerMillion) > 20_000;
}

function hasNodeMoved(
  before: CommandOf<"node-measured">,
  now: CommandOf<"node-measured">,
): boolean {
  const isOther =
    before.isReady !== now.isReady ||
    before.device !== now.device ||
    before.memoryBytes !== now.memoryBytes;
  const speeds = ["exactTokensPerSecond", "fastTokensPerSecond"] as const;
  const isFaster = speeds.some(
    (each) => Math.abs(before[each] - now[each]) * 4 > Math.max(before[each], now[each]),
  );
  const isBusier = Math.abs(before.loadPerMille - now.loadPerMille) > 250;
  return isOther || isFaster || isBusier || Math.abs(before.clockSkewMs - now.clockSkewMs) > 1_000;
}
