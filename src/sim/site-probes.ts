import { memberOf } from "#src/cluster/members.ts";
import type { ClusterNode, NodeEffect, NodeInput } from "#src/cluster/node.ts";
import type { NodeMessage } from "#src/cluster/node-message.ts";
import type { MeshState } from "#src/cluster/state.ts";
import type { Write } from "#src/log/durable.ts";
import type { Membership } from "#src/log/entry.ts";
import type { Replica } from "#src/log/replica.ts";
import type { SimulatedDisk } from "./disk.ts";
import type { Surroundings } from "./surroundings.ts";

/** What a node was before a step. */
interface Before {
  readonly role: string;
  readonly term: number;
  readonly isAhead: boolean;
  readonly commitIndex: number;
  readonly isDuringWrite: boolean;
  /** Of a leader before a tick, at which it does its duties; else null. */
  readonly membership: Membership | null;
}

/** Sent commands that are remembered, to know those that are sent again. */
const sentMaximum = 64;

/** Notices the situations that one node gets into. */
export class SiteProbes {
  /** To whom each of the latest commands went last, by session and number. */
  readonly #sent = new Map<string, string>();

  constructor(
    readonly world: Surroundings,
    readonly id: string,
  ) {}

  before({ core, writeCount }: Replica, input: NodeInput): Before {
    const { role, term, commitIndex } = core;
    const membership = role === "leader" && input.kind === "tick" ? core.membership : null;
    const isAhead = core.lastIndex > commitIndex;
    return { role, term, commitIndex, membership, isAhead, isDuringWrite: writeCount > 0 };
  }

  stepped(
    input: NodeInput,
    before: Before,
    effects: readonly NodeEffect[],
    { replica, mesh }: ClusterNode,
  ): void {
    const { probes } = this.world;
    const { core } = replica;
    if (before.isDuringWrite) probes.add("step-during-write");
    if (before.role === "leader" && core.role !== "leader") {
      if (before.isAhead) probes.add("deposed-with-uncommitted");
      if (input.kind === "tick") probes.add("quorum-lost");
      if (!core.membership.voters.includes(this.id)) probes.add("leader-removed");
    }
    if (before.role === "candidate" && core.role !== "leader" && core.role !== "candidate")
      probes.add("election-without-winner");
    if (core.role === "leader" && core.commitIndex > before.commitIndex) {
      const first = core.history.termAt(before.commitIndex + 1);
      if (first !== null && first < core.term) probes.add("old-terms-committed");
    }
    if (core.leader === "" && effects.some(({ kind }) => kind === "applied"))
      probes.add("applied-without-leader");
    if (input.kind === "heard") this.#heard(input.message, before);
    for (const effect of effects) if (effect.kind === "send") this.#sends(input, effect);
    const { membership } = before;
    if (membership !== null && core.membership !== membership)
      this.#placed(membership, core.membership, mesh);
  }

  #heard(message: NodeMessage, { term, commitIndex }: Before): void {
    const { probes } = this.world;
    if (message.kind === "outcome" && message.outcome.kind === "unapplied")
      probes.add("ask-session-forgotten");
    if (message.kind !== "log") return;
    const { message: inner } = message;
    if (inner.term < term) probes.add("message-of-old-term");
    if (inner.kind === "snapshot" && inner.snapshot.index <= commitIndex)
      probes.add("snapshot-overtaken");
  }

  #sends(input: NodeInput, { to, message }: NodeEffect & { readonly kind: "send" }): void {
    const { probes } = this.world;
    if (message.kind === "log" && message.message.kind === "elect-now" && input.kind === "tick")
      probes.add("duty-handed-over");
    if (message.kind !== "submit" || message.session === null) return;
    const { id, number } = message.session;
    const name = `${id} ${number}`;
    const known = this.#sent.get(name);
    const probe = known === undefined ? "ask-forwarded" : known === to ? "ask-repeated" : null;
    probes.add(probe ?? "ask-repeated-elsewhere");
    this.#sent.set(name, to);
    const [oldest] = this.#sent.keys();
    if (this.#sent.size > sentMaximum) this.#sent.delete(oldest!);
  }

  /** Between ticks an operator may change members; at one it is a leader's duty. */
  #placed(before: Membership, { voters, learners }: Membership, mesh: MeshState): void {
    const { probes } = this.world;
    const demoted = learners.find((id) => before.voters.includes(id));
    const wasOdd = before.voters.length % 2 === 1;
    if (demoted !== undefined) {
      probes.add("voter-demoted");
      const isOffline = memberOf(mesh, demoted)?.standing === "offline";
      if (isOffline && wasOdd) probes.add("offline-voter-replaced");
    } else if (voters.some((id) => !before.voters.includes(id))) probes.add("duty-voter");
    else if (learners.some((id) => !before.learners.includes(id))) probes.add("duty-learner");
    else probes.add("duty-out");
  }

  writing({ truncateFrom }: Write, disk: SimulatedDisk): void {
    if (truncateFrom === 0) return;
    this.world.probes.add("entries-overwritten");
    const dropped = disk.entries.slice(Math.max(0, truncateFrom - disk.snapshot.index - 1));
    if (dropped.some(({ kind }) => kind === "membership"))
      this.world.probes.add("member-change-undone");
  }
}
