import { proveAdmission, tokenKey } from "./admission-proof.ts";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { registry } from "#src/command/registry.ts";
import { digestJson } from "#src/codec/digest.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares every command of the program
import "#src/node/commands.ts";
import { noInteraction } from "#src/node/no-interaction.ts";
import { compose } from "#src/node/services.ts";
import type { ClaimsStanding, LinkView } from "#src/peer/link.ts";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RefusalCode } from "#src/refusal/codes.ts";
import { runCommandLine } from "#src/surface/cli/door.ts";
import type { Command, Scope } from "./event.ts";
import { contactOf, TestMesh } from "./mesh.fixture.ts";
import type { ClusterService, ClusterStanding, Recomputed, SeenNodes } from "./services.ts";
import { isLive, stateDigest } from "./state.ts";

/** A key of a test, and the node it is of. */
export function testNode(seed: number) {
  const key = signingKeyFromSeed(new Uint8Array(32).fill(seed));
  return { node: nodeIdOf(key.publicKey), publicKey: key.publicKey };
}

interface Asked {
  readonly author: string;
  readonly scope: Scope;
  readonly command: Command;
  readonly timeMs: number;
}

/** A cluster of one process: what is submitted goes through the real reducers, at once. */
export class FakeCluster implements ClusterService {
  readonly mesh = new TestMesh();
  readonly asked: Asked[] = [];
  linkViews: LinkView[] = [];
  seenNodes: SeenNodes | null = null;
  answers = new Map<string, (name: string, parameters: object) => unknown>();
  /** Digest that memory is made to hold, where it was damaged. */
  damaged: string | null = null;
  syncCount = 0;
  snapshotIndex = 0;
  change: Partial<ClusterStanding> = {};
  places: readonly string[] = ["10.0.0.1:7420"];

  constructor(readonly self: { readonly node: string; readonly publicKey: string }) {}

  /** Founds a mesh by `self`, or by another whom this node then joins in the test's own words. */
  found(founder = this.self): void {
    this.happens(founder.node, "owner", {
      kind: "mesh-founded",
      ...{ mesh: meshIdOf({ nodeId: founder.node }), node: founder.node, key: founder.publicKey },
      founding: 0,
      ...{ roles: ["host", "coordinator"], epoch: 1, version: 1, contact: this.contact() },
    });
  }

  /** Lets a node in with a token of its own, ready. */
  letIn(member: { readonly node: string; readonly publicKey: string }): void {
    const { founder: owner, mesh } = this.state();
    const token = `for-${member.node.slice(3, 9)}`;
    const key = tokenKey(token);
    const roles: ("trainer" | "coordinator" | "validator")[] = ["coordinator", "trainer"];
    const lifetimeMs = 3_600_000;
    const created = { kind: "token-created" as const, token, secret: key, roles, lifetimeMs };
    this.happens(owner, "owner", { ...created, isReusable: false });
    const facts = { node: member.node, key: member.publicKey, contact: contactOf("host") };
    const applicant = { ...facts, mesh, epoch: 1, token };
    this.happens(owner, "membership", {
      kind: "node-admitted",
      ...{ ...applicant, roles, version: 1, proof: proveAdmission(token, applicant) },
      ...{ clockMs: this.mesh.timeMs, claims: [] },
    });
    this.happens(member.node, "self", { kind: "node-ready", ...facts, epoch: 1 });
  }

  /** One event; its refusal is thrown as the service throws it. */
  happens(author: string, scope: Scope, command: Command): void {
    this.asked.push({ author, scope, command, timeMs: this.mesh.timeMs });
    const outcome = this.mesh.ask(author, scope, command);
    if ("refused" in outcome)
      throw new Refusal(outcome.refused as RefusalCode, outcome.message, outcome.hint);
  }

  standing(): ClusterStanding {
    const live = this.state().members.filter(isLive);
    const voters = live.filter(({ roles }) => roles.includes("coordinator"));
    const { node } = this.self;
    const index = this.asked.length;
    return {
      ...{ mesh: this.state().mesh, node, epoch: 1, standing: "member", role: "leader" },
      ...{ leader: node, term: 1, commitIndex: index, appliedIndex: index },
      ...{ snapshotIndex: this.snapshotIndex, entryCount: index - this.snapshotIndex },
      voters: voters.map((member) => member.node),
      learners: live.filter((member) => !voters.includes(member)).map((member) => member.node),
      spareCount: Math.floor((voters.length - 1) / 2),
      digest: this.digestOf(this.mesh, index),
      ...this.change,
    };
  }

  state() {
    return this.mesh.state;
  }

  links() {
    return this.linkViews;
  }

  seen() {
    return this.seenNodes;
  }

  contact() {
    return { ...contactOf("self"), places: [...this.places] };
  }

