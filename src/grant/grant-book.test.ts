import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  codeOf,
  grantNode,
  guestKey,
  keyOf,
  ownerKey,
  peerOf,
  thiefKey,
  type GrantNode,
} from "./grant.fixture.ts";
import { refusedPerMinute } from "./grant-book.ts";
import { watchMs } from "./metered-use.ts";
import { clockSkewMs, lifetimeMaximumMs, type GrantBudget } from "./grant.ts";

let node: GrantNode;
beforeEach(() => {
  node = grantNode();
});
afterEach(() => node.close());

const dayMs = 86_400_000;

function issue(budget: GrantBudget = {}, capabilities = ["run"], lifetimeMs = dayMs) {
  return node.issued.issue({ grantee: guestKey.publicKey, capabilities, lifetimeMs, budget });
}

const guest = (grant: unknown) => peerOf(guestKey, grant);
const useCode = (grant: unknown, command = "run/status") =>
  codeOf(() => node.book.use(guest(grant), command).finish());
const kinds = (subject: string) =>
  node.log.list({ subject, limit: 100 }).map(({ receipt }) => receipt.kind);

describe("A-6 a use", () => {
  test("A-6 leaves grant.used before it runs and grant.settled at its end, and journal entries", async () => {
    const grant = issue({ calls: 2 });
    const use = node.book.use(guest(grant), "run/status");
    expect(kinds(grant.id)).toEqual(["grant.used", "grant.issued"]);
    use.countBytes(120);
    await node.moved.pass(1_500);
    use.finish();
    use.finish();
    const [settled, used] = node.log.list({ subject: grant.id, limit: 2 });
    expect(used!.receipt.body).toEqual({
      ...{ grantee: guestKey.publicKey, command: "run/status", epoch: 1, calls: 1, reservedMs: 0 },
    });
    expect(settled!.receipt.body).toEqual({
      ...{ use: used!.digest, command: "run/status", deviceMs: 1_500, overrunMs: 0, bytes: 120 },
    });
    expect(node.book.spendings.of(grant.id)).toEqual({ calls: 1, deviceMs: 1_500, bytes: 120 });
    expect(node.journal.after(0, 10).map(({ type }) => type)).toEqual([
      ...["grant.issued", "grant.used", "grant.settled"],
    ]);
  });

  test("A-6 calls are counted before the command starts and end at the budget", () => {
    const grant = issue({ calls: 2 });
    node.book.use(guest(grant), "run");
    expect([useCode(grant), useCode(grant)]).toEqual(["accepted", "grant_exhausted"]);
    expect(node.book.judge(guest(grant), "run")?.code).toBe("grant_exhausted");
    expect(node.book.judge(guest(grant), "run", true)).toBeNull();
    expect(node.issued.standingOf(grant)).toBe("exhausted");
  });

  test("A-6 judging changes nothing", () => {
    const grant = issue({ calls: 1 });
    for (let each = 0; each < 5; each++) expect(node.book.judge(guest(grant), "run")).toBeNull();
    expect(node.book.watermarks.of(grant)).toBeNull();
    expect(kinds(grant.id)).toEqual(["grant.issued"]);
  });

  test("A-6 a grant counts for its own node only, and for one whose issuer is registered as owner", () => {
    const other = grantNode({ key: keyOf(7) });
    const grant = other.issued.issue({
      ...{ grantee: guestKey.publicKey, capabilities: ["run"], lifetimeMs: dayMs, budget: {} },
    });
    expect(useCode(grant)).toBe("grant_issuer_unknown");
    node.trust.set({ publicKey: other.key.publicKey, tier: "trusted" });
    expect(useCode(grant)).toBe("grant_issuer_unknown");
    node.trust.set({ publicKey: other.key.publicKey, tier: "owner" });
    expect(useCode(grant)).toBe("grant_wrong_mesh");
    other.close();
  });

  test("A-6 stolen, tampered and foreign grants are refused by the book as by the judge", () => {
    const grant = issue();
    expect(node.book.judge(peerOf(thiefKey, grant), "run")?.code).toBe("grant_stolen");
    expect(useCode({ ...grant, epoch: 9 })).toBe("grant_tampered");
    expect(useCode(grant, "runs")).toBe("grant_not_conferred");
    expect(useCode("x")).toBe("grant_malformed");
    node.moved.nowMs += dayMs;
    expect(useCode(grant)).toBe("grant_expired");
  });

  test("I-6 grants under the issuer's former key count until the overlap ends", () => {
    const grant = issue({}, ["run"], 10 * dayMs);
    node.log.rotate(keyOf(8), dayMs);
    expect(useCode(grant)).toBe("accepted");
    node.moved.nowMs += dayMs + 1;
    expect(useCode(grant)).toBe("grant_issuer_stale");
    expect(useCode(issue())).toBe("accepted");
  });
});

