import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { digestBytes } from "#src/codec/digest.ts";
import { proveAdmission } from "./admission-proof.ts";
import { timeMaximumMs } from "./bounds.ts";
import type { Command, Scope } from "./event.ts";
import {
  admission,
  contactOf,
  foundedMesh,
  founding,
  keyOf,
  proven,
  readiness,
  TestMesh,
  tokenCommand,
} from "./mesh.fixture.ts";
import { MeshFold } from "./mesh-fold.ts";
import { driftOf } from "./posture.ts";
import { stateSchema } from "./state-schema.ts";
import { defaultConfiguration, residencyDigest, topologyDigest } from "./state.ts";

const hourMs = 3_600_000;
const namedRoles: ("host" | "coordinator" | "trainer")[] = ["host", "coordinator", "trainer"];

describe("C-1 joining", () => {
  test("C-1 a token admits one node, and the second that comes with it at once is refused", () => {
    const mesh = foundedMesh();
    expect(mesh.codeOf("a", "membership", admission("b", "t"))).toBe("done");
    expect(mesh.codeOf("a", "membership", admission("c", "t"))).toBe("token_used");
    expect(mesh.state.members.map(({ node, standing }) => [node, standing])).toEqual([
      ["a", "ready"],
      ["b", "joining"],
    ]);
    expect(mesh.state.members[1]).toMatchObject({ key: keyOf("b"), token: "t", epoch: 1 });
  });

  test("C-1 a member that reads the state and what newcomers said lets nobody in itself", () => {
    const mesh = foundedMesh(true);
    mesh.ask("a", "owner", tokenCommand("many", true));
    const { secret } = mesh.state.tokens.find(({ token }) => token === "many")!;
    const seen = admission("c", "many");
    expect(mesh.codeOf("b", "membership", seen)).toBe("done");
    const own = { ...seen, node: "sybil", key: keyOf("sybil"), contact: contactOf("sybil") };
    for (const proof of [seen.proof, secret + secret, proveAdmission(secret, own)])
      expect(mesh.codeOf("b", "membership", { ...own, proof })).toBe("token_wrong");
    expect(mesh.codeOf("b", "membership", { ...own, secret } as never)).toBe("event_malformed");
    mesh.ask("a", "owner", { kind: "node-evicted", node: "c", reason: "a test" });
    expect(mesh.codeOf("b", "membership", { ...seen, epoch: 2 })).toBe("token_wrong");
  });

  test("C-3 a leader's clock beyond all times moves nothing, and the mesh goes on with the next", () => {
    const mesh = foundedMesh(true);
    for (const wrong of [Number.MAX_SAFE_INTEGER, timeMaximumMs + 1]) {
      mesh.timeMs = wrong;
      expect(mesh.codeOf("b", "self", readiness("b", 2))).toBe("event_malformed");
    }
    mesh.timeMs = timeMaximumMs;
    expect(mesh.codeOf("b", "self", readiness("b", 2))).toBe("done");
    expect(v.is(stateSchema, mesh.state)).toBe(true);
    expect(new MeshFold().accepts(mesh.fold.save())).toBe(true);
  });

  test("C-1 a reusable token admits several", () => {
    const mesh = foundedMesh();
    mesh.ask("a", "owner", tokenCommand("many", true));
    for (const node of ["b", "c", "d"])
      expect(mesh.codeOf("a", "membership", admission(node, "many"))).toBe("done");
    expect(mesh.state.tokens.find(({ token }) => token === "many")!.useCount).toBe(3);
  });

  const good = admission("c", "t");
  test.each([
    ["mesh_wrong", { ...good, mesh: "other" }],
    ["version_unfit", { ...good, version: 2 }],
    ["clock_skewed", { ...good, clockMs: 1_001 + defaultConfiguration.skewMs }],
    ["token_wrong", proven({ ...good, token: "unknown" })],
    ["token_wrong", { ...good, proof: "0".repeat(128) }],
    ["token_wrong", { ...good, roles: ["host" as const] }],
    ["token_used", proven({ ...good, token: "second" })],
    ["node_duplicate", proven({ ...good, node: "b" })],
    ["node_duplicate", proven({ ...good, node: "b", key: keyOf("b") })],
    ["token_wrong", { ...good, node: "d" }],
    ["token_wrong", { ...good, epoch: 2 }],
    ["token_wrong", { ...good, contact: contactOf("d") }],
  ])("C-1 %s leaves no member behind and uses no token", (code, newcomer) => {
    const mesh = foundedMesh(true);
    const before = mesh.state;
    expect(mesh.codeOf("a", "membership", newcomer)).toBe(code);
    expect(mesh.state).toEqual(before);
    expect(mesh.codeOf("a", "membership", good)).toBe("done");
  });

  test("C-1 a token that ran out or was revoked opens nothing; the time is the leader's", () => {
    const mesh = foundedMesh();
    mesh.ask("a", "owner", tokenCommand("other"));
    expect(mesh.codeOf("a", "owner", { kind: "token-revoked", token: "other" })).toBe("done");
    expect(mesh.codeOf("a", "membership", admission("b", "other"))).toBe("token_wrong");
    expect(mesh.codeOf("a", "owner", { kind: "token-revoked", token: "none" })).toBe("token_wrong");
    expect(mesh.codeOf("a", "owner", tokenCommand("t"))).toBe("token_exists");
    mesh.timeMs += hourMs - 1;
    const late = { ...admission("b", "t"), clockMs: mesh.timeMs };
    expect(mesh.codeOf("a", "membership", { ...late, mesh: "other" })).toBe("mesh_wrong");
    mesh.timeMs += 1;
    expect(mesh.codeOf("a", "membership", late)).toBe("token_expired");
    // A new leader whose clock is behind does not bring it back to life.
    mesh.timeMs -= 10;
    expect(mesh.codeOf("a", "membership", late)).toBe("token_expired");
    expect(mesh.state.members.length).toBe(1);
  });

  test("C-1 who left or was evicted comes back only in a later epoch", () => {
    const mesh = foundedMesh(true);
    mesh.ask("a", "owner", { kind: "node-evicted", node: "b", reason: "a test" });
    expect(mesh.codeOf("a", "membership", admission("b", "t"))).toBe("epoch_stale");
    expect(mesh.codeOf("a", "membership", proven({ ...admission("b", "t"), epoch: 2 }))).toBe(
      "done",
    );
  });

  test("C-9 a manifest keeps out who is not in it; C-11 a posture asks for its claims", () => {
    const mesh = foundedMesh();
    const named = (node: string) => ({ node, key: keyOf(node), roles: namedRoles });
    const manifest = { nodes: [named("b"), named("a")], policies: [] };
    const posture = {
      ...{ kind: "posture-set" as const, discovery: "off" as const, claims: [] as string[] },
      posture: "compute-market" as const,
    };
    const attested = { ...posture, posture: "attested-peers" as const };
    expect(mesh.codeOf("a", "owner", attested)).toBe("posture_unfounded");
    expect(mesh.codeOf("a", "owner", { kind: "manifest-set", manifest })).toBe("done");
    expect(mesh.codeOf("a", "owner", attested)).toBe("posture_unfounded");
    expect(mesh.codeOf("a", "owner", { ...attested, claims: ["measured-boot"] })).toBe("done");
    expect(mesh.codeOf("a", "membership", admission("c", "t"))).toBe("manifest_outside");
    expect(mesh.codeOf("a", "membership", admission("b", "t"))).toBe("claims_missing");
    const claims = ["measured-boot"];
    expect(mesh.codeOf("a", "membership", { ...admission("b", "t"), claims })).toBe("done");
    expect(mesh.codeOf("a", "owner", posture)).toBe("compute_market_refused");
    const twice = { nodes: [named("a"), named("a")], policies: [] };
    expect(mesh.codeOf("a", "owner", { kind: "manifest-set", manifest: twice })).toBe(
      "manifest_outside",
    );
  });
});

