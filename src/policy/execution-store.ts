import type { Digest } from "#src/codec/digest.ts";
import { canonicalText } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import type { Row } from "#src/port/store.ts";
import type { LoggedReceipt, ReceiptLog } from "#src/receipt/receipt-log.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { attestationKind, type AttestationBody, type Ending } from "./attestation.ts";
import type { Signals } from "./signals.ts";

/** What is known of an execution before it runs; written down before anything happens. */
export interface Claim {
  /** Follows from the fingerprint. */
  readonly id: string;
  readonly fingerprint: Digest;
  /** `small-runs@3`. */
  readonly policy: string;
  readonly policyDigest: Digest;
  readonly command: string;
  readonly parametersDigest: Digest;
  /** Node id of who asked; the owner is the node itself. */
  readonly caller: string;
  readonly signals: Signals;
  readonly runtimeDigest: Digest;
}

/**
 * `running` in this process; `unfinished` where the claim stands but no end was written: it runs in
 * another process, or its process ended before it did.
 */
export type ExecutionState = "running" | "unfinished" | Ending;

export interface StoredExecution extends Claim {
  readonly state: ExecutionState;
  readonly claimedMs: number;
  readonly endedMs: number | null;
  /** Canonical text of the result or the refusal; null where it is too long or there is none. */
  readonly resultText: string | null;
  readonly receiptDigest: Digest | null;
}

type ExecutionServices = Pick<Services, "store" | "clock" | "journal">;

/** Longest result text that is kept; of a longer one only the digest is. */
const keptResultMaximum = 65_536;

/** Executions this process has claimed and not ended, by store. */
const running = new WeakMap<object, Set<string>>();

function runningIn(services: Pick<Services, "clock" | "store">): Set<string> {
  const known = running.get(services.store);
  if (known !== undefined) return known;
  const fresh = new Set<string>();
  running.set(services.store, fresh);
  return fresh;
}

/**
 * Claims a request, durable when this returns. A request claimed before, by any process at any time,
 * is refused with `execution_duplicate`: the fingerprint is unique in the table.
 */
export function claimExecution(claim: Claim, services: ExecutionServices): void {
  const { store, clock } = services;
  const { changes } = store.run(
    `INSERT INTO execution (id, fingerprint, state, policy, policy_digest, command, parameters_digest,
       caller, signals, runtime_digest, claimed_ms)
     VALUES (?, ?, 'claimed', ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING`,
    ...[claim.id, claim.fingerprint, claim.policy, claim.policyDigest, claim.command],
    ...[claim.parametersDigest, claim.caller, canonicalText(claim.signals), claim.runtimeDigest],
    Math.floor(clock.wallMs()),
  );
  if (changes === 0) throw duplicate(findExecution(claim.id, services)!);
  runningIn(services).add(claim.id);
}

/** Writes down how a claimed execution ended, with its attestation, all or nothing. */
export function endExecution(
  claim: Claim,
  body: AttestationBody,
  resultText: string | null,
  parts: { readonly services: ExecutionServices; readonly log: ReceiptLog },
): LoggedReceipt {
  const { store, clock, journal } = parts.services;
  return store.transaction(() => {
    const logged = parts.log.append(attestationKind, claim.id, body);
    const kept = resultText !== null && resultText.length <= keptResultMaximum ? resultText : null;
    const { changes } = store.run(
      `UPDATE execution SET state = ?, ended_ms = ?, result = ?, receipt_digest = ?
       WHERE id = ? AND state = 'claimed'`,
      ...[body.ended, Math.floor(clock.wallMs()), kept, logged.digest, claim.id],
    );
    assert(changes === 1, "an execution ends once");
    const { policy, command } = claim;
    const { outcome, ended } = body;
    journal.append("policy.executed", claim.id, { policy, command, outcome, ended });
    return logged;
  });
}

/** No longer running here, however it ended. */
export function leaveExecution(claim: Claim, services: ExecutionServices): void {
  runningIn(services).delete(claim.id);
}

/** The execution of exactly that id, or null. */
export function findExecution(id: string, services: ExecutionServices): StoredExecution | null {
  const row = services.store.get("SELECT * FROM execution WHERE id = ?", id);
  return row === null ? null : asExecution(row, runningIn(services));
}

/** Executions, the last claimed first; those without an end alone where `onlyOpen`. */
export function listExecutions(
  { onlyOpen, limit }: { readonly onlyOpen: boolean; readonly limit: number },
  services: ExecutionServices,
): StoredExecution[] {
  const here = runningIn(services);
  return services.store
    .all(
      `SELECT * FROM execution WHERE NOT ?1 OR state = 'claimed'
       ORDER BY claimed_ms DESC, rowid DESC LIMIT ?2`,
      onlyOpen ? 1 : 0,
      limit,
    )
    .map((row) => asExecution(row, here));
}

function asExecution(row: Row, here: ReadonlySet<string>): StoredExecution {
  const id = String(row["id"]);
  const text = (name: string) => (row[name] === null ? null : String(row[name]));
  const claimed = here.has(id) ? "running" : "unfinished";
  return {
    id,
    fingerprint: String(row["fingerprint"]),
    state: row["state"] === "claimed" ? claimed : (String(row["state"]) as Ending),
    policy: String(row["policy"]),
    policyDigest: String(row["policy_digest"]),
    command: String(row["command"]),
    parametersDigest: String(row["parameters_digest"]),
    caller: String(row["caller"]),
    signals: JSON.parse(String(row["signals"])) as Signals,
    runtimeDigest: String(row["runtime_digest"]),
    claimedMs: Number(row["claimed_ms"]),
    endedMs: row["ended_ms"] === null ? null : Number(row["ended_ms"]),
    resultText: text("result"),
    receiptDigest: text("receipt_digest"),
  };
}

const stateWords: Readonly<Record<ExecutionState, string>> = {
  running: "is running now",
  unfinished: "has not ended: it runs in another process, or its process ended before it did",
  done: "was done",
  refused: "was refused by the command",
  failed: "failed",
  denied: "was denied by the policy",
};

function duplicate({ id, state, claimedMs }: StoredExecution): Refusal {
  const when = new Date(claimedMs).toISOString();
  return new Refusal(
    "execution_duplicate",
    `this request was claimed at ${when} as ${id} and ${stateWords[state]}`,
    state === "unfinished"
      ? "look at what it left behind; to run it again on purpose, give another --key"
      : `see \`psionic attestation show ${id}\`; to run it again on purpose, give another --key`,
    { execution: id, state, claimedMs },
  );
}
