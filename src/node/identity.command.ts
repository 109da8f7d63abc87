import { resolve } from "node:path";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { openBackup, sealBackup } from "#src/receipt/identity-backup.ts";
import { describedNodeId, writeIdentity } from "#src/receipt/identity.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";

const identityResult = v.object({
  nodeId: v.string(),
  publicKey: v.string(),
  bornMs: v.number(),
  home: v.string(),
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
  summary: "This node's id, public key and birth time.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({}),
  result: identityResult,
  examples: ["psionic identity show"],
  async run(_parameters, { services }) {
    const { nodeId, publicKey, bornMs } = await services.identity.open();
    return { nodeId, publicKey, bornMs, home: services.home.root };
  },
  view: (screen) => ({
    result({ nodeId, publicKey, bornMs, home }) {
      screen.print(`node   ${nodeId}`);
      screen.print(`key    ${publicKey}`);
      screen.print(`born   ${new Date(bornMs).toISOString()}`);
      screen.print(`home   ${home}`);
    },
  }),
});

defineCommand({
  name: "identity/backup",
  summary: "Write the node's key to a file, sealed with a passphrase.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("where to write the backup")),
    passphraseFile,
  }),
  positional: ["file"],
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
  flow: "node",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("a file that `identity backup` wrote")),
    passphraseFile,
  }),
  positional: ["file"],
  result: identityResult,
  examples: ["psionic identity restore node-key.json"],
  async run({ file, passphraseFile }, { services }) {
    const text = await services.disk.readText(resolve(file));
    const passphrase = await readPassphrase(services, passphraseFile, false);
    const { key, bornMs } = openBackup(text, passphrase);
    services.lock();
    const place = { disk: services.disk, directory: services.home.identity };
    const present = await describedNodeId(place);
    const restored = nodeIdOf(key.publicKey);
    if (present !== null && present !== restored) {
      throw new Refusal(
        "identity_exists",
        `${services.home.root} belongs to ${present}, the backup to ${restored}`,
        "restore into another home with --home DIR",
        { present, restored },
      );
    }
    const { nodeId, publicKey } = await writeIdentity(place, key, bornMs);
    return { nodeId, publicKey, bornMs, home: services.home.root };
  },
  view: (screen) => ({
    result({ nodeId, home }) {
      screen.print(nodeId);
      screen.note(`the node lives in ${home} again`);
    },
  }),
});

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
