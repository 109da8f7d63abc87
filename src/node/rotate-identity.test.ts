import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import type { Disk } from "#src/port/disk.ts";
import { verifyArchive } from "#src/receipt/bundle-file.ts";
import { openBackup, sealBackup } from "#src/receipt/identity-backup.ts";
import { writeIdentity } from "#src/receipt/identity.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { keyOf, rotatedChain } from "#src/receipt/receipt.fixture.ts";
import { historyEndingIn, keyStanding, rotationMaximum } from "#src/receipt/rotation.ts";
import { receiptTables } from "#src/receipt/tables.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { machineClock } from "./clock.ts";
import { machineDisk } from "./disk.ts";
import { homePaths } from "./home.ts";
import { identityService } from "./identity-service.ts";
import { machineRandom } from "./random.ts";
import { receiptService } from "./receipt-service.ts";
import { rotateIdentity } from "./rotate-identity.ts";
import { openStore, type OpenStore } from "./store.ts";

let folder: string;
const opened: OpenStore[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-rotate-"));
});
afterEach(() => {
  for (const store of opened.splice(0)) store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A process of one home, as far as rotating goes. */
function processOf(root: string, disk: Disk = machineDisk) {
  const home = homePaths(root, {});
  let store: OpenStore | null = null;
  const openedStore = () => {
    if (store === null) opened.push((store = openStore(home, [receiptTables])));
    return store;
  };
  const ports = { disk, random: machineRandom, clock: machineClock };
  const identity = identityService(home, { ...ports, store: openedStore });
  const receipts = receiptService({ identity, clock: machineClock, store: openedStore });
  const services = { ...ports, home, identity, receipts, lock: () => ({ release() {} }) };
  return {
    identity,
    receipts,
    rotate: (overlapMs = 0) => rotateIdentity(services as unknown as Services, overlapMs),
    /** The chain as a stranger judges it. */
    async verify() {
      const { nodeId, rotations } = await identity.open();
      return verifyArchive(await receipts.open(), nodeId, rotations);
    },
  };
}

async function madeHome(name: string) {
  const root = join(folder, name);
  const made = processOf(root);
  const { nodeId } = await made.identity.openOrCreate();
  (await made.receipts.open()).append("run.created", "run", { step: 1 });
  return { root, nodeId, ...made };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "accepted";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

/** A disk that dies before its n-th change; nothing after it happens either. */
function dyingDisk(changesBefore: number): Disk & { changes: number } {
  const disk = { ...machineDisk, changes: 0 };
  for (const name of ["publish", "rename", "remove", "makeDirectory", "syncDirectory"] as const) {
    const work = machineDisk[name] as (...values: unknown[]) => Promise<void>;
    disk[name] = async (...values: unknown[]) => {
      if (disk.changes >= changesBefore) throw new Error("the process died");
      disk.changes++;
      await work(...values);
    };
  }
  return disk;
}

describe("I-6 rotation of a node's key", () => {
  test("I-6 the id stays, the key is new, the chain holds across three keys", async () => {
    const { nodeId, identity, receipts, rotate, verify } = await madeHome("home");
    const before = await identity.open();
    await rotate(60_000);
    (await receipts.open()).append("run.created", "run", { step: 2 });
    await rotate(0);
    (await receipts.open()).append("run.created", "run", { step: 3 });
    const after = await identity.open();
    expect(after.nodeId).toBe(nodeId);
    expect(after.rotations.length).toBe(2);
    expect(await verify()).toMatchObject({ count: 5, rotationCount: 2, isFromStart: true });
    const history = historyEndingIn(after.publicKey, after.rotations);
    const nowMs = Date.now();
    const standings = history.keys.map(({ key }) => keyStanding(history, key, nowMs).standing);
    expect(standings).toEqual(["overlapping", "retired", "current"]);
    expect(keyStanding(history, before.publicKey, nowMs + 60_001).standing).toBe("retired");
    expect(keyStanding(history, keyOf(9).publicKey, nowMs).standing).toBe("unknown");
  });

  test("I-6 another process of the home goes on with the new key by itself", async () => {
    const { root, rotate, verify } = await madeHome("home");
    const other = processOf(root);
    const stale = await other.receipts.open();
    await rotate();
    expect(await codeOf(Promise.resolve().then(() => stale.append("a", "s", {})))).toBe(
      "receipt_key_stale",
    );
    (await other.receipts.open()).append("a", "s", {});
    expect(await verify()).toMatchObject({ count: 3, rotationCount: 1 });
  });

  test("I-6 a death at any change of the disk leaves the old key or the new, and a chain that holds", async () => {
    const counting = dyingDisk(Number.POSITIVE_INFINITY);
    const trial = await madeHome("trial");
    await processOf(trial.root, counting).rotate();
    expect(counting.changes).toBeGreaterThanOrEqual(4);
    const keys = new Set<string>();
    for (let changes = 0; changes < counting.changes; changes++) {
      const { root, nodeId, identity } = await madeHome(`home-${changes}`);
      const before = (await identity.open()).publicKey;
      expect(processOf(root, dyingDisk(changes)).rotate()).rejects.toThrow("died");
      const next = processOf(root);
      const healed = await next.identity.open();
      keys.add(healed.publicKey === before ? "old" : "new");
      expect(healed.nodeId).toBe(nodeId);
      (await next.receipts.open()).append("run.created", "run", { changes });
      expect(await next.verify()).toMatchObject({ isFromStart: true });
      // And it can be rotated again, whatever the death left behind.
      await next.rotate();
      expect((await next.identity.open()).nodeId).toBe(nodeId);
      expect(existsSync(join(root, "identity/node.key.next"))).toBe(false);
      expect(await next.verify()).toMatchObject({ isFromStart: true });
    }
    expect([...keys].toSorted()).toEqual(["new", "old"]);
  });

  test("I-6 two rotations at once in one process: one is refused", async () => {
    const { rotate, verify } = await madeHome("home");
    const codes = await Promise.all([codeOf(rotate()), codeOf(rotate())]);
    expect(codes.toSorted()).toEqual(["accepted", "home_locked"]);
    expect(await verify()).toMatchObject({ rotationCount: 1 });
  });

  test("I-6 readers during rotations never see another node", async () => {
    const { root, nodeId, rotate } = await madeHome("home");
    const over = new AbortController();
    const seen = new Set<string>();
    const reading = (async () => {
      const { identity } = processOf(root);
      while (!over.signal.aborted) seen.add((await identity.open()).nodeId);
    })();
    for (let index = 0; index < 10; index++) await rotate();
    over.abort();
    await reading;
    expect([...seen]).toEqual([nodeId]);
  });
});

describe("I-6 the history of keys", () => {
  const rotationsPath = (root: string) => join(root, "identity/rotations.json");

  test("I-6 key files alone carry the node: id, history, and the chain goes on after it", async () => {
    const { root, nodeId, rotate } = await madeHome("home");
    await rotate();
    const copy = join(folder, "copy");
    cpSync(join(root, "identity"), join(copy, "identity"), { recursive: true });
    const moved = processOf(copy);
    expect((await moved.identity.open()).nodeId).toBe(nodeId);
    (await moved.receipts.open()).append("a", "s", {});
    expect(await moved.verify()).toMatchObject({ first: 2, last: 3, isFromStart: false });
    await moved.rotate();
    expect((await moved.receipts.open()).keyHistory().keys.length).toBe(3);
    rmSync(join(copy, "node.db"));
    const again = processOf(copy);
    expect((await again.receipts.open()).keyHistory()).toMatchObject({ nodeId });
    expect(await again.verify()).toMatchObject({ first: 4, last: 4, rotationCount: 1 });
  });

  test("I-6 a lost or damaged history is healed from the chain", async () => {
    const { root, nodeId, rotate, identity } = await madeHome("home");
    await rotate();
    const whole = readFileSync(rotationsPath(root), "utf8");
    for (const damage of [null, "", "{}", whole.replace(/"atMs":\d+/, '"atMs":5')]) {
      if (damage === null) rmSync(rotationsPath(root));
      else writeFileSync(rotationsPath(root), damage);
      expect((await identity.open()).nodeId).toBe(nodeId);
      expect(readFileSync(rotationsPath(root), "utf8")).toBe(whole);
    }
    // Without a descriptor as well, which would have said that something is missing.
    rmSync(rotationsPath(root));
    rmSync(join(root, "identity/node.json"));
    expect((await identity.open()).nodeId).toBe(nodeId);
  });

  test("I-6 without the chain a missing or forged history is refused, never a silent new identity", async () => {
    const { root, rotate } = await madeHome("home");
    const old = join(folder, "old.key");
    copyFileSync(join(root, "identity/node.key"), old);
    await rotate();
    const copy = join(folder, "copy");
    cpSync(join(root, "identity"), join(copy, "identity"), { recursive: true });
    const whole = readFileSync(rotationsPath(copy), "utf8");
    const { identity } = processOf(copy);
    const code = () => codeOf(identity.openOrCreate());
    rmSync(rotationsPath(copy));
    expect(await code()).toBe("identity_history_missing");
    const another = rotatedChain(40);
    const forgeries = [
      "[]",
      whole.replace(/"signature":"../, '"signature":"00'),
      whole.replace(/"overlapUntilMs":\d/, '"overlapUntilMs":2'),
      whole.replace(/"nodeId":"psn[a-z2-7]{32}/, `"nodeId":"psn${"a".repeat(32)}`),
      JSON.stringify({
        ...{ type: "psionic-key-rotations", version: 1, nodeId: another.nodeId },
        rotations: [another.receipts[3], another.receipts[6]],
      }),
      JSON.stringify({ ...(JSON.parse(whole) as object), rotations: [] }),
    ];
    for (const forged of forgeries) {
      writeFileSync(rotationsPath(copy), forged);
      expect([forged, await code()]).toEqual([forged, "identity_history_wrong"]);
      expect(readFileSync(rotationsPath(copy), "utf8")).toBe(forged);
    }
    writeFileSync(rotationsPath(copy), whole);
    copyFileSync(old, join(copy, "identity/node.key"));
    expect(await code()).toBe("identity_history_wrong");
    rmSync(join(copy, "identity/node.key"));
    rmSync(join(copy, "identity/node.json"));
    expect(await code()).toBe("identity_key_missing");
  });

  test("I-6 a backup carries the history", async () => {
    const { nodeId, rotate, identity } = await madeHome("home");
    await rotate();
    await rotate();
    const sealed = sealBackup(await identity.open(), "correct horse battery", machineRandom);
    const opened = openBackup(sealed, "correct horse battery");
    expect(opened.rotations.length).toBe(2);
    const root = join(folder, "restored");
    const place = { disk: machineDisk, directory: homePaths(root, {}).identity };
    await writeIdentity(place, opened);
    expect((await processOf(root).identity.open()).nodeId).toBe(nodeId);
    expect(JSON.parse(sealed)).toMatchObject({ version: 2, nodeId });
  });

  test(`I-6 a history holds ${rotationMaximum} rotations and no more`, async () => {
    const { rotate, identity } = await madeHome("home");
    for (let index = 0; index < rotationMaximum; index++) await rotate();
    expect((await identity.open()).rotations.length).toBe(rotationMaximum);
    expect(await codeOf(rotate())).toBe("identity_history_full");
    const rotations: readonly Receipt[] = (await identity.open()).rotations;
    expect(JSON.stringify(rotations).length).toBeLessThan(256 * 1024);
  });
});
