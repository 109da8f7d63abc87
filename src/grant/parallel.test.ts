import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machineClock } from "#src/node/clock.ts";
import { grantNode, guestKey, type GrantNode } from "./grant.fixture.ts";
import type { Grant, GrantBudget } from "./grant.ts";

interface Said {
  readonly ready?: true;
  readonly beganMs: number;
  readonly code: string;
}

/** A process of present-child.fixture.ts, held back until it is told to begin. */
class Child {
  readonly #process;
  readonly said: Said[] = [];
  readonly #ready = Promise.withResolvers<void>();
  readonly done: Promise<void>;

  constructor(home: string, file: string, count: number, bytes = 0, killAfter = Infinity) {
    const script = `${import.meta.dir}/present-child.fixture.ts`;
    this.#process = Bun.spawn(
      [process.execPath, script, home, file, String(count), String(bytes)],
      { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
    );
    this.done = this.#read(killAfter);
  }

  async #read(killAfter: number): Promise<void> {
    let held = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#process.stdout) {
      held += decoder.decode(chunk, { stream: true });
      const lines = held.split("\n");
      held = lines.pop()!;
      for (const line of lines.map((each) => JSON.parse(each) as Said)) {
        if (line.ready === true) this.#ready.resolve();
        else this.said.push(line);
      }
      if (this.said.length >= killAfter) this.#process.kill("SIGKILL");
    }
    await this.#process.exited;
    if (killAfter === Infinity) expect(this.#process.exitCode).toBe(0);
  }

  /** Resolves when every child is ready and has been told to begin. */
  static async begin(children: readonly Child[]): Promise<void> {
    await Promise.all(children.map((child) => child.#ready.promise));
    for (const child of children) void child.#process.stdin.end();
  }
}

let root: string;
let node: GrantNode;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "psionic-grant-parallel-"));
  node = grantNode({ root, clock: machineClock });
});
afterEach(() => {
  node.close();
  rmSync(root, { recursive: true, force: true });
});

function issue(budget: GrantBudget = {}): { grant: Grant; file: string } {
  const grant = node.issued.issue({
    ...{ grantee: guestKey.publicKey, capabilities: ["run"], lifetimeMs: 3_600_000, budget },
  });
  const file = join(root, `${grant.id}.json`);
  writeFileSync(file, JSON.stringify(grant));
  return { grant, file };
}

const start = (file: string, children: number, count: number, bytes = 0) =>
  Array.from({ length: children }, () => new Child(root, file, count, bytes));
const everythingSaid = (children: readonly Child[]) => children.flatMap(({ said }) => said);
const countOf = (said: readonly Said[], code: string) =>
  said.filter((each) => each.code === code).length;

/** Waits until the grants' record says so many calls; the test's own limit ends a hopeless wait. */
async function untilCalls(grant: Grant, calls: number): Promise<void> {
  while (node.book.spendings.of(grant.id).calls < calls)
    await new Promise((resolve) => setImmediate(resolve));
}

/** Epochs in the order in which their uses entered this node's chain. */
const usedEpochs = () =>
  node.log
    .list({ kind: "grant.used", limit: 10_000 })
    .map(({ receipt }) => Number(receipt.body["epoch"]))
    .toReversed();