describe("A-6 a grant taken back", () => {
  test("A-6 a revocation ends the use that is running, another process's too", async () => {
    const use = node.book.use(guest(issue()), "run");
    await node.moved.pass(10_000);
    expect(use.signal.aborted).toBe(false);
    const other = grantNode({ root: node.root, clock: node.moved });
    other.issued.revoke(guestKey.publicKey, []);
    other.close();
    await node.moved.pass(watchMs);
    expect((use.signal.reason as Refusal).code).toBe("grant_revoked");
    use.finish();
  });

  test("A-6 what was admitted in time goes on when its grant is replaced or over", async () => {
    const use = node.book.use(guest(issue()), "run");
    node.book.use(guest(issue()), "run").finish();
    await node.moved.pass(2 * dayMs);
    await node.moved.pass(watchMs);
    expect(use.signal.aborted).toBe(false);
    use.finish();
  });

  test("A-6 a record that was lost brings nothing back: what it revoked was lost with it", () => {
    const [revoked, kept] = [issue(), issue()];
    node.issued.revoke(guestKey.publicKey, []);
    const anew = grantNode({ key: node.key });
    for (const grant of [revoked, kept])
      expect(codeOf(() => anew.book.use(guest(grant), "run"))).toBe("grant_revoked");
    const request = { grantee: guestKey.publicKey, capabilities: ["run"], lifetimeMs: dayMs };
    const fresh = anew.issued.issue({ ...request, budget: {} });
    expect(codeOf(() => anew.book.use(guest(fresh), "run").finish())).toBe("accepted");
    anew.close();
  });
});

