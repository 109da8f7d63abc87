import { describe, expect, test } from "bun:test";
import { jsonLines } from "./binary.ts";
import { Cluster, type ClusterMachine } from "./cluster-machine.fixture.ts";
import { MachineNetwork, networkNote } from "./cluster-network.fixture.ts";
import { until } from "./daemon.fixture.ts";

interface NodeRow {
  readonly node: string;
  readonly isSelf: boolean;
  readonly standing: string;
  readonly link: { readonly state: string } | null;
}

/** Whether a machine has another one beside itself in its mesh, ready, and hears it. */
async function seesAnother(machine: ClusterMachine): Promise<boolean> {
  const { nodes } = await machine.result<{ nodes: NodeRow[] }>("nodes");
  const isThere = ({ isSelf, standing, link }: NodeRow) =>
    standing === "ready" && (isSelf || link?.state === "connected");
  return nodes.length === 2 && nodes.every(isThere);
}

/** The line of an output that joins another machine, as words after the program's name. */
function joinWords(stdout: string): string[] {
  const line = stdout.split("\n").find((each) => each.startsWith("psionic join "));
  if (line === undefined) throw new Error(`no join line in: ${stdout}`);
  return line.split(" ").slice(1);
}

describe(`C-1 two machines${networkNote()}`, () => {
  test("are a cluster with three commands, and see each other within three seconds", async () => {
    await using cluster = new Cluster(new MachineNetwork(2));
    const [one, two] = cluster.machines as [ClusterMachine, ClusterMachine];
    const address = cluster.network.address(0);
    const up = await one.run("up", "--peer-host", address, "--detach", "--port", "0");
    expect(up).toMatchObject({ status: 0 });
    const startedMs = performance.now();
    const join = await two.run(...joinWords(up.stdout), "--detach", "--port", "0");
    expect(join).toMatchObject({ status: 0 });
    await until("both see each other", async () => {
      const seen = await Promise.all([seesAnother(one), seesAnother(two)]);
      return seen.every(Boolean);
    });
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    const nodes = await one.run("nodes");
    expect(nodes.status).toBe(0);
    const rows = await Promise.all([one, two].map((each) => each.json("nodes")));
    expect(new Set(rows.map(({ mesh }) => mesh)).size).toBe(1);
    for (const row of rows) expect(row["nodes"]).toHaveLength(2);
    // A machine that is asleep and comes back is in again by itself.
    expect((await two.run("down")).status).toBe(0);
    expect((await two.run("up", "--detach", "--port", "0")).status).toBe(0);
    await until("it is back", () => seesAnother(one));
    for (const machine of [two, one]) expect((await machine.run("down")).status).toBe(0);
  }, 90_000);

  test("C-6 three that joined by the printed line alone go on without the first, and all start again by plain up", async () => {
    await using cluster = new Cluster(new MachineNetwork(3));
    const [one, two, three] = cluster.machines as [ClusterMachine, ClusterMachine, ClusterMachine];
    const address = cluster.network.address(0);
    const up = ["up", "--detach", "--port", "0"];
    expect(await one.run(...up, "--peer-host", address)).toMatchObject({ status: 0 });
    const { stdout } = await one.run("token", "create", "--reusable");
    for (const machine of [two, three]) {
      const joined = await machine.run(...joinWords(stdout), "--detach", "--port", "0");
      expect(joined).toMatchObject({ status: 0 });
      const place = machine.network.canFail ? machine.network.address(machine.index) : "127.0.0.1";
      expect(joined.stderr).toContain(`others reach this node at ${place}:`);
    }
    const decides = async (machine: ClusterMachine, value: string) =>
      (await machine.ask("node/label", { node: "self", label: `rack=${value}` })).kind === "result";
    await until("all three decide", async () => {
      const { voters } = await three.result<{ voters: unknown[] }>("cluster/status");
      return voters.length === 3 && decides(three, "1");
    });
    // The first is lost; the two others have never been told of each other's addresses by anybody.
    expect((await one.run("down")).status).toBe(0);
    await until("two decide", () => decides(three, "2"));
    for (const machine of [two, three]) expect((await machine.run("down")).status).toBe(0);
    // Nobody says an address again.
    for (const machine of [one, two, three]) expect((await machine.run(...up)).status).toBe(0);
    await until("all are in again", () => decides(two, "3"));
    const { stdout: told } = await two.run("logs", "-n", "200");
    const { node: lost } = await one.json("nodes");
    for (const words of [
      "leads the mesh, term",
      "was admitted to the mesh",
      `${String(lost)} is not reached`,
    ])
      expect(told).toContain(words);
    const { daemon } = await one.json("status");
    expect(daemon).toMatchObject({ peer: { address: expect.stringContaining(`${address}:`) } });
    const other = await one.run("up", "--peer-host", "127.0.0.9");
    expect(other.stderr).toContain("it runs without --peer-host 127.0.0.9");
    for (const machine of [three, two, one]) expect((await machine.run("down")).status).toBe(0);
  }, 120_000);

  test("a token serves once; what is refused leaves no member behind", async () => {
    await using cluster = new Cluster(new MachineNetwork(3));
    const [one, two, three] = cluster.machines as [ClusterMachine, ClusterMachine, ClusterMachine];
    await one.up();
    const again = await one.run("up");
    const words = joinWords(again.stdout);
    await Promise.all([two.up(), three.up()]);
    expect((await two.run(...words)).status).toBe(0);
    const { stdout, status } = await three.run(...words, "--json");
    expect(status).not.toBe(0);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ code: "token_used" });
    const { nodes } = await one.result<{ nodes: NodeRow[] }>("nodes", { all: true });
    expect(nodes).toHaveLength(2);
    const alone = await three.result<{ nodes: NodeRow[] }>("nodes");
    expect(alone.nodes).toHaveLength(1);
  }, 90_000);

  test("C-5 one that starts while the other is gone still knows its mesh, and says what it lacks", async () => {
    await using cluster = new Cluster(new MachineNetwork(2));
    await cluster.form();
    const [one, two] = cluster.machines as [ClusterMachine, ClusterMachine];
    for (const value of ["1", "2"]) {
      await two.result("node/label", { node: "self", label: `rack=${value}` });
      await cluster.agree();
    }
    await Promise.all([one.kill(), two.kill()]);
    await two.up();
    const { nodes } = await two.result<{
      nodes: { isSelf: boolean; labels: { label: string; value: string }[] }[];
    }>("nodes");
    expect(nodes).toHaveLength(2);
    expect(nodes.find(({ isSelf }) => isSelf)!.labels).toEqual([{ label: "rack", value: "2" }]);
    const refused = await two.json("node", "label", "self", "rack=3");
    expect(refused["code"]).toBe("cluster_leaderless");
    expect(await two.json("cluster", "status")).toMatchObject({
      ...{ hasQuorum: false, neededCount: 1, heardCount: 0, leader: null },
    });
    await one.up();
    await until("both decide again", async () => {
      const answer = await two.ask("node/label", { node: "self", label: "rack=4" });
      return answer.kind === "result";
    });
    await cluster.agree();
  }, 90_000);
});
