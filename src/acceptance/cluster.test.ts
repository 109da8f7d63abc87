import { describe, expect, test } from "bun:test";
import { readToken, tokenText } from "#src/cluster/join-token.ts";
import { jsonLines } from "./binary.ts";
import { digests, free, kill, Member, mesh, minutes } from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";

/** Several homes on this machine become one mesh. */

const evict = (node: string) => ["node", "evict", node, "--reason", "it was lent"];

describe("C-1 joining", () => {
  test(
    "C-1 C-12 three commands make two nodes that see each other; joining again is no error",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      const words = await one.open();
      const startedMs = performance.now();
      const joined = await two.run(...words, ...free);
      expect(joined.stderr).toContain("it has 2 members now");
      await until("both see both", async () => (await one.sees(2)) && (await two.sees(2)));
      expect(performance.now() - startedMs).toBeLessThan(6_000);
      const [a, b] = await digests(one, two);
      expect(a).toBe(b);
      expect((await one.nodes())[0]!.node).toBe((await two.nodes())[0]!.node);
      expect((await two.run(...words)).stderr).toContain("already");
      expect((await two.nodes()).length).toBe(2);
      // Each has its own receipt of what it applied, once, also after a restart.
      expect(await one.receipts("cluster.admitted")).toHaveLength(1);
      await kill(one);
      await one.open();
      await until("both see both again", async () => (await one.sees(2)) && (await two.sees(2)));
      expect(await one.receipts("cluster.admitted")).toHaveLength(1);
    },
    2 * minutes,
  );

  test(
    "C-1 wrong, used, expired and foreign tokens are refused by name, and leave no member behind",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      const [, place = "", , text = ""] = await one.open();
      const token = readToken(text);
      const refused = async (shown: string, ...more: string[]) => {
        const { status, stdout } = await two.run(
          ...["join", place, "--token", shown, ...free, ...more, "--json"],
        );
        expect(status).not.toBe(0);
        expect(two.hasFile).toBe(false);
        return jsonLines(stdout).at(-1)!["code"];
      };
      const other = (changes: Partial<typeof token>) => tokenText({ ...token, ...changes });
      expect(await refused(text.slice(0, -2))).toBe("token_malformed");
      expect(await refused(other({ secret: "0".repeat(32) }))).toBe("token_wrong");
      expect(await refused(other({ token: "nobody" }))).toBe("token_wrong");
      expect(await refused(other({ mesh: `psm${"a".repeat(32)}` }))).toBe("mesh_wrong");
      expect(await refused(other({ certificate: "0".repeat(64) }))).toBe("certificate_changed");
      const brief = await one.call<{ text: string }>("token", "create", "--ttl", "1ms");
      expect(await refused(brief.text)).toBe("token_expired");
      const narrow = await one.call<{ text: string }>("token", "create", "--roles", "trainer");
      expect(await refused(narrow.text, "--roles", "coordinator")).toBe("token_wrong");
      expect(await one.nodes("--all")).toHaveLength(1);
      // A newcomer refused before the log was asked has its receipt all the same.
      const refusals = await one.receipts("cluster.refused");
      expect(refusals.length).toBeGreaterThanOrEqual(5);
      expect((await two.run("join", place, "--token", text, ...free)).status).toBe(0);
      await using third = new Member("three");
      const again = await third.run("join", place, "--token", text, ...free, "--json");
      expect(jsonLines(again.stdout).at(-1)!["code"]).toBe("token_used");
      expect(await one.nodes("--all")).toHaveLength(2);
      // Who is a member of a mesh with others in it does not slip into another one.
      const foreign = await third.open();
      const torn = await two.run(...foreign, "--json");
      expect(jsonLines(torn.stdout).at(-1)!["code"]).toBe("cluster_member");
    },
    3 * minutes,
  );

  test(
    "C-6 a member that was evicted knows it, and comes back with a new token in a later epoch",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await mesh(one, two);
      const before = await two.status();
      expect((await one.run(...evict(before.node.node))).status).toBe(0);
      await until("it knows", async () => (await two.status()).node.taking === "out");
      const ready = await fetch("http://localhost/readyz", { unix: two.file.socket });
      expect(await ready.text()).toContain("cluster_out");
      expect((await two.json("node", "label", "self", "a=b"))["code"]).toBe("cluster_out");
      // It starts all the same, and says the same.
      expect((await two.run("down")).status).toBe(0);
      expect((await two.run("up", ...free)).status).toBe(0);
      expect((await two.status()).node.taking).toBe("out");
      const { line } = await one.call<{ line: string }>("token", "create");
      const joined = await two.run(...line.split(" ").slice(1));
      expect(joined.stderr).toContain("it has 2 members now");
      const after = await two.status();
      expect(after.node.epoch).toBeGreaterThan(before.node.epoch);
      expect(after.node.node).toBe(before.node.node);
      await until("both see both", async () => (await one.sees(2)) && (await two.sees(2)));
      expect(await two.receipts("cluster.evicted")).toHaveLength(1);
    },
    2 * minutes,
  );
});