describe("A-7 the watermark", () => {
  test("A-7 a newer grant takes the place of an older one once it is presented", () => {
    const [older, newer] = [issue(), issue()];
    expect([useCode(older), useCode(newer), useCode(older)]).toEqual([
      ...["accepted", "accepted", "grant_superseded"],
    ]);
    expect(node.book.judge(guest(older), "run")?.code).toBe("grant_superseded");
    expect(node.issued.standingOf(older)).toBe("superseded");
  });

  test("A-7 a refused presentation does not raise it", () => {
    const [older, newer] = [issue(), issue()];
    expect(useCode(newer, "sample")).toBe("grant_not_conferred");
    expect(codeOf(() => node.book.use(peerOf(thiefKey, newer), "run"))).toBe("grant_stolen");
    expect(useCode(older)).toBe("accepted");
  });

  test("A-7 a revocation counts at once and is evidence", () => {
    const grant = issue();
    expect(useCode(grant)).toBe("accepted");
    const { grant: taking, revoked } = node.issued.revoke(guestKey.publicKey, []);
    expect(revoked).toEqual([grant.id]);
    expect(useCode(grant)).toBe("grant_revoked");
    expect(useCode(taking)).toBe("grant_revoked");
    expect(kinds(grant.id)[0]).toBe("grant.revoked");
    expect(codeOf(() => node.issued.revoke(thiefKey.publicKey, []))).toBe("not_found");
  });

  test("A-7 what is kept keeps its end and the rest of the budget", () => {
    const grant = issue({ calls: 5, bytes: 100 }, ["run", "sample"]);
    expect(useCode(grant)).toBe("accepted");
    const { grant: fewer } = node.issued.revoke(guestKey.publicKey, ["run/status"]);
    expect(fewer).toMatchObject({
      ...{ capabilities: ["run/status"], expiresMs: grant.expiresMs },
      budget: { calls: 4, bytes: 100 },
    });
    expect([useCode(fewer), useCode(fewer, "sample"), useCode(grant)]).toEqual([
      ...["accepted", "grant_not_conferred", "grant_revoked"],
    ]);
    expect(codeOf(() => node.issued.revoke(guestKey.publicKey, ["sample"]))).toBe("usage");
  });

  test("A-7 survives a restart", () => {
    const grant = issue();
    node.issued.revoke(guestKey.publicKey, []);
    const again = grantNode({ root: node.root, clock: node.moved });
    expect(codeOf(() => again.book.use(guest(grant), "run"))).toBe("grant_revoked");
    again.close();
  });

  test("A-7 eviction forgets what no live grant can reference, and readmits nothing", () => {
    const grants = [issue({}, ["run"], lifetimeMaximumMs), issue({}, ["run"], lifetimeMaximumMs)];
    expect(useCode(grants[1])).toBe("accepted");
    const rows = () => node.store.all("SELECT * FROM grant_watermark").length;
    const startMs = node.moved.nowMs;
    node.moved.nowMs = startMs + lifetimeMaximumMs + clockSkewMs;
    expect(node.book.watermarks.evict(node.moved.nowMs)).toBe(0);
    node.moved.nowMs += 1;
    expect(node.book.watermarks.evict(node.moved.nowMs)).toBe(1);
    expect(rows()).toBe(0);
    expect(useCode(grants[0])).toBe("grant_expired");
    // A clock put back brings nothing back: the horizon stands for what was forgotten.
    node.moved.nowMs = startMs;
    for (const grant of grants) expect(useCode(grant)).toBe("grant_expired");
    expect(rows()).toBe(0);
  });

  test("A-7 a budget does not begin anew when its record was evicted under a wrong clock", () => {
    const grant = issue({ calls: 1 });
    expect(useCode(grant)).toBe("accepted");
    const startMs = node.moved.nowMs;
    node.moved.nowMs = startMs + 3 * lifetimeMaximumMs;
    expect(useCode(issue())).toBe("accepted");
    node.moved.nowMs = startMs;
    expect(useCode(grant)).not.toBe("accepted");
  });

  test("A-7 no grant is issued that the horizon would refuse", () => {
    expect(useCode(issue())).toBe("accepted");
    const startMs = node.moved.nowMs;
    node.moved.nowMs = startMs + 2 * lifetimeMaximumMs;
    node.book.watermarks.evict(node.moved.nowMs);
    node.moved.nowMs = startMs + dayMs;
    expect(codeOf(() => issue({}, ["run"], 7 * dayMs))).toBe("usage");
    expect(useCode(issue({}, ["run"], lifetimeMaximumMs))).toBe("accepted");
  });

  test("A-7 issued times never go back, whatever the clock does", () => {
    const first = issue();
    node.moved.nowMs -= dayMs;
    const second = issue();
    expect(second.issuedMs).toBe(first.issuedMs);
    expect(second.epoch).toBe(first.epoch + 1);
  });
});

