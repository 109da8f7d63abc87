import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { boxKeyFromPem, boxKeyFromSeed, boxPem, type BoxKey } from "#src/peer/sealed-box.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The key to which others seal what passes through a relay to this node, made when there is none. It is no
 * part of a backup: a node says its key at each start. Hold the home's lock. Refused with
 * `identity_key_corrupt`.
 */
export async function openBoxKey(
  home: Services["home"],
  disk: Services["disk"],
  random: Services["random"],
): Promise<BoxKey> {
  const path = join(home.identity, "box-key");
  const file = await disk.stat(path);
  if (file === null) {
    const made = boxKeyFromSeed(random.bytes(32));
    await disk.publish(path, boxPem(made), ownerOnly);
    return made;
  }
  const pem = await disk.readText(path);
  const key = boxKeyFromPem(pem);
  if (key === null)
    throw new Refusal(
      "identity_key_corrupt",
      `${path} holds no X25519 key`,
      "remove the file; a new key is made, and the node says so at its next start",
      { path },
    );
  if ((file.mode & 0o077) !== 0) await disk.publish(path, pem, ownerOnly);
  return key;
}

const ownerOnly = 0o600;