describe("C-6 leaving", () => {
  test(
    "C-6 who leaves has a mesh of its own again, and joins anew, in the foreground and without a door",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await mesh(one, two);
      const { mesh: theirs } = await one.status();
      expect((await one.json("cluster", "leave"))["code"]).toBe("member_standing_wrong");
      expect((await two.run("cluster", "leave")).status).toBe(0);
      const own = await two.status();
      expect(own.mesh).not.toBe(theirs);
      expect(own).toMatchObject({ leader: own.node.node, node: { taking: "member" } });
      expect(await one.nodes()).toHaveLength(1);
      expect((await one.run("node", "label", "self", "is=alone")).status).toBe(0);
      expect((await two.run("down")).status).toBe(0);
      const { line } = await one.call<{ line: string }>("token", "create");
      const words = [...line.split(" ").slice(1), "--port", "0", "--no-peers"];
      const child = await two.start(...words);
      await until("both see both", async () => (await one.sees(2)) && (await two.sees(2)));
      child.kill("SIGTERM");
      const said = await child.stderr.text();
      await child.exited;
      expect({ status: child.exitCode, said }).toMatchObject({ status: 0 });
      expect(said).toContain("it has 2 members now");
      await until("it said farewell", async () =>
        (await one.nodes()).some(({ standing }) => standing === "draining"),
      );
    },
    2 * minutes,
  );

  test(
    "I-1 a member whose key is rotated stays one",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await mesh(one, two);
      const before = await two.json("identity", "show");
      expect((await two.run("identity", "rotate")).status).toBe(0);
      const after = await two.json("identity", "show");
      expect(after["publicKey"]).not.toBe(before["publicKey"]);
      await until("the mesh knows the new key", async () => {
        const shown = await one.json("node", "show", String(after["nodeId"]));
        return JSON.stringify(shown).includes(String(after["publicKey"]));
      });
      await until("both see both", async () => (await one.sees(2)) && (await two.sees(2)));
      expect((await two.run("node", "label", "self", "key=new")).status).toBe(0);
      await kill(two);
      await two.open();
      await until("both see both", async () => (await one.sees(2)) && (await two.sees(2)));
    },
    2 * minutes,
  );
});

describe("C-5 members that die and come back", () => {
  test(
    "C-5 C-6 either of two is killed and comes back by itself, with everything that was decided",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await mesh(one, two);
      for (const [dead, other] of [
        [two, one],
        [one, two],
      ] as const) {
        await kill(dead);
        // It decides alone where it may, or says that it cannot; either way both agree afterwards.
        const { code = null } = await other.json("node", "label", "self", "while=alone");
        expect([null, "cluster_leaderless", "cluster_uncertain"]).toContain(code as null);
        // At the port it had: two that move at once know each other's place no more.
        await dead.up();
        await until("both see both", async () => (await one.sees(2)) && (await two.sees(2)));
        expect((await dead.run("node", "label", "self", "is=back")).status).toBe(0);
      }
      const [a, b] = await digests(one, two);
      expect(a).toBe(b);
      for (const each of [one, two]) {
        const { status, stdout } = await each.run("cluster", "verify");
        expect({ status, stdout }).toMatchObject({ status: 0 });
      }
    },
    3 * minutes,
  );

  test(
    "C-4 C-6 a leader that goes in order hands over, and the others decide without it at once",
    async () => {
      await using one = new Member("one");
      await using two = new Member("two");
      await using three = new Member("three");
      await mesh(one, two, three);
      const { leader, node } = await one.status();
      expect(leader).toBe(node.node);
      await until("three decide", async () => {
        const { voters } = await one.call<{ voters: readonly unknown[] }>("cluster", "status");
        return voters.length === 3;
      });
      expect((await one.run("down")).status).toBe(0);
      const startedMs = performance.now();
      expect((await two.run("node", "label", "self", "left=over")).status).toBe(0);
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      const standing = (await two.nodes()).find((row) => row.node === node.node)!.standing;
      expect(["draining", "offline"]).toContain(standing);
      const next = await two.status();
      expect(next.leader).not.toBe(node.node);
      expect(await two.receipts("cluster.led")).not.toHaveLength(0);
      await one.open();
      await until("it is back", () => one.sees(3));
    },
    3 * minutes,
  );
});
