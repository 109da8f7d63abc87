import { afterEach, describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { machineClock } from "#src/node/clock.ts";
import type { Signer } from "#src/peer/envelope.ts";
import { alice, bob, mallory, random } from "#src/peer/peer.fixture.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type Discovery, openDiscovery } from "./discovery.ts";

const mesh = `psm${"a".repeat(32)}`;
/** A port of this process's own: other runs of the tests ping on theirs. */
const group = { host: "239.255.74.21", port: 20_000 + (process.pid % 20_000) };
const loopback = Object.entries(networkInterfaces()).find(([, addresses]) =>
  addresses?.some(({ internal, family }) => internal && family === "IPv4"),
)![0];
const open: Discovery[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.stop()));
});

async function discover(identity: Signer, of = mesh, interfaceName = loopback) {
  const discovery = await openDiscovery({
    ...{ interfaceName, signer: () => identity, random, clock: machineClock, group },
    ...{ mesh: () => of, port: () => 7420 },
  });
  open.push(discovery);
  return discovery;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(5);
  }
}

describe("C-8 discovery on an interface", () => {
  test("C-8 two nodes of a mesh see each other, and a third of another mesh neither", async () => {
    const other = await discover(mallory, `psm${"b".repeat(32)}`);
    const [a, b] = [await discover(alice), await discover(bob)];
    await until("both saw the other", () => a.seen().length > 0 && b.seen().length > 0);
    expect(a.seen().map(({ node }) => node)).toEqual([bob.nodeId]);
    expect(b.seen().map(({ node }) => node)).toEqual([alice.nodeId]);
    expect(other.seen()).toEqual([]);
    expect(a.placesOf(bob.nodeId)).toEqual([]);
    a.setMembers([{ node: bob.nodeId, key: bob.key.publicKey }]);
    expect(a.placesOf(bob.nodeId)).toEqual(["127.0.0.1:7420"]);
  });

  test("C-8 an interface that is not there is refused with the names of those that are", async () => {
    const refusal = await discover(alice, mesh, "nowhere0").catch((error: unknown) => error);
    expect((refusal as Refusal).code).toBe("interface_unknown");
    expect((refusal as Refusal).hint).toContain(loopback);
  });
});
