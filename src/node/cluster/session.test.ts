import { describe, expect, test } from "bun:test";
import { memberOf } from "#src/cluster/members.ts";
import { meshVersion } from "#src/cluster/version.ts";
import { proveAdmission, tokenKey } from "#src/cluster/admission-proof.ts";
import type { Newcomer } from "#src/cluster/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { AdmissionDesk } from "./admission-desk.ts";
import { foldedAt } from "./fold-again.ts";
import { knownMember } from "./mesh-book.ts";
import { refusalReceiptMaximum } from "./records.ts";
import { FakeNetwork, SessionHome, tickUntil } from "./session.fixture.ts";

const secret = "5".repeat(32);
const roles = ["host", "coordinator"] as const;
const signal = new AbortController().signal;

async function makeToken({ session }: SessionHome, token = "door"): Promise<void> {
  const command = {
    token,
    secret: tokenKey(secret),
    roles: [...roles],
    isReusable: false,
    lifetimeMs: 60_000,
  };
  await session.submit("owner", { kind: "token-created", ...command });
}

const deskOf = (home: SessionHome) =>
  new AdmissionDesk({
    ...{ services: home.services, records: home.records, node: home.node },
    session: () => home.session,
  });

function newcomerOf(home: SessionHome, founder: SessionHome, changes: Partial<Newcomer> = {}) {
  const newcomer = {
    ...{ mesh: founder.session.row.mesh, node: home.node, key: home.key, epoch: home.epoch + 1 },
    ...{ roles: [...roles], version: meshVersion, contact: home.contact, claims: [] },
    ...{ token: "door", clockMs: Math.floor(home.services.clock.wallMs()) },
    ...changes,
  };
  return { ...newcomer, proof: changes.proof ?? proveAdmission(secret, newcomer) };
}

/** What `join` does, without a connection. */
async function join(home: SessionHome, founder: SessionHome, token = "door"): Promise<void> {
  const { mesh, index, members, ...told } = await deskOf(founder).admit(
    newcomerOf(home, founder, { token }),
    false,
    signal,
  );
  const known = members
    .filter(({ node }) => node !== home.node)
    .map(({ node, contact }) => knownMember(node, contact, 0));
  await home.stop();
  home.book.enter({ mesh, founder: told.founder, seenIndex: index }, known);
  await home.start();
}

const isReady = (at: SessionHome, of: SessionHome) =>
  memberOf(at.session.state, of.node)?.standing === "ready";

async function pair(network: FakeNetwork): Promise<[SessionHome, SessionHome]> {
  const homes = [await SessionHome.open(network), await SessionHome.open(network)] as const;
  const [one, two] = homes;
  await one.start();
  await makeToken(one);
  await join(two, one);
  await tickUntil(network, homes, () => isReady(one, two) && isReady(two, one));
  return [one, two];
}

const receipts = (home: SessionHome, kind: string) =>
  home.services.receipts.opened().list({ kind, limit: 100 });

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

describe("C-1 a mesh of one", () => {
  test("C-4 founds itself at once, without waiting for anybody, and goes on after a restart", async () => {
    const network = new FakeNetwork();
    await using home = await SessionHome.open(network);
    const session = await home.start();
    expect(session.standing()).toMatchObject({ standing: "member", role: "leader", spareCount: 0 });
    const { mesh } = session.state;
    await makeToken(home);
    const before = session.standing();
    await home.stop();
    const again = await home.start();
    // Leading again is an entry of its own; what was decided is there.
    expect(again.state.mesh).toBe(mesh);
    expect(again.state.tokens).toHaveLength(1);
    expect(again.standing().term).toBe(before.term + 1);
    expect(receipts(home, "cluster.led")).toHaveLength(0);
  });

  test("C-5 the state folded again from the disk is the one in memory", async () => {
    const network = new FakeNetwork();
    await using home = await SessionHome.open(network);
    const { replica } = await home.start();
    await makeToken(home);
    const parts = { store: home.store, founder: home.node, appliedIndex: replica.appliedIndex };
    expect(foldedAt(parts, replica.appliedIndex).digest).toBe(replica.digest());
    expect(foldedAt(parts, replica.appliedIndex - 1).digest).not.toBe(replica.digest());
    expect(() => foldedAt(parts, replica.appliedIndex + 1)).toThrow("keeps the log");
  });

  test("C-5 a full disk makes it mute, and room makes it well, without a restart", async () => {
    const network = new FakeNetwork();
    await using home = await SessionHome.open(network);
    await home.start();
    home.store.isFull = true;
    expect(await codeOf(makeToken(home))).toBe("cluster_uncertain");
    expect(home.session.failure).toMatchObject({ code: "disk_full" });
    expect(await codeOf(makeToken(home, "other"))).toBe("disk_full");
    home.store.isFull = false;
    await home.session.heal();
    expect(home.session.failure).toBeNull();
    await makeToken(home, "third");
    expect(home.session.state.tokens.map(({ token }) => token)).toContain("third");
    const { appliedIndex } = home.session.replica;
    const parts = { store: home.store, founder: home.node, appliedIndex };
    expect(foldedAt(parts, appliedIndex).digest).toBe(home.session.replica.digest());
  });
});

