import { digestBytes } from "#src/codec/digest.ts";
import { proveAdmission, tokenKey, type Applicant } from "#src/cluster/admission-proof.ts";
import type { Command, CommandOf, Fence, Request, Scope } from "#src/cluster/event.ts";
import { authorityDigest, isLive, type Member, type MeshState } from "#src/cluster/state.ts";
import type { Chance } from "./chance.ts";
import { keyOf } from "./keys.ts";

/** The version of the program in every simulated mesh. */
export const protocolVersion = 1;
export const founderRoles = ["host", "coordinator", "trainer"] as const;
const tokenRoles = ["host", "coordinator", "trainer", "validator"] as const;
/** What newcomers come as: some have no part in runs, some judge more than they do. */
const newcomerRoles = [
  [...(["host", "coordinator"] as const)],
  [...(["host", "coordinator", "trainer"] as const)],
  [...(["host", "coordinator", "trainer", "validator"] as const)],
];
/** Of the commands of clients, how many are the mesh's. */
const meshShare = 0.4;
/** What clients have in place of a policy, so that theirs are known from a leader's duties, which have none. */
const clientPolicy = digestBytes("a client");
/** Fences that slow coordinators may still come with. */
const oldFenceMaximum = 8;

/** What clients look at before they ask for something; they know the whole mesh, as no real one does. */
export interface MeshView {
  readonly state: MeshState;
  readonly commitIndex: number;
  /** The time by a right clock. */
  readonly nowMs: number;
}

type Draw = (view: MeshView) => readonly [author: string, scope: Scope, command: Command];

/** Draws commands of owners, members and newcomers: mostly sensible, often late, some wrong. */
export class MeshTraffic {
  #tokenCount = 0;
  #orderCount = 0;
  #fences: Fence[] = [];
  readonly #draws: readonly (readonly [weight: number, draw: Draw])[];

