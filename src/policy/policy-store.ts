import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import { nearest } from "#src/command/nearest.ts";
import type { Row } from "#src/port/store.ts";
import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { ownKeys } from "./own-keys.ts";
import {
  checkPolicy,
  contentDigest,
  contentOf,
  policyDigest,
  readReference,
  referenceOf,
  signatureHolds,
  signPolicy,
} from "./policy.ts";
import { policySchema, type Policy, type PolicyContent } from "./policy-schema.ts";

/** A policy of this node with the digest attestations name. */
export interface StoredPolicy {
  readonly policy: Policy;
  readonly digest: string;
  readonly addedMs: number;
}

type PolicyServices = Pick<Services, "store" | "clock" | "receipts" | "journal">;

/** Policies one node may hold; far beyond what people write, so that nothing grows without end. */
const policyMaximum = 10_000;

/**
 * Signs a checked policy with the node's key and stores it with its receipt, once. The same content
 * again changes nothing and says so; another under the same revision is refused with `policy_exists`.
 */
export async function addPolicy(
  content: PolicyContent,
  services: PolicyServices,
): Promise<StoredPolicy & { readonly isNew: boolean }> {
  const log = await services.receipts.open();
  const { store, clock, journal } = services;
  return store.transaction(() => {
    const reference = referenceOf(content);
    const row = rowOf(services, content);
    if (row !== null) {
      const stored = verified(row, reference, log);
      if (contentDigest(stored.policy) === contentDigest(content))
        return { ...stored, isNew: false };
      throw exists(reference, nextRevision(services, content.name));
    }
    const held = Number(store.get("SELECT count(*) AS count FROM policy")!["count"]);
    if (held >= policyMaximum) throw tooMany();
    const policy = signPolicy(content, log.author);
    const digest = policyDigest(policy);
    const addedMs = Math.floor(clock.wallMs());
    store.run(
      "INSERT INTO policy (name, revision, digest, added_ms, text) VALUES (?, ?, ?, ?, ?)",
      ...[policy.name, policy.revision, digest, addedMs, canonicalText(policy)],
    );
    log.append("policy.added", reference, { digest, content: contentDigest(policy) });
    journal.append("policy.added", reference, { digest });
    return { policy, digest, addedMs, isNew: true };
  });
}

/**
 * Exactly the policy of that name and revision, its digest, signature and expressions checked again.
 * Refusals: `usage` for a malformed reference, `policy_not_found`, `policy_damaged`.
 */
export async function loadPolicy(
  reference: string,
  services: PolicyServices,
): Promise<StoredPolicy> {
  const asked = readReference(reference);
  if (asked === null) throw malformed(reference, services);
  const row = rowOf(services, asked);
  if (row === null) throw notFound(reference, asked.name, services);
  const log = await services.receipts.open();
  return verified(row, reference, log);
}

/** Every stored policy, in order of names and revisions; a damaged one says so instead of failing. */
export async function listPolicies(services: PolicyServices): Promise<
  {
    readonly reference: string;
    readonly digest: string;
    readonly addedMs: number;
    readonly summary: string;
    readonly holds: boolean;
  }[]
> {
  const rows = services.store.all("SELECT * FROM policy ORDER BY name, revision");
  if (rows.length === 0) return [];
  const log = await services.receipts.open();
  return rows.map((row) => {
    const reference = `${String(row["name"])}@${String(row["revision"])}`;
    const digest = String(row["digest"]);
    const addedMs = Number(row["added_ms"]);
    try {
      const { policy } = verified(row, reference, log);
      return { reference, digest, addedMs, summary: policy.summary, holds: true };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { reference, digest, addedMs, summary: error.message, holds: false };
    }
  });
}

function rowOf(
  { store }: PolicyServices,
  { name, revision }: { readonly name: string; readonly revision: number },
): Row | null {
  return store.get("SELECT * FROM policy WHERE name = ? AND revision = ?", name, revision);
}

/** Trusts nothing of a row: whatever does not hold is refused with `policy_damaged`. */
function verified(row: Row, reference: string, log: ReceiptLog): StoredPolicy {
  const policy = readStored(String(row["text"]));
  if (policy === null) throw damaged(reference, "its text is not a policy");
  if (referenceOf(policy) !== reference) throw damaged(reference, "it is another policy's text");
  const digest = policyDigest(policy);
  if (digest !== row["digest"]) throw damaged(reference, "its digest is another");
  const isOwn = policy.author === log.author.nodeId && ownKeys(log).has(policy.key);
  if (!isOwn) throw damaged(reference, "the key that signed it is none of this node's");
  if (!signatureHolds(policy)) throw damaged(reference, "its signature does not hold");
  try {
    checkPolicy(contentOf(policy));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw damaged(reference, error.message);
  }
  return { policy, digest, addedMs: Number(row["added_ms"]) };
}

function readStored(text: string): Policy | null {
  try {
    const parsed = v.safeParse(policySchema, JSON.parse(text));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

function revisionsOf({ store }: PolicyServices, name: string): number[] {
  return store
    .all("SELECT revision FROM policy WHERE name = ? ORDER BY revision DESC LIMIT 20", name)
    .map((row) => Number(row["revision"]));
}

const nextRevision = (services: PolicyServices, name: string) =>
  (revisionsOf(services, name)[0] ?? 0) + 1;

function notFound(reference: string, name: string, services: PolicyServices): Refusal {
  const revisions = revisionsOf(services, name);
  const names = services.store
    .all("SELECT DISTINCT name FROM policy ORDER BY name LIMIT 1000")
    .map((row) => String(row["name"]));
  const near = revisions.length > 0 ? name : nearest(name, names);
  const there = near === null ? [] : revisionsOf(services, near).map((each) => `${near}@${each}`);
  return new Refusal(
    "policy_not_found",
    `no policy ${reference} is stored here`,
    there.length > 0 ? `there is ${there.join(", ")}` : "`psionic policy list` lists them all",
    { policy: reference, available: there },
  );
}

function malformed(reference: string, services: PolicyServices): Refusal {
  const revisions = revisionsOf(services, reference);
  return new Refusal(
    "usage",
    `${JSON.stringify(reference)} names no policy and revision`,
    revisions.length > 0
      ? `say which revision: ${revisions.map((each) => `${reference}@${each}`).join(", ")}`
      : "write NAME@REVISION, such as small-runs@1",
    { policy: reference },
  );
}

function exists(reference: string, next: number): Refusal {
  return new Refusal(
    "policy_exists",
    `${reference} is stored with another content`,
    `a stored revision never changes; make this revision ${next}`,
    { policy: reference, next },
  );
}

function damaged(reference: string, why: string): Refusal {
  return new Refusal(
    "policy_damaged",
    `the stored policy ${reference} does not hold: ${why}`,
    "restore the database from a backup, or add the content as a new revision",
    { policy: reference, reason: why },
  );
}

function tooMany(): Refusal {
  return new Refusal(
    "policy_exists",
    `this node holds ${policyMaximum} policies already`,
    "use a revision that is stored",
    { maximum: policyMaximum },
  );
}