describe("C-9 C-11 description", () => {
  const pose = (posture: "trusted-lan" | "configured-peers"): Command => ({
    kind: "posture-set",
    ...{ posture, discovery: "off", claims: [] },
  });

  test("C-9 drift names who is outside the manifest and who is absent; C-11 it bars a posture", () => {
    const mesh = foundedMesh(true);
    const named = (node: string) => ({ node, key: keyOf(node), roles: namedRoles });
    const set = (nodes: readonly string[]): Command => ({
      kind: "manifest-set",
      manifest: { nodes: nodes.map(named), policies: [] },
    });
    expect(mesh.codeOf("a", "owner", pose("trusted-lan"))).toBe("done");
    expect(mesh.codeOf("a", "owner", set(["d", "a"]))).toBe("done");
    const { digest } = mesh.state.manifest!;
    expect(driftOf(mesh.state, mesh.state.manifest!)).toEqual({ outside: ["b"], absent: ["d"] });
    expect(mesh.codeOf("a", "owner", pose("configured-peers"))).toBe("posture_unfounded");
    mesh.ask("a", "owner", set(["a", "d"]));
    expect(mesh.state.manifest!.digest).toBe(digest);
    mesh.ask("a", "owner", set(["a", "b"]));
    expect(mesh.state.manifest!.digest).not.toBe(digest);
    expect(mesh.codeOf("a", "owner", pose("configured-peers"))).toBe("done");
    const roles = { ...named("b"), roles: [] };
    mesh.ask("a", "owner", {
      kind: "manifest-set",
      manifest: { nodes: [named("a"), roles], policies: [] },
    });
    expect(driftOf(mesh.state, mesh.state.manifest!).outside).toEqual(["b"]);
  });
});

