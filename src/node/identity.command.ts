import { resolve } from "node:path";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { openBackup, sealBackup } from "#src/receipt/identity-backup.ts";
import { describedNodeId, writeIdentity, type NodeIdentity } from "#src/receipt/identity.ts";
import { readRotations } from "#src/receipt/key-files.ts";
import { ReceiptArchive } from "#src/receipt/receipt-log.ts";
import { historyEndingIn, keyStanding } from "#src/receipt/rotation.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";

const identityResult = v.object({
  nodeId: v.string(),
  publicKey: v.string(),
  bornMs: v.number(),
  home: v.string(),
});

const keyResult = v.object({
  key: v.string(),
  standing: v.picklist(["current", "overlapping", "retired"]),
  /** When a rotation introduced it; null for the first key. */
  sinceMs: v.nullable(v.number()),
  rotatedMs: v.nullable(v.number()),
  overlapUntilMs: v.nullable(v.number()),
});

const passphraseFile = v.optional(
  v.pipe(
    v.string(),
    v.description("file whose first line is the passphrase (else PSIONIC_PASSPHRASE, else asked)"),
  ),
);

/** Short passphrases fall to guessing in hours, whatever the derivation costs. */
const passphraseMinLength = 8;

defineCommand({
  name: "identity/show",
  summary: "This node's id, its keys with the time each counts for, and its birth.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({}),
  result: v.object({
    ...identityResult.entries,
    keys: v.array(keyResult),
    /** SHA-256 of the certificate other nodes pin; null before the door for them was first opened. */
    certificate: v.nullable(v.string()),
    /** Where they are answered now; null while they are not. */
    peerAddress: v.nullable(v.string()),
  }),
  examples: ["psionic identity show"],
  async run(_parameters, { services }) {
    const identity = await services.identity.open();
    const { nodeId, publicKey, bornMs } = identity;
    const keys = keysOf(identity, services.clock.wallMs());
    const { readTlsIdentity } = await import("#src/surface/peer/tls-file.ts");
    const { findRunningDaemon } = await import("./daemon/daemon-file.ts");
    const daemon = services.daemon?.file ?? (await findRunningDaemon(services.home));
    return {
      ...{ nodeId, publicKey, bornMs, home: services.home.root, keys },
      certificate: (await readTlsIdentity(services))?.fingerprint ?? null,
      peerAddress: daemon?.peer?.address ?? null,
    };
  },
  view: (screen) => ({
    result({ nodeId, publicKey, bornMs, home, keys, certificate, peerAddress }) {
      screen.print(`node   ${nodeId}`);
      screen.print(`key    ${publicKey}`);
      screen.print(`born   ${new Date(bornMs).toISOString()}`);
      screen.print(`home   ${home}`);
      if (certificate !== null) screen.print(`pin    ${certificate}`);
      if (peerAddress !== null) screen.print(`peers  ${peerAddress}`);
      for (const { key, standing, rotatedMs, overlapUntilMs } of keys.slice(0, -1)) {
        const [rotated, until] = [rotatedMs, overlapUntilMs].map((ms) =>
          new Date(ms ?? 0).toISOString(),
        );
        screen.print(`former ${key}  rotated ${rotated}, ${standing}, window until ${until}`);
      }
    },
  }),
});

/** Every key of a node, first to current, as it stands now. */
function keysOf(identity: NodeIdentity, nowMs: number): v.InferOutput<typeof keyResult>[] {
  const history = historyEndingIn(identity.publicKey, identity.rotations);
  return history.keys.map(({ key, sinceMs, rotated }) => ({
    key,
    standing: keyStanding(history, key, nowMs).standing as "current" | "overlapping" | "retired",
    sinceMs,
    rotatedMs: rotated?.atMs ?? null,
    overlapUntilMs: rotated?.untilMs ?? null,
  }));
}

