import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";
import { lives } from "./daemon.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

describe("the demonstration", () => {
  test("W-7 demo: nodes train one model while one is killed, one joins, one lies and the coordinator dies; the proof holds elsewhere", async () => {
    const home = folder.file("home");
    const outcome = await runBinary(["demo", "--json", "--no-input"], {
      ...{ home, timeoutMs: 900_000 },
    });
    const lines = jsonLines(outcome.stdout);
    const done = lines.at(-1)!;
    expect({ status: outcome.status, stderr: outcome.stderr, ...done }).toMatchObject({
      ...{ status: 0, stderr: "", type: "done", nodes: 5, joined: 1, killed: 2 },
      ...{ cheatersCaught: 1, handovers: 1, verified: true },
    });
    expect(Number(done["exactMatch"])).toBeGreaterThanOrEqual(0.99);

    const of = (type: string) => lines.filter((line) => line["type"] === type);
    const [liar] = of("node").filter(({ lies }) => lies === true);
    expect(of("caught")).toMatchObject([{ number: liar!["number"], id: liar!["id"] }]);
    expect(of("killed").map(({ isLeader }) => isLeader)).toEqual([false, true]);
    expect(of("back")).toHaveLength(2);
    const [handover] = of("handover");
    expect(handover!["from"]).not.toBe(handover!["to"]);
    // Nothing of it runs on, and each node's home is there to be looked at.
    for (const { pid } of of("killed")) expect(lives(Number(pid))).toBe(false);
    const first = join(String(done["folder"]), "node-1");
    expect(existsSync(join(first, "node.db"))).toBe(true);
    const answer = await runBinary(["sample", "demo", "--prompt", "1234+5678=", "--json"], {
      home: first,
    });
    expect({ status: answer.status, stderr: answer.stderr }).toEqual({ status: 0, stderr: "" });

    const verified = await runBinary(["verify", String(done["bundle"]), "--json"], {
      home: folder.file("elsewhere"),
    });
    expect(verified.status).toBe(0);
  }, 1_000_000);
});
