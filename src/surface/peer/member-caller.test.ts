import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ClusterHome, FakeCluster } from "#src/cluster/service.fixture.ts";
import type { Services } from "#src/command/define.ts";
import { registry } from "#src/command/registry.ts";
import { machineRandom } from "#src/node/random.ts";
import { sealCall } from "#src/peer/envelope.ts";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { answerPeer } from "./door.ts";

const key = signingKeyFromSeed(new Uint8Array(32).fill(2));
const guest = { node: nodeIdOf(key.publicKey), publicKey: key.publicKey };

let home: ClusterHome;
beforeAll(async () => {
  home = await ClusterHome.open();
  await home.composition.services.receipts.open();
});
afterAll(() => home[Symbol.dispose]());

/** What a call of the guest's ends with: `result`, or the refusal's code. */
async function endOf(cluster: FakeCluster, name: string, parameters = {}): Promise<unknown> {
  const { services: base } = home.composition;
  const services = Object.create(base, { cluster: { value: cluster } }) as Services;
  const call = { recipient: home.self.node, name, parameters, grant: null, rotations: [] };
  const envelope = sealCall(
    { nodeId: guest.node, key },
    { ...call, nowMs: Date.now(), random: machineRandom },
  );
  const frames: { kind: string; body: { code?: string } }[] = [];
  const signal = new AbortController().signal;
  await answerPeer(envelope, { registry, services, signal }, (frame) =>
    frames.push(JSON.parse(new TextDecoder().decode(frame)) as (typeof frames)[number]),
  );
  const last = frames.at(-1)!;
  return last.kind === "refusal" ? last.body.code : last.kind;
}

function founded(): FakeCluster {
  const cluster = new FakeCluster(home.self);
  cluster.mesh.timeMs = Date.now();
  cluster.found();
  return cluster;
}

describe("A-4 a member of the mesh calls", () => {
  test("A-4 it may what members may, and nothing of the owner's", async () => {
    const cluster = founded();
    expect(await endOf(cluster, "nodes")).toBe("not_authorised");
    cluster.letIn(guest);
    for (const name of ["nodes", "peers", "cluster/status", "token/list"])
      expect([name, await endOf(cluster, name)]).toEqual([name, "result"]);
    expect(await endOf(cluster, "cluster/digest", { index: 2 })).toBe("result");
    for (const name of ["token/create", "cluster/verify", "cluster/snapshot", "cluster/leave"])
      expect([name, await endOf(cluster, name)]).toEqual([name, "not_authorised"]);
  });

  test("A-4 once it was evicted it is a stranger", async () => {
    const cluster = founded();
    cluster.letIn(guest);
    expect(await endOf(cluster, "nodes")).toBe("result");
    const gone = { kind: "node-evicted", node: guest.node, reason: "sold" } as const;
    cluster.happens(home.self.node, "owner", gone);
    expect(await endOf(cluster, "nodes")).toBe("not_authorised");
  });

  test("A-4 another key than the mesh knows of it is a stranger's", async () => {
    const cluster = founded();
    cluster.letIn({ ...guest, publicKey: "ab".repeat(32) });
    expect(await endOf(cluster, "nodes")).toBe("not_authorised");
  });

  test("A-4 what the owner registered goes first: a blocked member is blocked", async () => {
    const cluster = founded();
    cluster.letIn(guest);
    const { trust } = home.composition.services;
    trust.set({ publicKey: guest.publicKey, tier: "blocked" });
    expect(await endOf(cluster, "nodes")).toBe("peer_blocked");
    trust.set({ publicKey: guest.publicKey, tier: "trusted" });
    expect(await endOf(cluster, "nodes")).toBe("result");
    trust.forget(guest.publicKey);
  });
});
