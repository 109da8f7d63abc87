import { entry, type CodeEntry } from "./entry.ts";

/** The node's keys and what they sign: backups, receipts, trust bundles. */
export const identityCodes = {
  identity_absent: entry(
    10,
    404,
    false,
    "This home has no node identity yet. `psionic init` makes one.",
  ),
  identity_key_missing: entry(
    14,
    412,
    false,
    "The home holds a node's state but not its key. A new identity is never made in silence: restore the key with `psionic identity restore FILE`, or start a new home.",
  ),
  identity_key_corrupt: entry(
    14,
    412,
    false,
    "The node key cannot be read as an Ed25519 private key. Restore it with `psionic identity restore FILE`.",
  ),
  identity_exists: entry(
    14,
    412,
    false,
    "The home already has another identity. Restore into another home.",
  ),
  backup_wrong: entry(
    13,
    422,
    false,
    "The identity backup is damaged, of an unknown version, or the passphrase is wrong.",
  ),
  identity_history_missing: entry(
    14,
    412,
    false,
    "The node's key was rotated, but the history of its keys (identity/rotations.json) is gone, so its node id cannot be proven. Restore it with `psionic identity restore FILE`.",
  ),
  identity_history_wrong: entry(
    14,
    412,
    false,
    "The history of the node's keys (identity/rotations.json) does not verify or does not end with the key that is here. Restore both with `psionic identity restore FILE`.",
  ),
  identity_history_full: entry(
    14,
    412,
    false,
    "The node's key was rotated as often as a history may hold. Start a new node to go on with a fresh key.",
  ),
  receipt_not_found: entry(
    10,
    404,
    false,
    "No receipt with that digest is here. `psionic receipt list` shows them.",
  ),
  receipt_malformed: entry(
    13,
    422,
    false,
    "A receipt has not the published form (docs/RECEIPTS.md): a member is missing, unknown, too long or not canonical.",
  ),
  receipt_signature_wrong: entry(
    13,
    422,
    false,
    "A receipt was changed after it was signed, or signed by another key than it names.",
  ),
  receipt_chain_broken: entry(
    13,
    422,
    false,
    "The receipts of an author do not follow one another: one is missing, doubled, out of place, or names another one before it.",
  ),
  receipt_author_wrong: entry(
    13,
    422,
    false,
    "A receipt is by another author than the chain, or its key was not its author's at that place: neither the first key nor one that a rotation handed over to.",
  ),
  receipt_bundle_wrong: entry(
    13,
    422,
    false,
    "The file is no bundle of receipts, was cut off, or its first line says something else than the receipts below it.",
  ),
  receipt_key_stale: entry(
    16,
    409,
    true,
    "Another process rotated the node's key while this one was about to sign. Run the command again; it signs with the new key.",
  ),
  trust_bundle_wrong: entry(
    13,
    422,
    false,
    "The trust bundle is malformed, forged, or tells another history of the node's keys than the one known here.",
  ),
  trust_bundle_stale: entry(
    16,
    409,
    false,
    "The trust bundle was signed with a key that its node has rotated away, and the overlap window is over. Its owner writes a new one with `psionic identity export FILE`.",
  ),
  key_retired: entry(
    12,
    403,
    false,
    "The key that signed was rotated away and its overlap window is over. A node signs with its newest key; what an old key signed in time stays valid in receipts.",
  ),
} as const satisfies Record<string, CodeEntry>;