describe("A-6 budgets of time and bytes", () => {
  test("A-6 device-seconds end a running use when they are used up", async () => {
    const grant = issue({ deviceSeconds: 5 });
    const use = node.book.use(guest(grant), "run");
    for (let each = 0; each < 49; each++) await node.moved.pass(100);
    expect(use.signal.aborted).toBe(false);
    for (let each = 0; each < 2; each++) await node.moved.pass(100);
    expect((use.signal.reason as Refusal).code).toBe("grant_exhausted");
    use.finish();
    expect(node.book.spendings.of(grant.id).deviceMs).toBe(5_000);
    const [settled] = node.log.list({ kind: "grant.settled", limit: 1 });
    expect(settled!.receipt.body).toMatchObject({ deviceMs: 5_000, overrunMs: 100 });
    expect(useCode(grant)).toBe("grant_exhausted");
  });

  test("A-6 time that was set aside and not spent is given back", async () => {
    const grant = issue({ deviceSeconds: 60 });
    const use = node.book.use(guest(grant), "run");
    expect(node.book.spendings.of(grant.id).deviceMs).toBe(2_000);
    await node.moved.pass(300);
    use.finish();
    expect(node.book.spendings.of(grant.id).deviceMs).toBe(300);
  });

  test("A-6 uses side by side share what is left and never spend more than there is", async () => {
    const grant = issue({ deviceSeconds: 10 });
    const uses = Array.from({ length: 12 }, () => {
      try {
        return node.book.use(guest(grant), "run");
      } catch {
        return null;
      }
    }).filter((use) => use !== null);
    expect(uses.length).toBeGreaterThan(6);
    for (let each = 0; each < 100; each++) {
      await node.moved.pass(100);
      expect(node.book.spendings.of(grant.id).deviceMs).toBeLessThanOrEqual(10_000);
    }
    for (const use of uses) {
      expect(use.signal.aborted).toBe(true);
      use.finish();
    }
    expect(node.book.spendings.of(grant.id).deviceMs).toBe(10_000);
    expect(useCode(grant)).toBe("grant_exhausted");
  });

  test("A-6 time set aside by a process that was killed stays spent", () => {
    const grant = issue({ deviceSeconds: 60, bytes: 160_000 });
    node.book.use(guest(grant), "run").countBytes(10);
    const again = grantNode({ root: node.root, clock: node.moved });
    const spent = again.book.spendings.of(grant.id);
    expect(spent).toMatchObject({ calls: 1, deviceMs: 2_000 });
    expect(spent.bytes).toBeGreaterThanOrEqual(10);
    again.close();
  });

  test("A-6 bytes are refused before they are sent, and end the use", () => {
    const grant = issue({ bytes: 1_000 });
    const use = node.book.use(guest(grant), "run");
    use.countBytes(600);
    use.countBytes(400);
    expect(codeOf(() => use.countBytes(1))).toBe("grant_exhausted");
    expect((use.signal.reason as Refusal).code).toBe("grant_exhausted");
    use.finish();
    expect(node.book.spendings.of(grant.id).bytes).toBe(1_000);
  });
});

describe("A-6 a store that fails means denial", () => {
  const failing = (when: (sql: string) => boolean) => (real: Store) => {
    const check = (sql: string) => {
      if (when(sql)) throw new Refusal("store_busy", "the database is busy", "try again");
    };
    return {
      ...real,
      get: (sql: string, ...values: never[]) => (check(sql), real.get(sql, ...values)),
      run: (sql: string, ...values: never[]) => (check(sql), real.run(sql, ...values)),
    };
  };

  test("A-6 whatever part of the record cannot be read or written", () => {
    const grant = issue({ deviceSeconds: 60 });
    for (const part of [
      "grant_watermark",
      "grant_spending",
      "grant_horizon",
      "receipt",
      "journal",
    ]) {
      let broken = true;
      const store = failing((sql) => broken && sql.includes(part));
      const other = grantNode({ root: node.root, clock: node.moved, store });
      expect(codeOf(() => other.book.use(guest(grant), "run"))).toBe("grant_store_unavailable");
      broken = false;
      expect(other.book.spendings.of(grant.id)).toEqual({ calls: 0, deviceMs: 0, bytes: 0 });
      expect(other.book.watermarks.of(grant)).toBeNull();
      other.close();
    }
    expect(kinds(grant.id)).toEqual(["grant.issued"]);
    expect(useCode(grant)).toBe("accepted");
  });

  test("A-6 what cannot be settled is not answered, and stays set aside", () => {
    const grant = issue({ deviceSeconds: 60, bytes: 1_000 });
    let broken = false;
    const store = failing((sql) => broken && sql.includes("UPDATE grant_spending"));
    const other = grantNode({ root: node.root, clock: node.moved, store });
    const use = other.book.use(guest(grant), "run");
    broken = true;
    expect(codeOf(() => use.countBytes(1))).toBe("grant_store_unavailable");
    expect(codeOf(() => use.finish())).toBe("grant_store_unavailable");
    expect(node.book.spendings.of(grant.id).deviceMs).toBe(2_000);
    other.close();
  });

  test("A-6 judging denies too, and without the node's key nothing is admitted", () => {
    const grant = issue();
    const other = grantNode({
      ...{ root: node.root, clock: node.moved, store: failing((sql) => sql.includes("watermark")) },
    });
    expect(other.book.judge(guest(grant), "run")?.code).toBe("grant_store_unavailable");
    other.close();
  });
});

