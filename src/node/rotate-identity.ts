import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { NodeIdentity } from "#src/receipt/identity.ts";
import { finishRotation, prepareRotation } from "#src/receipt/rotate-key.ts";
import { rotationMaximum } from "#src/receipt/rotation.ts";

/** Homes whose key this process is rotating: the lock keeps others out, this keeps it from itself. */
const underWay = new Set<string>();

/**
 * Gives the node a fresh key; its id stays that of its first. Crash-safe at every step
 * (src/receipt/rotate-key.ts). The old private key is overwritten: what it signed stays verifiable,
 * nothing can be signed with it any more. Refused with `home_locked`, `identity_history_full`.
 */
export async function rotateIdentity(services: Services, overlapMs: number): Promise<NodeIdentity> {
  services.lock();
  const { root, identity: directory } = services.home;
  if (underWay.has(root)) throw rotating(root);
  underWay.add(root);
  try {
    const place = { disk: services.disk, directory };
    const before = await services.identity.open();
    if (before.rotations.length >= rotationMaximum) throw historyFull(before.nodeId);
    const log = await services.receipts.open();
    const next = await prepareRotation(place, services.random);
    const { receipt } = log.rotate(next, overlapMs);
    return await finishRotation(place, before, receipt, next);
  } finally {
    underWay.delete(root);
  }
}

function rotating(root: string): Refusal {
  return new Refusal("home_locked", `the key of ${root} is being rotated`, "wait for it to end", {
    home: root,
  });
}

function historyFull(nodeId: string): Refusal {
  return new Refusal(
    "identity_history_full",
    `the key of ${nodeId} was rotated ${rotationMaximum} times, as often as a history may hold`,
    "start a new node with --home DIR",
    { nodeId, maximum: rotationMaximum },
  );
}