describe("C-3 scopes", () => {
  const cases: readonly (readonly [string, string, Scope, Command])[] = [
    ["scope_lacking", "b", "owner", tokenCommand("x")],
    ["scope_lacking", "a", "membership", tokenCommand("x")],
    ["scope_lacking", "b", "self", { kind: "node-draining", node: "a" }],
    ["scope_lacking", "b", "owner", { kind: "node-evicted", node: "a", reason: "" }],
    ["scope_lacking", "a", "self", { kind: "lease-renewed", node: "b", epoch: 1 }],
    ["member_unknown", "z", "self", readiness("z")],
    ["member_unknown", "z", "membership", admission("c", "t")],
    ["mesh_wrong", "z", "owner", { ...founding, node: "z" } as Command],
    ["done", "b", "membership", admission("c", "t")],
    ["done", "a", "owner", { kind: "node-draining", node: "b" }],
  ];
  test.each(cases)("C-3 %s for %s as %s", (code, author, scope, command) => {
    const mesh = foundedMesh(true);
    const before = mesh.state;
    expect(mesh.codeOf(author, scope, command)).toBe(code);
    if (code !== "done") expect(mesh.state).toEqual(before);
  });

  test("C-3 who decided, as what and under which policy, survives a snapshot", () => {
    const mesh = foundedMesh(true);
    const policy = digestBytes("a policy");
    const command: Command = { kind: "node-evicted", node: "b", reason: "a test" };
    const event = { author: "a", scope: "owner", policy, timeMs: 2_000, term: 1, command };
    mesh.fold.outcome(JSON.stringify(event));
    mesh.fold.load(mesh.fold.save());
    const of = (subject: string) => mesh.state.provenance.find((each) => each.subject === subject);
    expect(of("member b")).toMatchObject({ author: "a", scope: "owner", policy, atMs: 2_000 });
    expect(of("token second")).toMatchObject({ author: "a", scope: "owner", policy: null });
    // What was refused decided nothing.
    expect(mesh.codeOf("a", "owner", tokenCommand("t"))).toBe("token_exists");
    expect(of("token t")).toMatchObject({ atMs: 1_000 });
  });

  test("C-3 before the founding nothing else counts, and what is no event says so", () => {
    const mesh = new TestMesh();
    expect(mesh.codeOf("a", "owner", tokenCommand("t"))).toBe("mesh_wrong");
    expect(mesh.codeOf("b", "owner", founding)).toBe("scope_lacking");
    expect(mesh.codeOf("a", "owner", founding)).toBe("done");
    for (const body of ["", "{", "[]", '{"author":"a"}', JSON.stringify({ ...founding, more: 1 })])
      expect(mesh.fold.outcome(body)).toMatchObject({ refused: "event_malformed" });
    const long = { ...founding, mesh: "m".repeat(65) } as Command;
    expect(mesh.codeOf("a", "owner", long)).toBe("event_malformed");
    const half = { ...founding, epoch: 1.5 } as Command;
    expect(mesh.codeOf("a", "owner", half)).toBe("event_malformed");
  });
});