describe("A-7 parallel presentations over processes", () => {
  test("A-7 of 1,000 none is admitted after the revocation was acknowledged", async () => {
    const { grant, file } = issue();
    const early = start(file, 4, 150);
    const later = start(file, 4, 100);
    const children = [...early, ...later];
    await Child.begin(early);
    await untilCalls(grant, 100);
    node.issued.revoke(guestKey.publicKey, ["run/status"]);
    // Processes read the start of their wall clock a little apart.
    const acknowledgedMs = performance.timeOrigin + performance.now() + 5;
    await Child.begin(later);
    await Promise.all(children.map(({ done }) => done));
    const said = everythingSaid(children).filter(({ code }) => code !== "counted");
    expect(said).toHaveLength(1_000);
    const late = said.filter(({ beganMs }) => beganMs > acknowledgedMs);
    expect(late.length).toBeGreaterThan(300);
    expect(new Set(late.map(({ code }) => code))).toEqual(new Set(["grant_revoked"]));
    expect(countOf(said, "admitted")).toBeGreaterThanOrEqual(100);
    expect(countOf(said, "admitted") + countOf(said, "grant_revoked")).toBe(1_000);
    const [revoked] = node.log.list({ kind: "grant.revoked", limit: 1 });
    const [lastUsed] = node.log.list({ kind: "grant.used", limit: 1 });
    expect(lastUsed!.receipt.sequence).toBeLessThan(revoked!.receipt.sequence);
    expect(node.book.spendings.of(grant.id).calls).toBe(countOf(said, "admitted"));
  }, 60_000);

  test("A-7 the watermark only rises, whoever presents what", async () => {
    const files = [issue().file, issue().file, issue().file];
    const children = files.map((file) => new Child(root, file, 150));
    await Child.begin(children);
    await Promise.all(children.map(({ done }) => done));
    const epochs = usedEpochs();
    expect(epochs).toEqual(epochs.toSorted((one, other) => one - other));
    expect(epochs.filter((epoch) => epoch === 3)).toHaveLength(150);
    const late = new Child(root, files[0]!, 3);
    await Child.begin([late]);
    await late.done;
    expect(late.said.map(({ code }) => code)).toEqual(Array(3).fill("grant_superseded"));
  }, 60_000);

  test("A-6 a budget of calls is used to the last and never overspent", async () => {
    const { grant, file } = issue({ calls: 150 });
    const children = start(file, 4, 60);
    await Child.begin(children);
    await Promise.all(children.map(({ done }) => done));
    const said = everythingSaid(children);
    expect(countOf(said, "admitted")).toBe(150);
    expect(countOf(said, "grant_exhausted")).toBe(90);
    expect(node.book.spendings.of(grant.id).calls).toBe(150);
    expect(usedEpochs()).toHaveLength(150);
  }, 60_000);

  test("A-6 a budget of bytes is never overspent, and what parallel uses left is to be had", async () => {
    const { grant, file } = issue({ bytes: 12_345 });
    const children = start(file, 4, 60, 100);
    await Child.begin(children);
    await Promise.all(children.map(({ done }) => done));
    const counted = countOf(everythingSaid(children), "counted");
    expect(node.book.spendings.of(grant.id).bytes).toBe(100 * counted);
    expect(100 * counted).toBeLessThanOrEqual(12_345);
    const [last] = start(file, 1, 130, 100);
    await Child.begin([last!]);
    await last!.done;
    expect(node.book.spendings.of(grant.id).bytes).toBe(12_300);
    expect(countOf(last!.said, "counted")).toBe(123 - counted);
  }, 60_000);
});

describe("A-6 kill -9 in the middle of uses", () => {
  test("A-6 what was admitted stays counted, and the budget ends where it ends", async () => {
    const { grant, file } = issue({ calls: 60, deviceSeconds: 3_600, bytes: 1_000_000 });
    let admitted = 0;
    for (const killAfter of [7, 12, 20, Infinity]) {
      const child = new Child(root, file, 100, 10, killAfter);
      await Child.begin([child]);
      await child.done;
      admitted += countOf(child.said, "admitted");
      const { calls } = node.book.spendings.of(grant.id);
      expect(calls).toBeGreaterThanOrEqual(admitted);
      expect(calls).toBeLessThanOrEqual(60);
      expect(usedEpochs()).toHaveLength(calls);
    }
    const { calls, deviceMs, bytes } = node.book.spendings.of(grant.id);
    expect(calls).toBe(60);
    // Every call that was said to be admitted is one of the sixty, and what died took its shares along.
    expect(admitted).toBeGreaterThan(30);
    const settled = node.log.list({ kind: "grant.settled", limit: 1_000 });
    const sum = (name: string) =>
      settled.reduce((total, { receipt }) => total + Number(receipt.body[name]), 0);
    const unsettled = calls - settled.length;
    expect(deviceMs).toBeGreaterThanOrEqual(sum("deviceMs"));
    expect(deviceMs - sum("deviceMs")).toBeGreaterThanOrEqual(2_000 * unsettled);
    expect(bytes).toBeGreaterThanOrEqual(sum("bytes"));
  }, 60_000);
});
