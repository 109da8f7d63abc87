import { afterEach, describe, expect, test } from "bun:test";
import type { LinkView } from "#src/peer/link.ts";
import type { SeenNode } from "#src/peer/discovery.ts";
import { ClusterMachine } from "./cluster-machine.fixture.ts";
import { MachineNetwork, whyNoNetwork } from "./cluster-network.fixture.ts";
import { until } from "./daemon.fixture.ts";

/** Ways between members that no address leads over: through a third, and to where discovery saw somebody. */

const reason = whyNoNetwork();
const note = reason === null ? "" : ` (${reason})`;
const machines: ClusterMachine[] = [];
let network: MachineNetwork | null = null;
afterEach(async () => {
  await Promise.all(machines.splice(0).map((machine) => machine.kill()));
  network?.[Symbol.dispose]();
  network = null;
});

/** So many machines, of which the first has founded a mesh and the others have joined it. */
async function cluster(count: number, ...words: (readonly string[])[]): Promise<ClusterMachine[]> {
  network = new MachineNetwork(count);
  for (let index = 0; index < count; index++) machines.push(new ClusterMachine(network, index));
  await Promise.all(machines.map((machine, index) => machine.up(...(words[index] ?? []))));
  const all = [...machines];
  for (const machine of all.slice(1)) {
    const { line } = (await all[0]!.json("token", "create")) as { line: string };
    const [, ...join] = line.split(" ");
    expect((await machine.run(...join)).status).toBe(0);
  }
  return all;
}

interface Peers {
  readonly node: string;
  readonly links: readonly LinkView[];
  readonly seen: { readonly interfaceName: string; readonly nodes: readonly SeenNode[] } | null;
}

const peers = (machine: ClusterMachine) => machine.result<Peers>("peers");

async function idOf(machine: ClusterMachine): Promise<string> {
  return (await peers(machine)).node;
}

async function linkOf(from: ClusterMachine, to: string): Promise<LinkView | undefined> {
  return (await peers(from)).links.find(({ node }) => node === to);
}

async function untilPath(from: ClusterMachine, to: string, path: LinkView["path"]) {
  return until(`the path is ${path}`, async () => {
    const link = await linkOf(from, to);
    return link?.path === path && link.state === "connected" && link;
  });
}

describe("C-8 ways that no address leads over", () => {
  test.skipIf(reason !== null)(
    `C-8 two members that cannot hear each other go through the third, and back${note}`,
    async () => {
      const [founder, a, b] = (await cluster(3)) as [
        ClusterMachine,
        ClusterMachine,
        ClusterMachine,
      ];
      const [relay, idOfA, idOfB] = await Promise.all([idOf(founder), idOf(a), idOf(b)]);
      await Promise.all([untilPath(a, idOfB, "direct"), untilPath(b, idOfA, "direct")]);
      network!.deafen(1, 2);
      network!.deafen(2, 1);
      const [ofA, ofB] = await Promise.all([
        untilPath(a, idOfB, "relayed"),
        untilPath(b, idOfA, "relayed"),
      ]);
      expect([ofA.relay, ofB.relay]).toEqual([relay, relay]);
      expect(ofA.reason).not.toBeNull();
      // What either writes is in the log of both.
      for (const [index, machine] of [a, b].entries()) {
        const words = ["node", "label", "self", `way=relayed-${index}`];
        expect((await machine.run(...words)).status).toBe(0);
      }
      network!.heal();
      await Promise.all([untilPath(a, idOfB, "direct"), untilPath(b, idOfA, "direct")]);
      expect((await linkOf(a, idOfB))?.relay).toBeNull();
    },
    120_000,
  );

  test.skipIf(reason !== null)(
    `C-8 a member that moved is found on the named interface${note}`,
    async () => {
      const discover = ["--discover", "eth0"];
      const near = ["--peer-port", "7420", ...discover];
      const [founder, doorless] = (await cluster(2, near, [...["--no-peers", ...discover]])) as [
        ClusterMachine,
        ClusterMachine,
      ];
      const moved = await idOf(founder);
      await untilPath(doorless, moved, "direct");
      // No address that anybody knows leads from one to the other any more.
      await founder.kill();
      await founder.up("--peer-port", "7500", ...discover);
      const { place } = await untilPath(doorless, moved, "direct");
      expect(place).toBe(`${network!.address(0)}:7500`);
      const { seen } = await peers(doorless);
      expect(seen).toMatchObject({
        interfaceName: "eth0",
        nodes: [{ node: moved, isMember: true }],
      });
      const refused = await doorless.run(
        "up",
        "--home",
        `${doorless.home}-other`,
        "--discover",
        "eth9",
      );
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain("interface_unknown");
      expect(refused.stderr).toContain("eth0");
    },
    120_000,
  );
});
