import type { Services } from "#src/command/define.ts";
import { isLive, type Member } from "#src/cluster/state.ts";
import { parseAddress } from "#src/peer/address.ts";
import { presentedGrant } from "#src/peer/own-facts.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callMet } from "#src/surface/peer/call-met.ts";
import { dialReason } from "#src/surface/peer/link-reasons.ts";
import { dialUntil, type Met } from "#src/surface/peer/dial.ts";

export interface MemberCall {
  readonly node: string;
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Calls a command of a member over a connection of its own, trying its addresses in order. */
export async function askMember(
  services: Services,
  member: Member | undefined,
  { node, name, parameters }: MemberCall,
  signal: AbortSignal,
): Promise<unknown> {
  if (member === undefined || !isLive(member)) throw unknown(node);
  const met = await reach(services, member, signal);
  const grant = presentedGrant(services, met.peer.sender);
  return callMet(services, met, { name, parameters, grant }, { signal, emit() {} });
}

async function reach(services: Services, member: Member, signal: AbortSignal): Promise<Met> {
  const { node, contact } = member;
  let failure: unknown = unreached(node);
  for (const place of contact.places) {
    const address = parseAddress(place);
    const request = { place: address, certificate: contact.certificate, to: node, again: null };
    try {
      return await dialUntil(signal, services, request);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Refusal)) throw error;
      failure = dialReason(address, error);
    }
  }
  throw failure;
}

function unknown(node: string): Refusal {
  return new Refusal(
    "member_unknown",
    `${node} is not a member of this mesh`,
    "`psionic nodes` shows who is",
    { node },
  );
}

function unreached(node: string): Refusal {
  return new Refusal(
    "peer_unreachable",
    `${node} has no address: it only dials others`,
    "ask on that machine",
    { node },
  );
}
