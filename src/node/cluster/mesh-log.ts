import { getLogger } from "@logtape/logtape";
import type { LinkView } from "#src/peer/link.ts";
import type { Facts } from "#src/receipt/receipt.ts";

const log = getLogger(["psionic", "cluster"]);

/** What the log of the node says of each record of the mesh. */
const sentences: Readonly<Record<string, string>> = {
  "cluster.admitted": "{subject} was admitted to the mesh",
  "cluster.ready": "{subject} is ready",
  "cluster.draining": "{subject} gets no more work",
  "cluster.left": "{subject} left the mesh",
};

/**
 * Tells of something that was recorded, so that `psionic logs` has the mesh's story in order; its receipt or
 * the journal has the particulars.
 */
export function logRecord(kind: string, subject: string, body: Facts): void {
  const { term, code, reason, what } = body;
  if (kind === "cluster.led") log.info("{subject} leads the mesh, term {term}", { subject, term });
  else if (kind === "cluster.refused") log.info("{subject} was refused: {code}", { subject, code });
  else if (kind === "cluster.evicted")
    log.info("{subject} was evicted: {reason}", { subject, reason });
  else if (what !== undefined) log.info("{subject} was given an order: {what}", { subject, what });
  else log.info(sentenceOf(kind, body), { subject });
}

function sentenceOf(kind: string, { order, isOwner }: Facts): string {
  if (kind === "cluster.owner")
    return isOwner === true ? "{subject} is an owner now" : "{subject} is no owner any more";
  if (kind !== "cluster.ordered") return sentences[kind] ?? `{subject}: ${kind}`;
  if (order === "lease-expired") return "{subject} is offline: its lease ran out";
  return "{subject} is offline";
}

/** Tells that a member is reached from now on, or why it is not any more. */
export function logReached(node: string, isReached: boolean, view: LinkView | undefined): void {
  const reason = view?.reason ?? null;
  // That this node stops is told once.
  if (reason?.code === "daemon_stopping") return;
  if (isReached) log.info("{node} is reached", { node });
  else if (reason === null) log.info("{node} is not reached any more", { node });
  else log.info("{node} is not reached: {reason}", { node, reason: reason.message });
}
