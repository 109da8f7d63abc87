import { describe, expect, test } from "bun:test";
import { DaemonHome, lives, until } from "./daemon.fixture.ts";

/** What a mesh goes on after: members that go, founders that leave, machines that are lost for good. */

const minutes = 60_000;
const free = ["--detach", "--port", "0", "--peer-port", "0"] as const;

interface Status {
  readonly mesh: string;
  readonly leader: string | null;
  readonly digest: string;
  readonly owners: readonly string[];
  readonly isOwner: boolean;
  readonly voters: readonly { readonly node: string }[];
  readonly learners: readonly { readonly node: string }[];
  readonly node: { readonly node: string; readonly taking: string };
  readonly log: { readonly appliedIndex: number };
}

class Member extends DaemonHome {
  node = "";

  status = async () => (await this.json("cluster", "status")) as unknown as Status;

  async up(): Promise<void> {
    await this.json("up", ...free);
    this.node = (await this.status()).node.node;
  }

  async code(...words: string[]): Promise<unknown> {
    const { status, stdout } = await this.run(...words, "--json");
    if (status === 0) return null;
    return (JSON.parse(stdout.trim().split("\n").at(-1)!) as { code: unknown }).code;
  }

  /** Takes the others in with a token each. */
  async takeIn(...others: readonly Member[]): Promise<void> {
    for (const other of others) {
      const { line } = (await this.json("token", "create")) as { line: string };
      const joined = await other.run(...line.split(" ").slice(1), ...free);
      if (joined.status !== 0) throw new Error(joined.stderr);
      other.node = (await other.status()).node.node;
    }
  }

  async kill(): Promise<void> {
    const { pid } = this.file;
    process.kill(pid, "SIGKILL");
    await until("it is gone", () => !lives(pid));
  }

  decides = async (...members: readonly Member[]) => {
    const ids = members.map(({ node }) => node).toSorted();
    const { voters } = await this.status();
    return JSON.stringify(voters.map(({ node }) => node)) === JSON.stringify(ids);
  };

  says = async (value: string) =>
    (await this.run("node", "label", "self", `says=${value}`)).status === 0;
}

/** Waits until all have applied as much, and expects one state. */
async function agree(...members: readonly Member[]): Promise<void> {
  const digests = await until("equal indexes", async () => {
    const all = await Promise.all(members.map((each) => each.status()));
    const indexes = new Set(all.map(({ log }) => log.appliedIndex));
    return indexes.size === 1 ? all.map(({ digest }) => digest) : null;
  });
  expect(new Set(digests).size).toBe(1);
}

describe("C-4 an odd number decides", () => {
  test(
    "C-4 of two the second comes and goes, killed too; of three any may be lost",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await using three = new Member("three");
      await one.up();
      await one.takeIn(two);
      expect(await one.decides(one)).toBe(true);
      await two.kill();
      expect(await one.says("alone")).toBe(true);
      await two.up();
      await one.takeIn(three);
      await until("three decide", () => one.decides(one, two, three));
      await one.kill();
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
      await one.up();
      await one.takeIn(two);
      const { mesh } = await one.status();
      expect(await two.code("token", "create")).toBe("scope_lacking");
      expect(await two.code("node", "own", two.node)).toBe("scope_lacking");
      expect(await one.code("node", "own", one.node, "--no")).toBe("owner_last");
      await one.json("node", "own", two.node);
      await until("it knows", async () => (await two.status()).isOwner);
      await two.takeIn(three);
      await until("three decide", () => one.decides(one, two, three));
      expect(await one.code("cluster", "leave")).toBe("member_standing_wrong");
      await one.json("node", "own", one.node, "--no");
      expect(await one.json("cluster", "leave")).toMatchObject({ left: mesh });
      const own = await one.status();
      expect(own).toMatchObject({ leader: one.node, owners: [one.node] });
      expect(own.mesh).not.toBe(mesh);
      await until("one of the two decides", async () => {
        const { voters, learners } = await two.status();
        return voters.length === 1 && learners.length === 1;
      });
      expect(await two.says("on")).toBe(true);
      // It joins the mesh that it founded like anybody, with nothing of its own to decide there.
      await two.takeIn(one);
      expect((await one.status()).mesh).toBe(mesh);
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
      await one.up();
      await one.takeIn(two);
      await one.json("node", "own", two.node);
      await one.json("node", "own", one.node, "--no");
      expect(await one.decides(one)).toBe(true);
      await two.kill();
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
