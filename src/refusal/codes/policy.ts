import { entry, type CodeEntry } from "./entry.ts";

/** Policies, executions under them, and attestations. */
export const policyCodes = {
  policy_wrong: entry(
    2,
    400,
    false,
    "The policy is not understood: a field, a signal's declaration, or a rule's expression beyond the rule language. The message names the place; docs/POLICIES.md describes the language.",
  ),
  policy_exists: entry(
    14,
    409,
    false,
    "That revision of the policy is stored with another content, and a stored revision never changes. Give the new content the next revision.",
  ),
  policy_not_found: entry(
    10,
    404,
    false,
    "No policy of exactly that name and revision is stored here. The details list the revisions there are.",
  ),
  policy_damaged: entry(
    13,
    422,
    false,
    "The stored policy is not what this node signed: its text, digest or signature no longer holds. Nothing is decided by it; restore the database, or add the content as a new revision.",
  ),
  policy_denied: entry(
    12,
    403,
    false,
    "The policy decided that the command may not proceed. The details name the rule and its reason; an attestation of the decision was left.",
  ),
  policy_signal_missing: entry(
    14,
    422,
    false,
    "The policy looks at a signal that the request does not have. Nothing is decided on what is missing.",
  ),
  policy_signal_wrong: entry(
    14,
    422,
    false,
    "A signal is unknown to the policy, of another type than it declares, or beyond its bounds.",
  ),
  policy_signal_reserved: entry(
    14,
    422,
    false,
    "The signal is computed by the node itself (the caller, the command, its parameters) and cannot be given by a caller.",
  ),
  policy_test_failed: entry(
    13,
    422,
    false,
    "The policy decided at least one test case otherwise than the case expects. The details list every case.",
  ),
  execution_duplicate: entry(
    14,
    409,
    false,
    "The same request (policy, command, parameters, signals, key, caller) was claimed before and never runs twice, whatever became of it. `psionic attestation show ID` tells what did. To run it again on purpose, give another --key.",
  ),
  execution_not_found: entry(
    10,
    404,
    false,
    "No execution of that id is known here, or it has left no attestation yet. `psionic attestation list` lists those there are.",
  ),
  attestation_wrong: entry(
    13,
    422,
    false,
    "The attestation does not hold. The details name the reason: not_json, shape, key_differs, author_unproven, signature_wrong or signals_differ.",
  ),
} as const satisfies Record<string, CodeEntry>;
