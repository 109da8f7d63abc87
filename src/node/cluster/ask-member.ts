import type { Services } from "#src/command/define.ts";
import { isLive, type Member } from "#src/cluster/state.ts";
import { parseAddress } from "#src/peer/address.ts";
import { callPeer } from "#src/peer/call.ts";
import { ownFacts, presentedGrant } from "#src/peer/own-facts.ts";
import { Refusal } from "#src/refusal/refusal.ts";
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
  const log = await services.receipts.open();
  const { connection, peer } = await reach(services, member, signal);
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const { clock, random, trust } = services;
    const { rotations } = ownFacts(log);
    const grant = presentedGrant(services, peer.sender);
    return await callPeer(
      connection.openLine(),
      peer,
      { name, parameters, grant },
      { clock, random, trust, signal, rotations, identity: log.author, emit() {} },
    );
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}

async function reach(services: Services, member: Member, signal: AbortSignal): Promise<Met> {
  const { node, contact } = member;
  let failure: unknown = unreached(node);
  for (const place of contact.places) {
    const request = { place: parseAddress(place), certificate: contact.certificate, to: node };
    try {
      return await dialUntil(signal, services, { ...request, again: null });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Refusal)) throw error;
      failure = error;
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
