import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import {
  digests,
  free,
  kill,
  Member as Home,
  minutes,
  type Status,
} from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";

/** What a mesh goes on after: members that go, founders that leave, machines that are lost for good. */

interface Facts extends Status {
  readonly owners: readonly string[];
  readonly isOwner: boolean;
  readonly voters: readonly { readonly node: string }[];
  readonly learners: readonly { readonly node: string }[];
}

class Member extends Home {
  node = "";

  facts = () => this.call<Facts>("cluster", "status");

  async rise(): Promise<void> {
    await this.open();
    this.node = (await this.facts()).node.node;
  }

  /** The code of a refusal; null where the command does what it says. */
  async code(...words: string[]): Promise<unknown> {
    const { type, code } = await this.call<{ type?: string; code?: string }>(...words);
    return type === "refusal" ? code : null;
  }

  /** Takes the others in with a token each. */
  async takeIn(...others: readonly Member[]): Promise<void> {
    for (const other of others) {
      const { line } = await this.call<{ line: string }>("token", "create");
      const joined = await other.run(...line.split(" ").slice(1), ...free);
      if (joined.status !== 0) throw new Error(joined.stderr);
      other.node = (await other.facts()).node.node;
    }
  }

  decides = async (...members: readonly Member[]) => {
    const ids = members.map(({ node }) => node).toSorted();
    const { voters } = await this.facts();
    return JSON.stringify(voters.map(({ node }) => node)) === JSON.stringify(ids);
  };

  says = async (value: string) =>
    (await this.run("node", "label", "self", `says=${value}`)).status === 0;
}

/** Waits until all have applied as much, and expects one state. */
async function agree(...members: readonly Member[]): Promise<void> {
  expect(new Set(await digests(...members)).size).toBe(1);
}

describe("C-4 an odd number decides", () => {
  test(
    "C-4 of two the second comes and goes, killed too; of three any may be lost",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await using three = new Member("three");
      await one.rise();
      await one.takeIn(two);
      expect(await one.decides(one)).toBe(true);
      await kill(two);
      expect(await one.says("alone")).toBe(true);
      await two.up();
      await one.takeIn(three);
      await until("three decide", () => one.decides(one, two, three));
      await kill(one);
      await until("the others go on", () => two.says("on"));
      expect(await three.says("on")).toBe(true);
      await one.up();
      await agree(one, two, three);
    },
    3 * minutes,
  );
});

describe("C-6 owners", () => {
  test(
    "C-6 another owner grows the mesh; the founder leaves it then, has another, and comes back",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await using three = new Member("three");
      await one.rise();
      await one.takeIn(two);
      const { mesh } = await one.facts();
      expect(await two.code("token", "create")).toBe("scope_lacking");
      expect(await two.code("node", "own", two.node)).toBe("scope_lacking");
      expect(await one.code("node", "own", one.node, "--no")).toBe("owner_last");
      await one.json("node", "own", two.node);
      await until("it knows", async () => (await two.facts()).isOwner);
      await two.takeIn(three);
      await until("three decide", () => one.decides(one, two, three));
      expect(await one.code("cluster", "leave")).toBe("member_standing_wrong");
      await one.json("node", "own", one.node, "--no");
      expect(await one.json("cluster", "leave")).toMatchObject({ left: mesh });
      const own = await one.facts();
      expect(own).toMatchObject({ leader: one.node, owners: [one.node] });
      expect(own.mesh).not.toBe(mesh);
      await until("one of the two decides", async () => {
        const { voters, learners } = await two.facts();
        return voters.length === 1 && learners.length === 1;
      });
      expect(await two.says("on")).toBe(true);
      // It joins the mesh that it founded like anybody, with nothing of its own to decide there.
      await two.takeIn(one);
      expect((await one.facts()).mesh).toBe(mesh);
      await until("three decide", () => two.decides(one, two, three));
      await agree(one, two, three);
    },
    3 * minutes,
  );

  test(
    "C-6 who decides alone lets another decide before it leaves",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await one.rise();
      await one.takeIn(two);
      await one.json("node", "own", two.node);
      await one.json("node", "own", one.node, "--no");
      expect(await one.decides(one)).toBe(true);
      await kill(two);
      const killedMs = performance.now();
      await until("its last answer is too old", () => performance.now() > killedMs + 2_000);
      expect(await one.code("cluster", "leave")).toBe("majority_needed");
      await two.up();
      await until("it may go", async () => (await one.code("cluster", "leave")) === null);
      await until("the other decides", () => two.decides(two));
      expect(await two.says("alone")).toBe(true);
    },
    3 * minutes,
  );
});

describe("C-5 more than half of those who decide are lost", () => {
  test(
    "C-5 one that is left recovers the mesh, grows it, and another that was away follows",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await using three = new Member("three");
      await using four = new Member("four");
      await using five = new Member("five");
      await one.rise();
      expect(await one.code("cluster", "recover")).toBe("home_locked");
      await one.takeIn(two, three, four);
      await until("three decide", () => one.decides(one, two, three));
      const { mesh } = await one.facts();
      expect(await three.says("before")).toBe(true);
      await agree(one, two, three, four);
      await kill(four);
      expect(await three.says("known")).toBe(true);
      await agree(one, two, three);
      for (const home of [one, two]) {
        await kill(home);
        rmSync(home.path, { recursive: true });
      }
      expect(await three.code("node", "label", "self", "says=lost")).toBe("cluster_leaderless");
      await kill(three);
      const shown = await three.call<Record<string, unknown>>("cluster", "recover");
      expect(shown).toMatchObject({ mesh, isDone: false, owners: [one.node] });
      expect(shown["voters"]).toHaveLength(3);
      const words = await three.run("cluster", "recover");
      expect(words.stderr).toContain("nothing was changed");
      // Only looked at, it is as before.
      await three.up();
      expect(await three.code("node", "label", "self", "says=lost")).toBe("cluster_leaderless");
      expect((await three.run("down")).status).toBe(0);
      const done = await three.json("cluster", "recover", "--others-are-lost");
      expect(done).toMatchObject({ mesh, isDone: true });
      expect(await three.code("cluster", "recover", "--others-are-lost")).toBe("recovery_unneeded");
      await three.up();
      await until("it leads", async () => (await three.facts()).leader === three.node);
      const { nodes } = await three.call<{
        nodes: readonly { node: string; labels: readonly { value: string }[] }[];
      }>("nodes");
      expect(nodes.find(({ node }) => node === three.node)!.labels[0]!.value).toBe("known");
      expect(await three.receipts("cluster.recovered")).toHaveLength(1);
      await three.takeIn(five);
      // Who was away while all that happened is back by itself.
      await four.up();
      await until("three decide", () => three.decides(three, four, five));
      await three.json("node", "own", one.node, "--no");
      for (const { node } of [one, two])
        await three.json("node", "evict", node, "--reason", "lost");
      expect(await four.says("back")).toBe(true);
      await agree(three, four, five);
      expect(await four.receipts("cluster.recovered")).toHaveLength(1);
      await until("all see each other", async () => (await five.sees(3)) && (await four.sees(3)));
    },
    5 * minutes,
  );
});