describe("C-1 admission", () => {
  test("C-1 who is refused writes nothing into the log, and leaves a receipt", async () => {
    const network = new FakeNetwork();
    await using one = await SessionHome.open(network);
    await using two = await SessionHome.open(network);
    await one.start();
    await makeToken(one);
    const desk = deskOf(one);
    const { appliedIndex } = one.session.replica;
    const refused = (changes: Partial<Newcomer>, isProbe = false) =>
      codeOf(desk.admit(newcomerOf(two, one, changes), isProbe, signal));
    expect(await refused({ proof: "0".repeat(128) })).toBe("token_wrong");
    expect(await refused({ mesh: "psmother" })).toBe("mesh_wrong");
    expect(await refused({ clockMs: Date.now() - 3_600_000 })).toBe("clock_skewed");
    expect(await refused({ version: meshVersion + 1 })).toBe("version_unfit");
    expect(await refused({ proof: "0".repeat(128) }, true)).toBe("token_wrong");
    expect(one.session.replica.appliedIndex).toBe(appliedIndex);
    expect(receipts(one, "cluster.refused")).toHaveLength(4);
    // The probe of one who would come in changes nothing either.
    expect(await refused({}, true)).toBeNull();
    expect(one.session.replica.appliedIndex).toBe(appliedIndex);
    expect(await refused({})).toBeNull();
    expect(memberOf(one.session.state, two.node)?.standing).toBe("joining");
  });

  test("C-1 an answer that was lost is given again; nobody else gets it", async () => {
    const network = new FakeNetwork();
    await using one = await SessionHome.open(network);
    await using two = await SessionHome.open(network);
    await using thief = await SessionHome.open(network);
    await one.start();
    await makeToken(one);
    const desk = deskOf(one);
    const first = await desk.admit(newcomerOf(two, one), false, signal);
    const { appliedIndex } = one.session.replica;
    const again = await desk.admit(newcomerOf(two, one), false, signal);
    expect(again.members).toEqual(first.members);
    expect(one.session.replica.appliedIndex).toBe(appliedIndex);
    const other = (changes: Partial<Newcomer>) =>
      codeOf(desk.admit(newcomerOf(two, one, changes), false, signal));
    expect(await other({ proof: "0".repeat(128) })).toBe("token_wrong");
    expect(await other({ key: thief.key })).toBe("token_used");
    expect(await codeOf(desk.admit(newcomerOf(thief, one), false, signal))).toBe("token_used");
  });

  test("C-12 receipts of refusals are bounded, and so is how often is asked", async () => {
    const network = new FakeNetwork();
    await using one = await SessionHome.open(network);
    await using two = await SessionHome.open(network);
    await one.start();
    const desk = deskOf(one);
    const codes = new Set<string | null>();
    for (let count = 0; count < 100; count++)
      codes.add(await codeOf(desk.admit(newcomerOf(two, one), false, signal)));
    expect([...codes]).toEqual(["token_wrong", "cluster_busy"]);
    const { length } = receipts(one, "cluster.refused");
    expect(length).toBeGreaterThanOrEqual(refusalReceiptMaximum);
    expect(length).toBeLessThan(refusalReceiptMaximum + 5);
    expect(one.records.refusalCount).toBeGreaterThan(length);
    // Who guesses shuts nobody out who has a token.
    await makeToken(one);
    expect(await codeOf(desk.admit(newcomerOf(two, one, { token: "no" }), true, signal))).toBe(
      "cluster_busy",
    );
    const admitted = await desk.admit(newcomerOf(two, one), false, signal);
    expect(admitted.mesh).toBe(one.session.row.mesh);
  });
});

