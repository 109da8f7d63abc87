import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBackup, sealBackup } from "#src/receipt/identity-backup.ts";
import { nodeIdOf, signBytes, verifyBytes } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { machineClock } from "./clock.ts";
import { machineDisk } from "./disk.ts";
import { homePaths } from "./home.ts";
import { identityService } from "./identity-service.ts";
import { machineRandom } from "./random.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "psionic-identity-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const service = (disk = machineDisk) =>
  identityService(homePaths(root, {}), {
    disk,
    random: machineRandom,
    clock: machineClock,
  });
const keyPath = () => join(root, "identity/node.key");
const descriptorPath = () => join(root, "identity/node.json");

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "accepted";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

describe("I-1 node identity", () => {
  test("I-1 a new home gets a key only its owner can read, and keeps it", async () => {
    expect(await codeOf(service().open())).toBe("identity_absent");
    const made = await service().openOrCreate();
    expect(made.created).toBe(true);
    expect(made.nodeId).toMatch(/^psn[a-z2-7]{32}$/);
    expect(made.nodeId).toBe(nodeIdOf(made.publicKey));
    expect(statSync(keyPath()).mode & 0o777).toBe(0o600);
    expect(statSync(descriptorPath()).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, "identity")).mode & 0o777).toBe(0o700);
    const again = await service().openOrCreate();
    expect(again).toMatchObject({ created: false, nodeId: made.nodeId, bornMs: made.bornMs });
  });

  const damages: [string, (text: string) => string | null][] = [
    ["missing", () => null],
    ["empty", () => ""],
    ["not JSON", () => "hello"],
    ["without a node id", (text) => text.replace(/psn[a-z2-7]{32}/, "psn")],
    ["cut off after the birth time", (text) => text.slice(0, text.indexOf("\n}") + 1)],
    ["with a key of another node", (text) => text.replace(/"[0-9a-f]{64}"/, `"${"0".repeat(64)}"`)],
  ];
  test.each(damages)("I-1 a descriptor that is %s is healed from the key", async (_, damage) => {
    const made = await service().openOrCreate();
    const written = readFileSync(descriptorPath(), "utf8");
    // Long ago, so that the key file's age cannot pass for the birth time by accident.
    utimesSync(keyPath(), 1_000_000, 1_000_000);
    const damaged = damage(written);
    if (damaged === null) rmSync(descriptorPath());
    else writeFileSync(descriptorPath(), damaged);
    const healed = await service().open();
    expect(healed.nodeId).toBe(made.nodeId);
    const readable = damaged?.includes(String(made.bornMs)) ?? false;
    expect(healed.bornMs).toBe(readable ? made.bornMs : 1_000_000_000);
    const onDisk = JSON.parse(readFileSync(descriptorPath(), "utf8")) as Record<string, unknown>;
    expect(onDisk).toEqual({
      version: 1,
      nodeId: made.nodeId,
      publicKey: made.publicKey,
      bornMs: healed.bornMs,
    });
  });

  test("I-1 a descriptor of another node beside a key without history is a refusal", async () => {
    await service().openOrCreate();
    const another = `psn${"a".repeat(32)}`;
    const text = readFileSync(descriptorPath(), "utf8").replace(/psn[a-z2-7]{32}/, another);
    writeFileSync(descriptorPath(), text);
    expect(await codeOf(service().openOrCreate())).toBe("identity_history_missing");
    expect(readFileSync(descriptorPath(), "utf8")).toBe(text);
  });

  test("I-1 a missing key with a descriptor is a refusal, never a new identity", async () => {
    await service().openOrCreate();
    rmSync(keyPath());
    expect(await codeOf(service().openOrCreate())).toBe("identity_key_missing");
    expect(await codeOf(service().open())).toBe("identity_key_missing");
    expect(existsSync(keyPath())).toBe(false);
  });

  test("I-1 a missing identity with state present is a refusal naming restore", async () => {
    mkdirSync(join(root, "runs", "abcdefgh"), { recursive: true });
    const refusal = await service()
      .openOrCreate()
      .catch((error: unknown) => error as Refusal);
    expect(refusal).toMatchObject({ code: "identity_key_missing" });
    expect((refusal as Refusal).hint).toContain("psionic identity restore");
  });

  test("I-1 a corrupt key is a refusal and stays as it is", async () => {
    await service().openOrCreate();
    writeFileSync(keyPath(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    expect(await codeOf(service().openOrCreate())).toBe("identity_key_corrupt");
    expect(readFileSync(keyPath(), "utf8")).toContain("AAAA");
  });

  test("I-1 permissions of the key are narrowed again", async () => {
    await service().openOrCreate();
    chmodSync(keyPath(), 0o644);
    await service().open();
    expect(statSync(keyPath()).mode & 0o777).toBe(0o600);
  });
});

test("I-1 an identity that another process makes while this one looks is found", async () => {
  let isMade = false;
  const disk = {
    ...machineDisk,
    async stat(path: string) {
      const found = await machineDisk.stat(path);
      if (path === keyPath() && !isMade) {
        isMade = true;
        await service().openOrCreate();
      }
      return found;
    },
  };
  const { nodeId } = await service(disk).open();
  expect(nodeId).toBe((await service().open()).nodeId);
});

describe("I-1 backup", () => {
  test("I-1 a backup gives the same key back, and only with its passphrase", async () => {
    const identity = await service().openOrCreate();
    const text = sealBackup(identity, "correct horse battery", machineRandom);
    expect(text).not.toContain("PRIVATE KEY");
    const opened = openBackup(text, "correct horse battery");
    expect(opened.key.publicKey).toBe(identity.publicKey);
    expect(opened.bornMs).toBe(identity.bornMs);
    const message = new TextEncoder().encode("message");
    expect(verifyBytes(identity.publicKey, message, signBytes(opened.key, message))).toBe(true);
    expect(() => openBackup(text, "correct horse batterY")).toThrow(/passphrase is wrong/);
  });

  test("I-1 any changed field of a backup is refused", async () => {
    const identity = await service().openOrCreate();
    const text = sealBackup(identity, "correct horse battery", machineRandom);
    const changes: ((backup: Record<string, never>) => void)[] = [
      (backup) => Object.assign(backup, { bornMs: 5 }),
      (backup) => Object.assign(backup, { nodeId: `psn${"a".repeat(32)}` }),
      (backup) => Object.assign(backup, { version: 3 }),
      (backup) => Object.assign(backup, { version: 1 }),
      (backup) => Object.assign(backup, { rotations: [{}] }),
      (backup) => Object.assign(backup, { sealed: "00" }),
      (backup) => Object.assign(backup, { more: 1 }),
      (backup) => Object.assign(backup["cipher"]!, { tag: "0".repeat(32) }),
      (backup) => Object.assign(backup["derivation"]!, { N: 1 << 30 }),
    ];
    for (const change of changes) {
      const backup = JSON.parse(text) as Record<string, never>;
      change(backup);
      const code = await codeOf(
        Promise.resolve().then(() => openBackup(JSON.stringify(backup), "correct horse battery")),
      );
      expect(code).toBe("backup_wrong");
    }
    expect(() => openBackup("not json", "x")).toThrow(Refusal);
  });
});