  constructor(
    readonly chance: Chance,
    readonly targets: readonly string[],
  ) {
    this.#draws = [
      [5, (view) => this.#token(view)],
      [10, (view) => this.#admit(view)],
      [6, (view) => this.#ready(view)],
      [2, (view) => this.#label(view)],
      [4, (view) => this.#ofMember(view, "lease-renewed")],
      [2, (view) => this.#ofMember(view, "node-left")],
      [1, (view) => this.#drain(view)],
      [2, (view) => this.#evict(view)],
      [2, (view) => this.#seeEpoch(view)],
      [5, (view) => this.#end(view)],
      [5, (view) => this.#order(view)],
      [1, (view) => this.#configure(view)],
      [2, (view) => this.#link(view)],
      [1, (view) => this.#facts(view)],
      [3, (view) => this.#blob(view)],
      [2, (view) => this.#describe(view)],
      [2, (view) => this.#own(view)],
      [1, (view) => this.#stranger(view)],
    ];
  }

  /** Whether the next command is the mesh's. */
  isNext(): boolean {
    return this.chance.happens(meshShare);
  }

  /** The text of a command for a mesh in this state. */
  body(view: MeshView): string {
    return JSON.stringify(this.request(view));
  }

  /** A command for a mesh in this state. */
  request(view: MeshView): Request {
    const isFounding = view.state.mesh === "" && !this.chance.happens(0.1);
    const [author, scope, command] = isFounding ? this.#found() : this.#draw()(view);
    return { author, scope, policy: clientPolicy, command };
  }

  #draw(): Draw {
    let left = this.chance.below(this.#draws.reduce((sum, [weight]) => sum + weight, 0));
    return this.#draws.find(([weight]) => (left -= weight) < 0)![1];
  }

  #found(): ReturnType<Draw> {
    const node = this.targets[0]!;
    const names = { mesh: "home", node, key: keyOf(node), roles: [...founderRoles] };
    const contact = contactOf(node, 1);
    return [
      node,
      "owner",
      { kind: "mesh-founded", ...names, epoch: 1, version: protocolVersion, founding: 0, contact },
    ];
  }

  #token({ state }: MeshView): ReturnType<Draw> {
    const { chance } = this;
    const isRevoking = state.tokens.length > 0 && chance.happens(0.1);
    if (isRevoking) {
      const { token } = chance.pick(state.tokens);
      return [this.#owner(state), "owner", { kind: "token-revoked", token }];
    }
    const token = `t${++this.#tokenCount}`;
    const command: CommandOf<"token-created"> = {
      kind: "token-created",
      ...{ token, secret: tokenKey(token), roles: [...tokenRoles] },
      isReusable: chance.happens(0.2),
      lifetimeMs: chance.pick([2_000, 20_000, 60_000]),
    };
    return [this.#owner(state), "owner", command];
  }

  #admit({ state, nowMs }: MeshView): ReturnType<Draw> {
    const { chance } = this;
    const isMember = (name: string) =>
      state.members.some((member) => member.node === name && isLive(member));
    const strangers = this.targets.filter((name) => !isMember(name));
    const isNew = strangers.length > 0 && chance.happens(0.7);
    const node = chance.pick(isNew ? strangers : this.targets);
    const token = chance.happens(0.9) ? (chance.pick(state.tokens)?.token ?? "none") : "none";
    const known = state.members.find((member) => member.node === node);
    const applicant: Applicant = {
      mesh: chance.happens(0.95) ? "home" : "other",
      ...{ node, key: keyOf(node), token, contact: contactOf(node, 1) },
      epoch: (known?.epoch ?? 0) + chance.below(3),
    };
    const version = chance.happens(0.94) ? protocolVersion : protocolVersion + 1;
    const proof = proveAdmission(chance.happens(0.95) ? token : "guess", applicant);
    const clockMs = chance.happens(0.95) ? nowMs : nowMs + 1_000_000;
    const command: CommandOf<"node-admitted"> = {
      ...{ kind: "node-admitted", ...applicant, roles: chance.pick(newcomerRoles), claims: [] },
      ...{ version, proof, clockMs },
    };
    return [this.#memberId(state), "membership", command];
  }

  #ofMember({ state }: MeshView, kind: "lease-renewed" | "node-left"): ReturnType<Draw> {
    const { node, epoch } = this.#member(state);
    return [node, "self", { kind, node, epoch: this.#moved(epoch) }];
  }

  #ready({ state }: MeshView): ReturnType<Draw> {
    const isAny = state.members.length > 0;
    const { node, epoch: known } = isAny ? this.chance.pick(state.members) : this.#member(state);
    const epoch = this.#moved(known);
    const facts = { key: keyOf(node), contact: contactOf(node, epoch) };
    return [node, "self", { kind: "node-ready", node, epoch, ...facts }];
  }

  /** An epoch now and then: the node started anew. One below: a copy of its home did. */
  #moved(epoch: number): number {
    return Math.max(0, epoch + this.chance.pick([0, 0, 0, 1, -1]));
  }

  #label({ state }: MeshView): ReturnType<Draw> {
    const { chance } = this;
    const label = chance.pick(["rack", "lane"] as const);
    const value = chance.pick(["", "1", "2"] as const);
    const command: Command = { kind: "node-labelled", node: this.#memberId(state), label, value };
    return [this.#memberId(state), "membership", command];
  }

  #drain({ state }: MeshView): ReturnType<Draw> {
    const node = this.#memberId(state);
    return [node, "self", { kind: "node-draining", node }];
  }

  #evict({ state }: MeshView): ReturnType<Draw> {
    const node = this.#memberId(state);
    return [this.#owner(state), "owner", { kind: "node-evicted", node, reason: "asked for" }];
  }

  #seeEpoch({ state }: MeshView): ReturnType<Draw> {
    const { node, epoch } = this.#member(state);
    const seen = Math.max(0, epoch + this.chance.between(-1, 1));
    return [node, "self", { kind: "epoch-seen", node, epoch: seen }];
  }

  #end(view: MeshView): ReturnType<Draw> {
    const over = view.state.leases.filter(({ untilMs }) => untilMs < view.nowMs);
    const isOver = over.length > 0 && this.chance.happens(0.8);
    const node = isOver ? this.chance.pick(over).node : this.#memberId(view.state);
    const kind = isOver
      ? "lease-expired"
      : this.chance.pick(["lease-expired", "node-offline"] as const);
    return [this.#memberId(view.state), "coordinator", { kind, node, fence: this.#fence(view) }];
  }

  #order(view: MeshView): ReturnType<Draw> {
    const node = this.#memberId(view.state);
    const order = `o${++this.#orderCount}`;
    const fence = this.#fence(view);
    const command: Command = { kind: "order-given", order, node, what: "train", fence };
    return [this.#memberId(view.state), "coordinator", command];
  }

  /** The present coordinator's fence, or that of one who does not know that it is deposed. */
  #fence({ state, commitIndex: index }: MeshView): Fence {
    if (this.#fences.length > 0 && this.chance.happens(0.25)) return this.chance.pick(this.#fences);
    const fence = { term: state.term, index, authority: authorityDigest(state) };
    this.#fences = [...this.#fences, fence].slice(-oldFenceMaximum);
    return fence;
  }

  #configure({ state }: MeshView): ReturnType<Draw> {
    const leaseMs = this.chance.pick([500, 2_000, 6_000]);
    const silence = { intervalMs: 100, staleMs: 300, expiryMs: 600 };
    const configuration = { ...silence, leaseMs, drainMs: 500, skewMs: 60_000 };
    return [this.#owner(state), "owner", { kind: "configuration-set", configuration }];
  }

  #link({ state }: MeshView): ReturnType<Draw> {
    const [from, to] = [this.#memberId(state), this.#memberId(state)];
    const command: CommandOf<"link-measured"> = {
      kind: "link-measured",
      ...{ from, to, roundTripUs: this.chance.below(90_000), bytesPerSecond: 1_000_000 },
      ...{ lossPerMillion: 0, path: "direct", class: "near" },
    };
    return [from, "link", command];
  }

  #facts({ state }: MeshView): ReturnType<Draw> {
    const node = this.#memberId(state);
    const command: CommandOf<"node-measured"> = {
      kind: "node-measured",
      ...{ node, device: "cpu", memoryBytes: 1 << 30, loadPerMille: this.chance.below(1000) },
      ...{ exactTokensPerSecond: 900, fastTokensPerSecond: 0, isReady: true, clockSkewMs: -3 },
    };
    return [node, "self", command];
  }

  #blob({ state }: MeshView): ReturnType<Draw> {
    const node = this.#memberId(state);
    const blob = digestBytes(`blob ${this.chance.below(4)}`);
    const isHeld = this.chance.happens(0.8);
    return [node, "self", { kind: "residency-set", node, blob, isHeld }];
  }

  #describe({ state }: MeshView): ReturnType<Draw> {
    const isWhole = this.chance.happens(0.5);
    if (this.chance.happens(0.5)) {
      const posture = this.chance.pick([
        "trusted-lan",
        "configured-peers",
        "compute-market",
      ] as const);
      return [
        this.#owner(state),
        "owner",
        { kind: "posture-set", posture, discovery: "off", claims: [] },
      ];
    }
    const nodes = this.targets
      .filter(() => isWhole || this.chance.happens(0.5))
      .map((node) => ({ node, key: keyOf(node), roles: [...founderRoles] }));
    return [
      this.#owner(state),
      "owner",
      { kind: "manifest-set", manifest: { nodes, policies: [] } },
    ];
  }

  #own({ state }: MeshView): ReturnType<Draw> {
    const isOwner = this.chance.happens(0.6);
    const node = isOwner ? this.#memberId(state) : this.#owner(state);
    return [this.#owner(state), "owner", { kind: "owner-set", node, isOwner }];
  }

  /** Someone asks in a capacity that is not theirs. */
  #stranger({ state }: MeshView): ReturnType<Draw> {
    const node = this.#memberId(state);
    const reason = "not asked for";
    return [this.chance.pick(this.targets), "self", { kind: "node-evicted", node, reason }];
  }

  #member({ members }: MeshState): { readonly node: string; readonly epoch: number } {
    const live: readonly Member[] = members.filter(({ standing }) => standing === "ready");
    const from = live.length > 0 && this.chance.happens(0.85) ? live : members;
    return from.length === 0 ? { node: this.targets[0]!, epoch: 1 } : this.chance.pick(from);
  }

  #owner({ owners }: MeshState): string {
    return owners.length === 0 ? this.targets[0]! : this.chance.pick(owners);
  }

  #memberId(state: MeshState): string {
    return this.#member(state).node;
  }
}

/** Where a node of an epoch is reached. */
export function contactOf(node: string, epoch: number) {
  const certificate = digestBytes(`certificate of ${node}`);
  return { places: [`${node}:${7420 + epoch}`], certificate, box: digestBytes(`box of ${node}`) };
}
