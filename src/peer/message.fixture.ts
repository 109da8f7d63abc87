import { meshIdOf } from "#src/grant/mesh.ts";
import type { Signer } from "./envelope.ts";
import { sealMessage, type ProvenSender } from "./message.ts";
import { alice, bob } from "./peer.fixture.ts";

/** Messages from alice to bob, members of bob's mesh. */

export const mesh = meshIdOf(bob);
/** As bob reads. */
export const self = { nodeId: bob.nodeId, mesh };
/** What is proven of alice. */
export const proven: ProvenSender = { node: alice.nodeId, key: alice.key.publicKey, epoch: 1 };

export function message(
  changes: Partial<Parameters<typeof sealMessage>[1]> = {},
  sender: Signer = alice,
): Uint8Array {
  return sealMessage(sender, {
    ...{ mesh, recipient: bob.nodeId, epoch: 1, counter: 1, kind: "ping", body: { at: 1 } },
    ...{ claims: null, grant: null },
    ...changes,
  });
}