describe("C-3 a mesh of two", () => {
  test("C-3 C-12 both hold one state, and each its own receipt, once over restarts", async () => {
    const network = new FakeNetwork();
    const [one, two] = await pair(network);
    await using first = one;
    await using second = two;
    const homes = [first, second];
    const isEqual = () =>
      first.session.replica.appliedIndex === second.session.replica.appliedIndex;
    await tickUntil(network, homes, isEqual);
    expect(first.session.standing().digest).toBe(second.session.standing().digest);
    for (const home of homes) {
      const [receipt, ...more] = receipts(home, "cluster.admitted");
      expect(more).toHaveLength(0);
      expect(receipt!.receipt).toMatchObject({ author: home.node, subject: second.node });
      expect(Object.keys(receipt!.receipt.body)).toContain("event");
      await home.stop();
      await home.start();
    }
    // Somebody leads anew, which both record.
    const hasLed = (home: SessionHome) => receipts(home, "cluster.led").length > 0;
    await tickUntil(network, homes, () => homes.every(hasLed));
    for (const home of homes) expect(receipts(home, "cluster.admitted")).toHaveLength(1);
  });

  test("C-5 a home knows whom to dial before it has read its log, and after a restart alone", async () => {
    const network = new FakeNetwork();
    await using one = await SessionHome.open(network);
    await using two = await SessionHome.open(network);
    await one.start();
    await makeToken(one);
    await join(two, one);
    expect(two.session.standing()).toMatchObject({ standing: "joining", appliedIndex: 0 });
    const dialled = (home: SessionHome) => network.members.get(home.node)?.map(({ node }) => node);
    expect(dialled(two)).toEqual([one.node]);
    // Killed before it heard anything it still knows.
    await two.stop();
    network.members.delete(two.node);
    await two.start();
    expect(dialled(two)).toEqual([one.node]);
    await tickUntil(network, [one, two], () => isReady(two, two));
    await one.stop();
    network.members.delete(one.node);
    await one.start();
    expect(dialled(one)).toEqual([two.node]);
    expect(one.session.standing().standing).toBe("member");
  });

  test("C-6 who is evicted learns it, asks for nothing any more, and says so after a restart", async () => {
    const network = new FakeNetwork();
    const [one, two] = await pair(network);
    await using first = one;
    await using second = two;
    const evicted = first.session.submit("owner", {
      ...({ kind: "node-evicted", node: second.node, reason: "test" } as const),
    });
    const isOut = () => second.session.standing().standing === "out";
    await tickUntil(network, [first, second], isOut);
    await evicted;
    expect(await codeOf(makeToken(second))).toBe("cluster_out");
    expect(network.members.get(second.node)).toEqual([]);
    await second.stop();
    await second.start();
    expect(second.session.standing().standing).toBe("out");
    // The rest decides alone again.
    await tickUntil(network, [first], () => first.session.standing().voters.length === 1);
    await makeToken(first, "after");
    expect(receipts(first, "cluster.evicted")).toHaveLength(1);
  });

  test("C-6 a farewell: the node drains, and another leads, before its time is over", async () => {
    const network = new FakeNetwork();
    const [one, two] = await pair(network);
    await using first = one;
    await using second = two;
    await using third = await SessionHome.open(network);
    const homes = [first, second];
    await makeToken(first, "third");
    await join(third, first, "third");
    const all = [...homes, third];
    await tickUntil(network, all, () => first.session.standing().voters.length === 3);
    const leaver = all.find(({ session }) => session.isLeader)!;
    const others = all.filter((home) => home !== leaver);
    const gone = leaver.session.farewell(5_000);
    await tickUntil(network, all, () => others.some(({ session }) => session.isLeader));
    await gone;
    const [stayer] = others;
    expect(memberOf(stayer!.session.state, leaver.node)?.standing).toBe("draining");
    await leaver.stop();
    await leaver.start();
    await tickUntil(network, all, () => isReady(stayer!, leaver));
  });
});
