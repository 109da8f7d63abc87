import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PolicyNode } from "./policy.fixture.ts";
import { verifyAttestation } from "./attestation.ts";

interface Said {
  readonly ready?: true;
  readonly key: string;
  readonly execution?: string;
  readonly code?: string;
  readonly state?: string | null;
}

/** A process of execute-child.fixture.ts, held back until it is told to begin. */
class Child {
  readonly #process;
  readonly #lines: AsyncGenerator<Said>;

  constructor(...words: string[]) {
    this.#process = Bun.spawn(
      [process.execPath, `${import.meta.dir}/execute-child.fixture.ts`, ...words],
      {
        ...{ stdin: "pipe", stdout: "pipe", stderr: "inherit" },
      },
    );
    this.#lines = linesOf(this.#process.stdout);
  }

  async ready(): Promise<this> {
    const { value } = await this.#lines.next();
    expect(value).toEqual({ ready: true });
    return this;
  }

  begin(): void {
    void this.#process.stdin.end();
  }

  /** Everything it says until it ends; killed after so many lines where a number is given. */
  async said(killAfter = Infinity): Promise<Said[]> {
    const said: Said[] = [];
    for await (const line of this.#lines) {
      said.push(line);
      if (said.length === killAfter) this.#process.kill("SIGKILL");
    }
    await this.#process.exited;
    if (killAfter === Infinity) expect(this.#process.exitCode).toBe(0);
    return said;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Said> {
  const decoder = new TextDecoder();
  let held = "";
  for await (const chunk of stream) {
    held += decoder.decode(chunk, { stream: true });
    const lines = held.split("\n");
    held = lines.pop()!;
    for (const line of lines) yield JSON.parse(line) as Said;
  }
}

/** A home that children share, with the sample policy in it. */
async function sharedHome() {
  const home = mkdtempSync(join(tmpdir(), "policy-shared-"));
  const node = new PolicyNode(home, true);
  await node.add();
  return {
    ...{ home, node },
    [Symbol.dispose]() {
      node[Symbol.dispose]();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

describe("A-8 at most once, over processes", () => {
  test("A-8 of 200 requests by four processes exactly one executes", async () => {
    using shared = await sharedHome();
    const children = Array.from(
      { length: 4 },
      () => new Child(shared.home, "parallel", "50", "once"),
    );
    await Promise.all(children.map(async (child) => child.ready()));
    for (const child of children) child.begin();
    const said = (await Promise.all(children.map(async (child) => child.said()))).flat();
    expect(said).toHaveLength(200);
    expect(said.filter(({ execution }) => execution !== undefined)).toHaveLength(1);
    expect(said.filter(({ code }) => code === "execution_duplicate")).toHaveLength(199);
    expect(await shared.node.marks("once")).toBe(1);
  }, 60_000);

  test("A-8 killed again and again, nothing runs twice and nothing acknowledged is lost", async () => {
    using shared = await sharedHome();
    const { node, home } = shared;
    const total = 40;
    const acknowledged = new Map<string, string>();
    const note = (said: readonly Said[]) => {
      for (const { key, execution } of said)
        if (execution !== undefined) {
          expect(acknowledged.has(key)).toBe(false);
          acknowledged.set(key, execution);
        }
    };
    for (const killAfter of [2, 5, 9, 14, 20, 27]) {
      const child = await new Child(home, "sequence", String(total)).ready();
      child.begin();
      const said = await child.said(killAfter);
      expect(said.length).toBeLessThan(total);
      note(said);
    }
    const last = await new Child(home, "sequence", String(total)).ready();
    last.begin();
    const said = await last.said();
    note(said);
    expect(said).toHaveLength(total);
    const states = new Map(said.map(({ key, state }) => [key, state]));
    // The kills met executions on their way, or this test says nothing.
    expect([...states.values()]).toContain("unfinished");
    const log = await node.services.receipts.open();
    for (let index = 0; index < total; index++) {
      const key = `key-${index}`;
      const execution = acknowledged.get(key);
      const marks = await node.marks(key);
      expect(marks).toBeLessThanOrEqual(1);
      if (execution === undefined) {
        // Claimed by a process that was killed before it could say so.
        expect(["unfinished", "done"]).toContain(String(states.get(key)));
        continue;
      }
      expect(marks).toBe(1);
      const [logged] = log.list({ kind: "execution.attested", subject: execution, limit: 2 });
      expect(verifyAttestation(logged!.receipt).body.ended).toBe("done");
    }
    const rows = node.services.store.get(
      `SELECT count(*) AS claimed, sum(state = 'done') AS done,
         (SELECT count(*) FROM receipt WHERE kind = 'execution.attested') AS attested FROM execution`,
    );
    expect(rows).toMatchObject({ claimed: total });
    expect(rows!["attested"]).toBe(rows!["done"]);
  }, 60_000);
});
