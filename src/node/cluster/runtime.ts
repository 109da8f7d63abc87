import { getLogger } from "@logtape/logtape";
import type { Digest } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import type { Command, Contact, Scope } from "#src/cluster/event.ts";
import type {
  Admission,
  ClusterService,
  ClusterStanding,
  Joined,
  Newcomer,
  Recomputed,
  SeenNodes,
  Submitted,
} from "#src/cluster/services.ts";
import { memberOf } from "#src/cluster/members.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import { meshVersion } from "#src/cluster/version.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import type { Tuning } from "#src/log/state.ts";
import type { LinkHandlers, LinkView } from "#src/peer/link.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { OpenLinks } from "#src/surface/peer/links.ts";
import type { BlobAudience } from "#src/surface/peer/blobs.ts";
import type { WireDoor } from "#src/surface/peer/wire.ts";
import { AdmissionDesk } from "./admission-desk.ts";
import { askMember } from "./ask-member.ts";
import { beat } from "./beat.ts";
import { DigestDesk } from "./digest-desk.ts";
import { foldedAt } from "./fold-again.ts";
import { refuseBound } from "./refuse-bound.ts";
import { requestAdmission, type JoinRequest } from "./request-admission.ts";
import { MeshBook, knownMember } from "./mesh-book.ts";
import { MeasuredNode } from "./measured-node.ts";
import { ClusterRecords } from "./records.ts";
import { RunRecords } from "../windows/run-records.ts";
import { Residency } from "./residency.ts";
import { clusterTuning, MeshSession, patienceMs } from "./session.ts";

const log = getLogger(["psionic", "cluster"]);

/** How long a start waits for the mesh to be founded, and a leave for who follows. */
const ownMeshMs = 5_000;
/** How long a newcomer that was admitted waits until the mesh sees it as ready. */
const readyMs = 20_000;
export const founderRoles = ["host", "coordinator", "trainer", "validator"] as const;

export interface RuntimeParts {
  readonly services: Services;
  readonly node: string;
  /** Which start of the node this is. */
  readonly epoch: number;
  /** Counts another start: who went comes back in a later epoch. */
  advanceEpoch(): number;
  readonly contact: Contact;
  /** Opens the links of a mesh, in the epoch that counts then. */
  openLinks(parts: {
    readonly mesh: string;
    readonly epoch: number;
    readonly handlers: LinkHandlers;
    readonly kinds: readonly string[];
  }): Promise<OpenLinks>;
  /** Who answered where this node asks; null where it asks nowhere. */
  seen(): SeenNodes | null;
  /** Whether the node works, as others are told. */
  isReady(): Promise<boolean>;
  readonly tuning?: Tuning;
}

/** The cluster in a daemon: the one mesh this node takes part in, on the real clock, disk and sockets. */
export class ClusterRuntime implements ClusterService {
  readonly book: MeshBook;
  /** Every event of a run that was applied here. */
  readonly runs: RunRecords;
  readonly #records: ClusterRecords;
  readonly #desk: AdmissionDesk;
  readonly #measured: MeasuredNode;
  #digests: DigestDesk;
  readonly #residency: Residency;
  readonly #stopped = new AbortController();
  #epoch: number;
  #session: MeshSession | null = null;
  #links: OpenLinks | null = null;
  #beating: Promise<void> = Promise.resolve();
  #isChanging = false;
  readonly #watchers = new Set<() => void>();