describe("C-4 orders", () => {
  const order = (mesh: TestMesh, change = {}): Command => ({
    kind: "order-given",
    ...{ order: "o", node: "b", what: "train", fence: { ...mesh.fence(), ...change } },
  });

  test("C-4 an order with an older fence is refused: older term, older index, other authority", () => {
    const mesh = foundedMesh(true);
    mesh.term = 3;
    expect(mesh.codeOf("a", "coordinator", order(mesh, { index: 9 }))).toBe("done");
    expect(mesh.codeOf("a", "coordinator", order(mesh, { index: 8 }))).toBe("fence_stale");
    expect(mesh.codeOf("a", "coordinator", order(mesh, { term: 2, index: 10 }))).toBe(
      "fence_stale",
    );
    const other = { index: 10, authority: digestBytes("another") };
    expect(mesh.codeOf("a", "coordinator", order(mesh, other))).toBe("fence_stale");
    expect(mesh.codeOf("a", "coordinator", order(mesh, { index: 9 }))).toBe("done");
    expect(mesh.codeOf("b", "coordinator", order(mesh, { index: 10 }))).toBe("scope_lacking");
    expect(mesh.state.orders.map(({ fence }) => fence.index)).toEqual([9, 9]);
  });

  test("C-4 a fence of a term that has not begun is refused, and makes no later order stale", () => {
    const mesh = foundedMesh(true);
    for (const term of [2, Number.MAX_SAFE_INTEGER])
      expect(mesh.codeOf("a", "coordinator", order(mesh, { term }))).toBe("fence_stale");
    mesh.term = 2;
    expect(mesh.codeOf("a", "coordinator", order(mesh))).toBe("done");
  });

  test("C-4 a deposed coordinator is refused even before its successor gave any order", () => {
    const mesh = foundedMesh(true);
    const old = order(mesh, { index: 50 });
    mesh.term = 2;
    mesh.ask("b", "self", { kind: "lease-renewed", node: "b", epoch: 1 });
    mesh.term = 1;
    expect(mesh.codeOf("a", "coordinator", old)).toBe("fence_stale");
  });
});

