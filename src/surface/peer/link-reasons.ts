import { addressText, isOwnMachine, type PeerAddress } from "#src/peer/address.ts";
import type { LinkReason } from "#src/peer/health.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Why links end and messages are not taken. */

/** The other end went away without a word. */
export const cutOff: LinkReason = {
  code: "peer_unreachable",
  message: "the connection ended without a farewell",
  hint: "it is dialled again by itself; look whether the other node and the line between are up",
};

/** Something was sent and nothing came back. */
export const silent: LinkReason = {
  code: "peer_silent",
  message: "the other node did not answer any more over a connection that is open",
  hint: "it is dialled again by itself; look whether the other machine is up and reached",
};

export const saidFarewell: LinkReason = {
  code: "peer_unreachable",
  message: "the other node stopped and said so",
  hint: "start it again with `psionic up` on its machine",
};

/** Another connection of the same two took its place. */
export const superseded: LinkReason = {
  code: "peer_unreachable",
  message: "another connection took the place of this one",
  hint: "nothing needs to be done",
};

export const stopping: LinkReason = {
  code: "daemon_stopping",
  message: "this node stops",
  hint: "it links again when it is up",
};

export const placeless: LinkReason = {
  code: "peer_unreachable",
  message: "the mesh knows no address of it: it dials others, and has not dialled this node yet",
  hint: "start it with --peer-host and --peer-port to be reached by others",
};

/** What it looks like when this machine's own address was dialled for a member of another machine. */
const strangerCodes: ReadonlySet<string> = new Set([
  ...["certificate_changed", "peer_unexpected", "peer_not_tls", "peer_not_psionic"],
]);

/**
 * What to say where a dial of a member failed. An address that every machine has leads to whoever is on this
 * one: that it is not the member tells nothing of its certificate.
 */
export function dialReason(place: PeerAddress, failure: Refusal): Refusal {
  if (!isOwnMachine(place) || !strangerCodes.has(failure.code)) return failure;
  const at = addressText(place);
  return new Refusal(
    failure.code,
    `${at} is where the mesh knows it, and on this machine that is somebody else`,
    "where it is on another machine, it dials this one; to be dialled: psionic down there, then psionic up --detach --peer-host ADDRESS",
    failure.details,
  );
}

export const unknownMember = (node: string) =>
  new Refusal(
    "member_unknown",
    `${node} is no member of the mesh, as far as this node knows`,
    "a node that has just joined is known in a moment; one that left or was evicted joins with a new token",
    { node },
  );

export const noLongerMember = (node: string) =>
  new Refusal(
    "member_unknown",
    `${node} is no member of the mesh any more, as far as the other node knows`,
    "it left or was evicted; it joins with a new token",
    { node },
  );

export const ownCopy = (node: string) =>
  new Refusal(
    "home_copied",
    `another process speaks as ${node}, which is this node`,
    "its home was copied: give the copy a home of its own, then join, or end it",
    { node },
  );

export const tooMuch = (node: string) =>
  new Refusal(
    "peer_busy",
    `${node} sends more than a link takes`,
    "messages beyond the bound are dropped; look what that node does",
    { node },
  );

export const forged = (node: string, sender: string) =>
  new Refusal(
    "envelope_forged",
    `a message that says it is of ${sender} came from ${node}, or was not signed by its key`,
    "something between the nodes may change what passes",
    { node, sender },
  );

export const earlier = (node: string, epoch: number, seenEpoch: number) =>
  new Refusal(
    "epoch_stale",
    `${node} speaks in epoch ${epoch}, and met in epoch ${seenEpoch}`,
    "end the older process",
    { node, epoch, seenEpoch },
  );

export const retiredKey = (node: string, key: string) =>
  new Refusal(
    "key_retired",
    `${node} came with a key that it rotated away, as the mesh knows`,
    "end whoever has the old key; the node itself signs with its newest one",
    { node, key },
  );