defineCommand({
  name: "identity/backup",
  summary: "Write the node's key to a file, sealed with a passphrase.",
  access: "owner",
  localOnly: true,
  flow: "node",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("where to write the backup")),
    passphraseFile,
  }),
  positional: ["file"],
  paths: ["file", "passphraseFile"],
  result: v.object({ nodeId: v.string(), file: v.string() }),
  examples: ["psionic identity backup node-key.json"],
  async run({ file, passphraseFile }, { services }) {
    const identity = await services.identity.open();
    const path = resolve(file);
    if ((await services.disk.stat(path)) !== null) {
      throw new Refusal("usage", `${path} exists already`, "name a new file", { path });
    }
    const passphrase = await readPassphrase(services, passphraseFile, true);
    await services.disk.publish(path, sealBackup(identity, passphrase, services.random), 0o600);
    return { nodeId: identity.nodeId, file: path };
  },
  view: (screen) => ({
    result({ nodeId, file }) {
      screen.print(file);
      screen.note(`the key of ${nodeId} is sealed in it; the passphrase is not kept anywhere`);
    },
  }),
});

defineCommand({
  name: "identity/restore",
  summary: "Bring a node's key back from a backup.",
  access: "owner",
  localOnly: true,
  flow: "node",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("a file that `identity backup` wrote")),
    passphraseFile,
  }),
  positional: ["file"],
  paths: ["file", "passphraseFile"],
  result: identityResult,
  examples: ["psionic identity restore node-key.json"],
  async run({ file, passphraseFile }, { services }) {
    const text = await services.disk.readText(resolve(file));
    const passphrase = await readPassphrase(services, passphraseFile, false);
    const { key, bornMs, rotations } = openBackup(text, passphrase);
    services.lock();
    const place = { disk: services.disk, directory: services.home.identity };
    const present = await describedNodeId(place);
    const restored = nodeIdOf(rotations[0]?.key ?? key.publicKey);
    if (present !== null && present !== restored) {
      throw new Refusal(
        "identity_exists",
        `${services.home.root} belongs to ${present}, the backup to ${restored}`,
        "restore into another home with --home DIR",
        { present, restored },
      );
    }
    const knownCount = await knownRotations(services, restored);
    if (knownCount > rotations.length) throw backupOutdated(restored, rotations.length, knownCount);
    const { nodeId, publicKey } = await writeIdentity(place, { key, bornMs, rotations });
    return { nodeId, publicKey, bornMs, home: services.home.root };
  },
  view: (screen) => ({
    result({ nodeId, home }) {
      screen.print(nodeId);
      screen.note(`the node lives in ${home} again`);
    },
  }),
});

/** Rotations of a node that this home knows of, by its files or its chain, whichever has more. */
async function knownRotations(services: Services, nodeId: string): Promise<number> {
  const place = { disk: services.disk, directory: services.home.identity };
  const file = await readRotations(place);
  const inFile = typeof file !== "string" && file.nodeId === nodeId ? file.rotations.length : 0;
  if ((await services.disk.stat(services.home.database)) === null) return inFile;
  return Math.max(inFile, new ReceiptArchive(services.store).rotations(nodeId).length);
}

/** A key from before a rotation signs nothing that anybody accepts; it must not replace the present. */
function backupOutdated(nodeId: string, inBackup: number, known: number): Refusal {
  return new Refusal(
    "backup_wrong",
    `the backup is from before the last rotation of the key of ${nodeId}`,
    "restore a backup that was made after it",
    { nodeId, rotationsInBackup: inBackup, rotationsKnown: known },
  );
}

/** From the file, else PSIONIC_PASSPHRASE, else asked; twice where a typing error would cost. */
async function readPassphrase(
  services: Services,
  file: string | undefined,
  isNew: boolean,
): Promise<string> {
  const given =
    file === undefined
      ? services.environment["PSIONIC_PASSPHRASE"]
      : (await services.disk.readText(resolve(file))).split(/\r?\n/)[0];
  const passphrase = given ?? (await services.interaction.askSecret("passphrase"));
  if (isNew && passphrase.length < passphraseMinLength) {
    throw new Refusal(
      "usage",
      `the passphrase has fewer than ${passphraseMinLength} characters`,
      "choose a longer one: several words are best",
    );
  }
  if (isNew && given === undefined) {
    const again = await services.interaction.askSecret("the same passphrase again");
    if (again !== passphrase) {
      throw new Refusal("usage", "the two passphrases differ", "run it again");
    }
  }
  return passphrase;
}