describe("A-6 refused presentations", () => {
  test("A-6 are journalled, a bounded number a minute", async () => {
    const grant = issue();
    const refusals = () =>
      node.journal.after(0, 1_000).filter(({ type }) => type === "grant.refused");
    for (let each = 0; each < refusedPerMinute + 10; each++) {
      const refusal = node.book.judge(guest(grant), "sample")!;
      node.book.refused(guest(grant), "sample", refusal);
    }
    expect(refusals()).toHaveLength(refusedPerMinute);
    expect(refusals()[0]).toMatchObject({
      subject: grant.id,
      body: { code: "grant_not_conferred", command: "sample" },
    });
    await node.moved.pass(60_000);
    node.book.refused(guest(grant), "sample", node.book.judge(guest(grant), "sample")!);
    expect(refusals().at(-1)!.body["unwritten"]).toBe(10);
  });
});

describe("A-6 grants a node holds", () => {
  let holder: GrantNode;
  beforeEach(() => {
    holder = grantNode({ key: guestKey });
  });
  afterEach(() => holder.close());

  const add = (document: unknown) =>
    codeOf(() => holder.presented.add(document, guestKey.publicKey));

  test("A-6 are stamped on calls to their issuer and to nobody else", () => {
    const grant = issue();
    expect(add(grant)).toBe("accepted");
    expect(holder.presented.forIssuer(node.nodeId)).toEqual(grant);
    expect(holder.presented.forIssuer(holder.nodeId)).toBeNull();
    holder.moved.nowMs = grant.expiresMs;
    expect(holder.presented.forIssuer(node.nodeId)).toBeNull();
  });

  test("A-6 are refused as their issuer would refuse them", () => {
    const grant = issue();
    expect(add({})).toBe("grant_malformed");
    expect(add({ ...grant, epoch: 7 })).toBe("grant_tampered");
    expect(codeOf(() => holder.presented.add(grant, thiefKey.publicKey))).toBe("grant_stolen");
    expect(add({ ...grant, issuer: holder.nodeId })).toBe("grant_issuer_unknown");
    const newer = issue();
    expect([add(newer), add(grant)]).toEqual(["accepted", "grant_superseded"]);
    holder.moved.nowMs = newer.expiresMs;
    expect(add(newer)).toBe("grant_expired");
  });

  test("A-6 one that only takes back is held and stamped on nothing", () => {
    const grant = issue();
    expect(add(grant)).toBe("accepted");
    expect(add(node.issued.revoke(guestKey.publicKey, []).grant)).toBe("accepted");
    expect(holder.presented.forIssuer(node.nodeId)).toBeNull();
    expect(add(grant)).toBe("grant_superseded");
  });

  test("I-6 the issuer's later keys count where its rotations were entered", () => {
    node.log.rotate(keyOf(8), dayMs);
    const grant = issue();
    expect(grant.issuer).toBe(node.nodeId);
    expect(add(grant)).toBe("grant_issuer_unknown");
    const rotations = node.log.list({ kind: "key.rotated", limit: 10 }).map((each) => each.receipt);
    holder.trust.set({ publicKey: keyOf(8).publicKey, rotations, tier: "provisional" });
    expect(add(grant)).toBe("accepted");
    expect(holder.trust.find(ownerKey.publicKey)?.nodeId).toBe(node.nodeId);
  });
});