describe("C-6 liveness", () => {
  const self = (kind: "lease-renewed" | "node-left", epoch = 1) =>
    ({ kind, node: "b", epoch }) as const;

  test("C-6 the defaults stand in the state and can be set, in an order that makes sense", () => {
    const mesh = foundedMesh();
    const { configuration } = mesh.state;
    expect(configuration).toMatchObject({ intervalMs: 5_000, staleMs: 15_000, expiryMs: 30_000 });
    expect(configuration).toMatchObject({ leaseMs: 60_000, drainMs: 15_000 });
    const set = (leaseMs: number) =>
      ({ kind: "configuration-set", configuration: { ...configuration, leaseMs } }) as const;
    expect(mesh.codeOf("a", "owner", set(29_999))).toBe("configuration_unfit");
    expect(mesh.codeOf("a", "owner", set(90_000))).toBe("done");
    expect(mesh.state.configuration.leaseMs).toBe(90_000);
  });

  test("C-6 a lease is renewed, ends in its time, and its member comes back after a month", () => {
    const mesh = foundedMesh(true);
    const end = (): Command => ({ kind: "lease-expired", node: "b", fence: mesh.fence() });
    mesh.timeMs += 30_000;
    expect(mesh.codeOf("b", "self", self("lease-renewed"))).toBe("done");
    mesh.timeMs += 59_999;
    expect(mesh.codeOf("a", "coordinator", end())).toBe("lease_live");
    mesh.timeMs += 1;
    expect(mesh.codeOf("a", "coordinator", end())).toBe("done");
    expect(mesh.codeOf("a", "coordinator", end())).toBe("lease_absent");
    expect(mesh.codeOf("b", "self", self("lease-renewed"))).toBe("member_standing_wrong");
    mesh.timeMs += 30 * 24 * hourMs;
    expect(mesh.codeOf("b", "self", readiness("b", 0))).toBe("epoch_stale");
    expect(mesh.codeOf("b", "self", readiness("b", 7))).toBe("done");
    expect(mesh.codeOf("b", "self", self("lease-renewed", 6))).toBe("epoch_stale");
  });

  test("C-6 a drain gives the lease back and ends; a farewell needs no waiting", () => {
    const mesh = foundedMesh(true);
    const off = (): Command => ({ kind: "node-offline", node: "b", fence: mesh.fence() });
    expect(mesh.codeOf("a", "coordinator", off())).toBe("member_standing_wrong");
    expect(mesh.codeOf("b", "self", { kind: "node-draining", node: "b" })).toBe("done");
    expect(mesh.codeOf("b", "self", { kind: "node-draining", node: "b" })).toBe(
      "member_standing_wrong",
    );
    expect(mesh.state.leases.map(({ node }) => node)).toEqual(["a"]);
    expect(mesh.codeOf("a", "coordinator", off())).toBe("lease_live");
    mesh.timeMs += 15_000;
    expect(mesh.codeOf("a", "coordinator", off())).toBe("done");
    expect(mesh.codeOf("b", "self", self("node-left"))).toBe("done");
    expect(mesh.codeOf("b", "self", readiness("b"))).toBe("member_unknown");
    expect(mesh.codeOf("a", "self", { kind: "node-left", node: "a", epoch: 1 })).toBe(
      "member_standing_wrong",
    );
  });

  test("C-7 a member says at each start where it is reached; any ready member labels it", () => {
    const mesh = foundedMesh(true);
    const moved = { ...readiness("b", 2), contact: { ...contactOf("b"), places: ["10.0.0.9:1"] } };
    expect(mesh.codeOf("b", "self", moved)).toBe("done");
    expect(mesh.state.members[1]!.contact.places).toEqual(["10.0.0.9:1"]);
    const label = (name: string, value: string) =>
      ({ kind: "node-labelled", node: "b", label: name, value }) as const;
    expect(mesh.codeOf("a", "membership", label("rack", "7"))).toBe("done");
    expect(mesh.codeOf("b", "self", label("lane", "avx2"))).toBe("done");
    expect(mesh.codeOf("b", "self", label("rack", "8"))).toBe("done");
    expect(mesh.state.members[1]!.labels).toEqual([
      { label: "lane", value: "avx2" },
      { label: "rack", value: "8" },
    ]);
    mesh.ask("b", "self", label("rack", ""));
    expect(mesh.state.members[1]!.labels).toEqual([{ label: "lane", value: "avx2" }]);
    for (let count = 1; count < 16; count++) mesh.ask("b", "self", label(`l${count}`, "x"));
    expect(mesh.codeOf("b", "self", label("one-more", "x"))).toBe("mesh_full");
  });

  test("C-6 an epoch that was seen counts", () => {
    const mesh = foundedMesh(true);
    const seen = (epoch: number) => ({ kind: "epoch-seen", node: "b", epoch }) as const;
    expect(mesh.codeOf("b", "self", seen(4))).toBe("done");
    expect(mesh.codeOf("b", "self", seen(3))).toBe("epoch_stale");
    expect(mesh.codeOf("b", "self", self("lease-renewed", 3))).toBe("epoch_stale");
  });

  test("C-6 nobody counts the starts of another, who could never say that it is there again", () => {
    const mesh = foundedMesh(true);
    const epoch = Number.MAX_SAFE_INTEGER;
    for (const scope of ["membership", "self"] as const)
      expect(mesh.codeOf("b", scope, { kind: "epoch-seen", node: "a", epoch })).toBe(
        "scope_lacking",
      );
    expect(mesh.codeOf("a", "self", readiness("a", 2))).toBe("done");
  });
});

