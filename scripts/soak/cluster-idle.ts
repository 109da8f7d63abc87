/**
 * What a cluster costs that has nothing to do: the share of a core of each node's process, and the bytes
 * a second of each link, as the nodes count them and as the cables do, with every header.
 *
 *     bun scripts/soak/cluster-idle.ts [SECONDS] [NODES]
 */
import { readFileSync } from "node:fs";
import { Cluster, type ClusterMachine } from "#src/acceptance/cluster-machine.fixture.ts";
import { MachineNetwork } from "#src/acceptance/cluster-network.fixture.ts";

const secondMaximum = 86_400;
const nodeMaximum = 32;

const seconds = Math.min(secondMaximum, Number(process.argv[2] ?? 60));
const nodeCount = Math.min(nodeMaximum, Number(process.argv[3] ?? 5));
if (!(seconds > 0) || !(nodeCount >= 2))
  throw new Error("bun scripts/soak/cluster-idle.ts [SECONDS] [NODES]");

/** Seconds of processor time of a process so far; the kernel counts them in hundredths. */
function processorSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const residentMiB = (pid: number) =>
  Math.round(Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) / 256);

interface LinkBytes {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

async function linkBytes(machine: ClusterMachine): Promise<number[]> {
  const { nodes } = await machine.result<{ nodes: { link: LinkBytes | null }[] }>("nodes");
  return nodes.flatMap(({ link }) => (link === null ? [] : [link.sentBytes + link.receivedBytes]));
}

await using cluster = new Cluster(new MachineNetwork(nodeCount));
await cluster.form();
await cluster.agree();
// What joining set going has come to rest.
await Bun.sleep(20_000);
const { machines, network } = cluster;
const taken = async () => ({
  atMs: performance.now(),
  processor: machines.map(({ pid }) => processorSeconds(pid)),
  links: await Promise.all(machines.map(linkBytes)),
  cables: network.canFail ? machines.map(({ index }) => network.bytes(index)) : [],
});
const from = await taken();
await Bun.sleep(seconds * 1_000);
const to = await taken();
const passedSeconds = (to.atMs - from.atMs) / 1_000;
const rates = (one: readonly number[], other: readonly number[]) =>
  other.map((value, at) => (value - one[at]!) / passedSeconds);
const links = to.links.flatMap((bytes, at) => rates(from.links[at]!, bytes)).map(Math.round);
console.log(
  JSON.stringify({
    ...{ nodeCount, seconds: Math.round(passedSeconds) },
    corePercent: rates(from.processor, to.processor).map((share) =>
      Number((share * 100).toFixed(2)),
    ),
    /** Of each link at each of its ends: both ways together. */
    linkBytesPerSecond: { most: Math.max(...links), each: links },
    /** Of each cable, both ways together, with every header; divided by the links that go over it. */
    cableBytesPerSecondPerLink: rates(from.cables, to.cables).map((rate) =>
      Math.round(rate / (nodeCount - 1)),
    ),
    residentMiB: machines.map(({ pid }) => residentMiB(pid)),
  }),
);