  async submit(scope: Scope, command: Command) {
    this.happens(this.self.node, scope, command);
    return { index: this.asked.length, term: 1 };
  }

  async sync() {
    this.syncCount++;
    return this.asked.length;
  }

  async recompute(): Promise<Recomputed> {
    const index = this.asked.length;
    const digest = await this.digestAt(index);
    const liveDigest = this.damaged ?? this.standing().digest;
    const { snapshotIndex } = this;
    const counts = { fromSnapshotIndex: snapshotIndex, entryCount: index - snapshotIndex };
    return { index, term: 1, digest, liveDigest, ...counts };
  }

  async digestAt(index: number) {
    if (index > this.asked.length || index < this.snapshotIndex)
      throw new Refusal("cluster_index_unkept", `index ${index} is not kept`, "ask for another");
    const again = new TestMesh();
    for (const { author, scope, command, timeMs } of this.asked.slice(0, index)) {
      again.timeMs = timeMs;
      again.ask(author, scope, command);
    }
    return this.digestOf(again, index);
  }

  digestOf({ state }: TestMesh, index: number): string {
    return digestJson({ index, state: stateDigest(state) });
  }

  async ask(node: string, name: string, parameters: object) {
    const answer = this.answers.get(node);
    if (answer !== undefined) return answer(name, parameters);
    throw new Refusal("peer_unreachable", `${node} does not answer`, "look at it");
  }

  async admit(): Promise<never> {
    throw new Error("no test admits through this service");
  }

  async join(): Promise<never> {
    throw new Error("no test joins through this service");
  }

  async leave() {
    this.happens(this.self.node, "self", { kind: "node-left", node: this.self.node, epoch: 1 });
  }
}

const claims: ClaimsStanding = {
  ...{ policy: "best_effort", result: "verified", reason: null, profile: "runtime/1" },
  ...{ identityDigest: "ab".repeat(32), manifestDigest: "cd".repeat(32) },
  proofPosture: "best_effort",
};

/** A link that works, with what a test changes of it. */
export function linkTo(node: string, change: Partial<LinkView> = {}): LinkView {
  return {
    ...{ node, state: "connected", path: "direct", relay: null, place: "10.0.0.2:7420" },
    ...{ reason: null, epoch: 1, silentMs: 400, failureCount: 0, nextDialMs: null },
    ...{ roundTripUs: 420, clockSkewMs: 2, bytesPerSecond: 118_000_000, lossPerMillion: 0 },
    ...{ sentBytes: 48_213, receivedBytes: 51_002, claims },
    ...change,
  };
}

/** What a line at a terminal gave. */
export interface Typed {
  readonly status: number;
  readonly out: string;
  readonly error: string;
}

/** A home whose commands meet the given cluster instead of a daemon's. */
export class ClusterHome implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "psionic-cluster-commands-"));
  readonly composition = compose({ home: join(this.folder, "home"), interaction: noInteraction });

  /** What of a daemon's services the commands of a test meet beside the cluster. */
  beside: Partial<Services> = {};

  private constructor(readonly self: { readonly node: string; readonly publicKey: string }) {}

  static async open(): Promise<ClusterHome> {
    const folder = new ClusterHome({ node: "", publicKey: "" });
    const { nodeId, publicKey } = await folder.composition.services.identity.openOrCreate();
    return Object.assign(folder, { self: { node: nodeId, publicKey } });
  }

  /** The path of a file in the test's folder; with a text it is written. */
  file(name: string, text?: string): string {
    const path = join(this.folder, name);
    if (text !== undefined) writeFileSync(path, text);
    return path;
  }

  /** Runs a line as a terminal of 80 columns would, in the daemon's place. */
  async type(cluster: ClusterService | null, ...words: string[]): Promise<Typed> {
    let [out, error] = ["", ""];
    const services = Object.create(this.composition.services, {
      ...Object.getOwnPropertyDescriptors(this.beside),
      cluster: { value: cluster },
    }) as Services;
    const status = await runCommandLine([...words, "--no-input"], {
      registry,
      terminal: {
        ...{ stdinIsTerminal: false, stdoutIsTerminal: true, stderrIsTerminal: false },
        columns: 80,
        out: (text) => void (out += text),
        error: (text) => void (error += text),
      },
      environment: { NO_COLOR: "1" },
      version: "0",
      signal: new AbortController().signal,
      askSecret: noInteraction.askSecret,
      compose: () => ({ services, close() {} }),
    });
    return { status, out, error };
  }

  /** The result of a line as programs read it, or its refusal. */
  async read(cluster: ClusterService | null, ...words: string[]): Promise<Record<string, unknown>> {
    const { out } = await this.type(cluster, ...words, "--json");
    return JSON.parse(out.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
  }

  [Symbol.dispose](): void {
    this.composition.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