describe("C-7 facts", () => {
  const link = (from: string, to: string): Command => ({
    kind: "link-measured",
    ...{ from, to, roundTripUs: 300, bytesPerSecond: 1_000, lossPerMillion: 0 },
    ...{ path: "direct", class: "near" },
  });
  const blob = (isHeld: boolean): Command => ({
    kind: "residency-set",
    ...{ node: "b", blob: digestBytes("blob"), isHeld },
  });

  test("C-7 links move the digest of the topology, blobs that of the residency", () => {
    const mesh = foundedMesh(true);
    const [topology, residency] = [topologyDigest(mesh.state), residencyDigest(mesh.state)];
    expect(mesh.codeOf("b", "self", blob(true))).toBe("done");
    expect(topologyDigest(mesh.state)).toBe(topology);
    expect(residencyDigest(mesh.state)).not.toBe(residency);
    expect(mesh.codeOf("b", "self", blob(false))).toBe("done");
    expect(residencyDigest(mesh.state)).toBe(residency);
    expect(mesh.codeOf("b", "link", link("a", "b"))).toBe("done");
    expect(topologyDigest(mesh.state)).not.toBe(topology);
    expect(residencyDigest(mesh.state)).toBe(residency);
    expect(mesh.codeOf("b", "link", link("a", "c"))).toBe("scope_lacking");
    expect(mesh.codeOf("b", "link", link("b", "c"))).toBe("member_unknown");
  });

  test("C-7 a node says what it measured of itself, and nobody else does", () => {
    const mesh = foundedMesh(true);
    const facts = (node: string, loadPerMille: number): Command => ({
      kind: "node-measured",
      ...{ node, device: "cpu", memoryBytes: 1, loadPerMille, isReady: true, clockSkewMs: -2 },
      ...{ exactTokensPerSecond: 9, fastTokensPerSecond: 0 },
    });
    expect(mesh.codeOf("b", "self", facts("b", 10))).toBe("done");
    expect(mesh.codeOf("b", "self", facts("b", 20))).toBe("done");
    expect(mesh.codeOf("b", "self", facts("a", 30))).toBe("scope_lacking");
    expect(mesh.codeOf("b", "self", facts("b", -1))).toBe("event_malformed");
    for (const device of ["cpu\npsna ready", "\u001b[2J", "a\u009bb"])
      expect(mesh.codeOf("b", "self", { ...facts("b", 1), device } as Command)).toBe(
        "event_malformed",
      );
    expect(mesh.state.nodes).toMatchObject([{ node: "b", loadPerMille: 20, atMs: mesh.timeMs }]);
  });

  test("C-7 who is evicted holds nothing", () => {
    const mesh = foundedMesh(true);
    mesh.ask("b", "self", blob(true));
    mesh.ask("a", "link", link("a", "b"));
    mesh.ask("a", "owner", { kind: "node-evicted", node: "b", reason: "a test" });
    expect(mesh.state).toMatchObject({ residency: [], links: [], leases: [{ node: "a" }] });
  });
});
