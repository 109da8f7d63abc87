import type { Holder } from "#src/artifact/holder.ts";
import { holderMaximum } from "#src/artifact/pull-request.ts";
import type { MeshResidency } from "#src/artifact/services.ts";
import type { Digest } from "#src/codec/digest.ts";
import { sealTicket, ticketHeader, ticketUseMs } from "#src/peer/blob-ticket.ts";
import type { Signer } from "#src/peer/envelope.ts";
import type { Clock } from "#src/port/clock.ts";
import { MemberHolder } from "./member-holder.ts";

/**
 * The members to ask for an artifact: those that say they hold it; where nobody does, everybody, since it may
 * not have been told yet, or the mesh may know of too many already. The nearest first, and at most as many as a
 * pull has.
 */
export function openMembers(
  { mesh, artifacts, members }: MeshResidency,
  artifact: Digest,
  parts: { readonly identity: Signer; readonly clock: Pick<Clock, "wallMs" | "monotonicMs"> },
): readonly Holder[] {
  const others = members.filter(({ isSelf, places }) => !isSelf && places.length > 0);
  const saying = artifacts.find((each) => each.artifact === artifact)?.holders ?? [];
  const holding = others.filter(({ node }) => saying.includes(node));
  return (holding.length > 0 ? holding : others).slice(0, holderMaximum).map(
    ({ node, places, certificate }) =>
      new MemberHolder({
        ...{ node, places, certificate },
        authorization: ticketFor(parts, mesh, node),
      }),
  );
}

/** Signs a ticket when the one before is no longer young. */
function ticketFor(
  { identity, clock }: Parameters<typeof openMembers>[2],
  mesh: string,
  recipient: string,
): () => string {
  let signed: { readonly header: string; readonly atMs: number } | null = null;
  return () => {
    const atMs = clock.monotonicMs();
    if (signed !== null && atMs - signed.atMs < ticketUseMs) return signed.header;
    const ticket = sealTicket(identity, { mesh, recipient, nowMs: clock.wallMs() });
    signed = { header: ticketHeader(ticket), atMs };
    return signed.header;
  };
}
