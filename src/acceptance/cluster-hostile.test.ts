import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./binary.ts";
import { Cluster, type ClusterMachine } from "./cluster-machine.fixture.ts";
import { MachineNetwork, networkNote } from "./cluster-network.fixture.ts";

const program = join(root, "src/acceptance/cluster-hostile.fixture.ts");

const residentBytes = ({ pid }: ClusterMachine) =>
  Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4_096;

test.skipIf(process.platform !== "linux")(
  `A-2 a thousand hostile connections at a member, while the cluster works, change nothing${networkNote()}`,
  async () => {
    await using cluster = new Cluster(new MachineNetwork(4));
    const { network } = cluster;
    // The fourth machine is the stranger's.
    const members = cluster.machines.slice(0, 3);
    await cluster.form(members);
    const [target] = members as [ClusterMachine];
    const [place] = await placesOf(target);
    const words = [process.execPath, program, ...place!.split(":"), "1000"];
    const before = residentBytes(target);
    const stranger = Bun.spawn(network.command(3, words), { stdout: "pipe", stderr: "inherit" });
    let mostBytes = before;
    let count = 0;
    while (stranger.exitCode === null && stranger.signalCode === null) {
      const machine = members[count++ % members.length]!;
      await machine.result("node/label", { node: "self", label: `at=${count}` });
      mostBytes = Math.max(mostBytes, residentBytes(target));
      await Bun.sleep(50);
    }
    expect(stranger.exitCode).toBe(0);
    const { made } = JSON.parse(await stranger.stdout.text()) as { made: Record<string, number> };
    expect(Object.values(made).reduce((sum, each) => sum + each, 0)).toBe(1_000);
    expect(count).toBeGreaterThan(50);
    expect(mostBytes - before).toBeLessThan(256 * 1024 * 1024);
    // Its links stood all the while, and the door is open to a caller who behaves.
    const { nodes } = await target.result<{ nodes: { link: { state: string } | null }[] }>("nodes");
    for (const { link } of nodes) expect(link?.state ?? "connected").toBe("connected");
    await cluster.agree(members);
  },
  120_000,
);

async function placesOf(machine: ClusterMachine): Promise<string[]> {
  const { nodes } = await machine.result<{ nodes: { isSelf: boolean; places: string[] }[] }>(
    "nodes",
  );
  return nodes.find(({ isSelf }) => isSelf)!.places;
}
