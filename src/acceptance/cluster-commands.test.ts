import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { free, Member, minutes } from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";

/** What an operator types at two nodes of one mesh, and what comes of it at the other. */

async function standingAt(home: Member, node: string): Promise<string | undefined> {
  const rows = await home.nodes("--all", "--fresh");
  return rows.find((row) => row.node === node)?.standing;
}

/** Takes the second into the first's mesh with a new token, and gives the second's id. */
async function joined(one: Member, two: Member): Promise<string> {
  const { line } = (await one.json("token", "create")) as { line: string };
  const { status, stderr } = await two.run(...line.split(" ").slice(1), ...free);
  expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
  const { node } = (await two.json("nodes")) as { node: string };
  await until("it is ready", async () => (await standingAt(one, node)) === "ready");
  return node;
}

describe("C-5 C-6 an operator's commands", () => {
  test(
    "C-5 two members compare states; a snapshot of one is checked without a daemon",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await one.json("up", ...free);
      await joined(one, two);
      expect(await two.json("cluster", "verify")).toMatchObject({
        members: [{ outcome: "equal", reason: null }],
      });
      const file = join(one.path, "mesh.json");
      await one.json("cluster", "snapshot", "--to", file);
      expect(await two.json("cluster", "verify", "--snapshot", file)).toMatchObject({
        ...{ signer: "proven", memberCount: 2 },
      });
      await two.run("down");
      expect(await two.json("cluster", "verify", "--snapshot", file)).toMatchObject({
        ...{ signer: "proven", agreesHere: null },
      });
      expect((await two.run("cluster", "verify")).status).toBe(15);
    },
    3 * minutes,
  );

  test(
    "C-6 a member leaves for good and comes back with a token; the last owner cannot leave",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await one.json("up", ...free);
      const node = await joined(one, two);
      const mesh = ((await two.json("cluster", "status")) as { mesh: string }).mesh;
      expect(await two.json("cluster", "leave")).toMatchObject({ node, left: mesh });
      expect(await standingAt(one, node)).toBe("left");
      expect((await two.json("nodes")) as object).toMatchObject({ nodes: [{ node }] });
      expect(((await two.json("cluster", "status")) as { mesh: string }).mesh).not.toBe(mesh);
      expect(await joined(one, two)).toBe(node);
      expect((await one.run("cluster", "leave")).status).toBe(14);
    },
    3 * minutes,
  );

  test(
    "C-6 a member that was told to drain stays offline until its next start",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await one.json("up", ...free);
      await one.json("cluster", "configure", "--drain", "1s");
      const node = await joined(one, two);
      await one.json("node", "drain", node);
      const offline = async () => (await standingAt(one, node)) === "offline";
      await until("it is offline", offline);
      // What it would say if it came back by itself is said within two seconds.
      const { index } = (await one.json("nodes", "--fresh")) as { index: number };
      await until("the log has moved on", async () => {
        await one.json("node", "label", "self", `look=${Date.now()}`);
        return ((await one.json("nodes", "--fresh")) as { index: number }).index > index + 8;
      });
      expect(await offline()).toBe(true);
      await two.run("down");
      await two.json("up", ...free);
      await until("it is ready", async () => (await standingAt(one, node)) === "ready");
    },
    3 * minutes,
  );
});