  constructor(readonly parts: RuntimeParts) {
    const { services } = parts;
    const { store, clock } = services;
    this.#epoch = parts.epoch;
    this.book = new MeshBook(store);
    this.runs = new RunRecords({
      ...{ store, journal: services.journal, node: parts.node },
      receipts: () => services.receipts.opened(),
    });
    this.#records = new ClusterRecords({
      ...{ store, book: this.book, journal: services.journal },
      receipts: () => services.receipts.opened(),
      monotonicMs: () => clock.monotonicMs(),
      runs: this.runs,
    });
    this.#measured = new MeasuredNode({
      ...{ services, isReady: () => parts.isReady() },
      skewMs: () => this.#skewMs(),
    });
    this.#residency = new Residency({
      ...{ services, node: parts.node, mesh: () => this.ownState() },
      submit: (command, signal) => this.submit("self", command, signal),
    });
    this.#digests = this.#newDigests();
    this.#desk = new AdmissionDesk({
      ...{ services, records: this.#records, node: parts.node },
      session: () => this.#opened,
    });
  }

  /** Goes on in the mesh this home belongs to, or founds its own. */
  async start(): Promise<void> {
    if (this.book.row() === null) this.#enterOwnMesh();
    await this.#open();
    this.#beating = Promise.all([
      beat(this.parts.services.clock, this.#stopped.signal, () => this.#session?.tick()),
      this.#measured.run(this.#stopped.signal),
      this.#residency.run(this.#stopped.signal),
    ]).then(() => {});
  }

  /** Says that it goes where others wait for it, then ends. */
  async stop(farewellMs: number): Promise<void> {
    await this.#session?.farewell(farewellMs);
    this.#stopped.abort(new Error("the daemon stops"));
    await this.#beating;
    await this.#session?.stop();
    this.#session = null;
  }

  /** False while the node enters or leaves a mesh. */
  get isOpen(): boolean {
    return this.#session !== null;
  }

  /** For the door that hands connections in. */
  get wires(): WireDoor | null {
    return this.#links;
  }

  /** Who may ask for this home's blobs, as its own copy of the state says; null while it is in no mesh. */
  get audience(): BlobAudience | null {
    const session = this.#session;
    if (session === null || session.row.standing === "out") return null;
    const keyOf = (node: string) => {
      const member = memberOf(session.state, node);
      return member !== undefined && isLive(member) ? member.key : null;
    };
    return { mesh: session.row.mesh, keyOf };
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Why this node cannot take part in its mesh; anyone may read it. Who asks has it tried again. */
  async whyNotReady(): Promise<readonly string[]> {
    const session = this.#session;
    if (session === null) return [];
    await session.heal();
    if (session.failure !== null) {
      const code = session.failure instanceof Refusal ? session.failure.code : "bug";
      return [`the mesh's log cannot be written (${code})`];
    }
    if (session.taking === "out")
      return ["this node is no member of its mesh any more (cluster_out)"];
    return [];
  }

  /** Newcomers that were refused here since the start. */
  get refusalCount(): number {
    return this.#records.refusalCount;
  }

  /** Messages of others that were refused, by code. */
  refusedMessages(): Readonly<Record<string, number>> {
    const counts = this.#links?.refusals() ?? {};
    const unsound = this.#session?.unsoundCount ?? 0;
    if (unsound === 0) return counts;
    return { ...counts, envelope_malformed: (counts["envelope_malformed"] ?? 0) + unsound };
  }

  standing(): ClusterStanding {
    return this.#opened.standing();
  }

  state(): MeshState {
    return this.#opened.state;
  }

  links(): readonly LinkView[] {
    return this.#session?.links ?? [];
  }

  seen(): SeenNodes | null {
    return this.parts.seen();
  }

  contact(): Contact {
    return this.parts.contact;
  }

  submit(scope: Scope, command: Command, signal: AbortSignal): Promise<Submitted> {
    return this.#opened.submit(scope, command, signal);
  }

  sync(signal: AbortSignal): Promise<number> {
    return this.#opened.sync(signal);
  }

  admit(newcomer: Newcomer, isProbe: boolean, signal: AbortSignal): Promise<Admission> {
    return this.#desk.admit(newcomer, isProbe, signal);
  }

  async join(request: JoinRequest, signal: AbortSignal): Promise<Joined> {
    return this.#changing(async () => {
      const before = this.standing();
      if (before.mesh === request.token.mesh && before.standing === "member")
        return this.#alreadyJoined(before);
      refuseBound(before, this.state(), this.#opened.row.founder, request.token.mesh);
      // Who is out comes back in a later epoch than the one that was evicted.
      if (before.standing === "out") this.#epoch = this.parts.advanceEpoch();
      const admitted = await requestAdmission(
        this.parts.services,
        request,
        {
          ...{ node: this.parts.node, epoch: this.#epoch, contact: this.parts.contact },
          meshVersion,
        },
        signal,
      );
      await this.#enter(admitted);
      await this.#untilReady(signal);
      return admitted;
    });
  }

  async leave(signal: AbortSignal): Promise<void> {
    await this.#changing(async () => {
      const session = this.#opened;
      const { node } = this.parts;
      session.refuseOut();
      await session.handOver(patienceMs);
      const said = session.submit("self", { kind: "node-left", node, epoch: this.#epoch }, signal);
      // Once the state says so, the coordinator's word has no way to this node any more.
      const isOut = () => session.standing().standing === "out";
      const seen = session.until(isOut, patienceMs, signal).catch(() => false);
      if (!(await Promise.race([said.then(() => true), seen]))) await said;
      said.catch(() => {});
      this.#epoch = this.parts.advanceEpoch();
      await session.stop();
      this.#enterOwnMesh(this.#epoch);
      await this.#open();
    });
  }

  async recompute(): Promise<Recomputed> {
    const session = this.#opened;
    const { appliedIndex, core } = session.replica;
    const { digest, fromSnapshotIndex, entryCount } = this.#foldedAt(appliedIndex);
    const term = core.history.termAt(appliedIndex) ?? core.term;
    const liveDigest = session.replica.digest();
    return { index: appliedIndex, term, digest, fromSnapshotIndex, entryCount, liveDigest };
  }

  async digestAt(index: number): Promise<Digest> {
    return this.#digests.digestAt(index);
  }

  ask(
    node: string,
    name: string,
    parameters: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<unknown> {
    const member = memberOf(this.state(), node);
    return askMember(this.parts.services, member, { node, name, parameters }, signal);
  }

  get #opened(): MeshSession {
    if (this.#session !== null) return this.#session;
    throw new Refusal(
      "daemon_stopping",
      "this node enters or leaves a mesh, or stops",
      "try again in a moment",
    );
  }

  /** One change of the mesh at a time. */
  async #changing<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isChanging)
      throw new Refusal("cluster_busy", "this node joins or leaves already", "wait for it to end");
    this.#isChanging = true;
    try {
      return await work();
    } finally {
      this.#isChanging = false;
    }
  }

  /** Has somebody told, at once, whenever the state may be another one; gives how to end that. */
  watch(look: () => void): () => void {
    this.#watchers.add(look);
    return () => this.#watchers.delete(look);
  }

  /** The state that has this node as a live member; null while there is none. */
  ownState(): MeshState | null {
    const session = this.#session;
    if (session === null || !session.isBelieved || session.row.standing === "out") return null;
    const self = memberOf(session.state, this.parts.node);
    return self !== undefined && isLive(self) ? session.state : null;
  }

  #foldedAt(index: number) {
    const { store } = this.parts.services;
    const { founder } = this.#opened.row;
    return foldedAt({ store, founder, appliedIndex: this.#opened.replica.appliedIndex }, index);
  }

  /** `founding` tells this mesh from others that the node founded before, which may go on without it. */
  #newDigests(): DigestDesk {
    return new DigestDesk({
      fold: (index) => this.#foldedAt(index).digest,
      monotonicMs: () => this.parts.services.clock.monotonicMs(),
    });
  }

  #enterOwnMesh(founding = 0): void {
    const founder = this.parts.node;
    const mesh = meshIdOf({ nodeId: founder }, founding);
    this.book.enter({ mesh, founder, seenIndex: 0 }, []);
  }

  async #open(): Promise<void> {
    const { services, node, contact, tuning = clusterTuning } = this.parts;
    const row = this.book.row()!;
    const session = await MeshSession.open({
      ...{ services, node, contact, tuning, row },
      ...{ epoch: this.#epoch, book: this.book, records: this.#records },
      openLinks: async (mesh, handlers, kinds) => {
        const opened = await this.parts.openLinks({ mesh, handlers, kinds, epoch: this.#epoch });
        this.#links = opened;
        return opened;
      },
      measure: () => this.#measured.latest,
      looked: () => {
        for (const look of this.#watchers) look();
      },
    });
    this.#session = session;
    // Those of another mesh are others.
    this.#digests = this.#newDigests();
    const isUnfounded = row.founder === node && session.state.mesh === "" && session.isLeader;
    if (isUnfounded) await this.#found(session, row.mesh);
  }

  async #found(session: MeshSession, mesh: string): Promise<void> {
    const { node, contact, services } = this.parts;
    const key = services.receipts.opened().author.key.publicKey;
    const founding = foundingOf(node, mesh, this.#epoch);
    const facts = { node, key, contact, founding, epoch: this.#epoch, version: meshVersion };
    const over = AbortSignal.timeout(ownMeshMs);
    await session.submit(
      "owner",
      { kind: "mesh-founded", mesh, roles: [...founderRoles], ...facts },
      over,
    );
    log.info("founded the mesh {mesh}", { mesh });
  }

  /** From here on this home belongs to the other mesh, whatever happens. */
  async #enter({ mesh, founder, index, members }: Admission): Promise<void> {
    const { node } = this.parts;
    const known = members
      .filter((member) => member.node !== node)
      .map((member) => knownMember(member.node, member.contact, 0));
    await this.#session?.stop();
    this.#session = null;
    this.book.enter({ mesh, founder, seenIndex: index }, known);
    await this.#open();
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    const session = this.#opened;
    const isReady = () => {
      const self = session.isBelieved ? memberOf(session.state, this.parts.node) : undefined;
      return self?.standing === "ready" && self.epoch >= this.#epoch;
    };
    if (await session.until(isReady, readyMs, signal)) return;
    throw new Refusal(
      "cluster_leaderless",
      `this node was admitted to ${session.row.mesh}, and no coordinator has reached it within ${readyMs / 1000} s`,
      "it goes on trying by itself: `psionic peers` shows what stands in between, `psionic cluster status` when it is over",
    );
  }

  #alreadyJoined({ mesh, node, appliedIndex }: ClusterStanding): Joined {
    const { founder, members } = this.state();
    const live = members.filter(isLive).map((each) => ({ node: each.node, contact: each.contact }));
    return { mesh, founder, index: appliedIndex, members: live, host: node };
  }

  /** How far this clock is from the coordinator's, as the link to it measured. */
  #skewMs(): number {
    const leader = this.#session?.replica.core.leader;
    const link = this.links().find(({ node }) => node === leader);
    return Math.round(link?.clockSkewMs ?? 0);
  }
}

/** Which of a node's meshes one is that was entered in this epoch or an earlier one. */
function foundingOf(nodeId: string, mesh: string, epoch: number): number {
  for (let founding = epoch; founding > 0; founding--)
    if (meshIdOf({ nodeId }, founding) === mesh) return founding;
  return 0;
}
