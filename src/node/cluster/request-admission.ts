import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import type { Contact } from "#src/cluster/event.ts";
import type { JoinToken } from "#src/cluster/join-token.ts";
import type { Joined, Newcomer } from "#src/cluster/services.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import { callPeer } from "#src/peer/call.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { dialUntil } from "#src/surface/peer/dial.ts";
import { admissionSchema } from "./admission-schema.ts";

export interface JoinRequest {
  readonly place: PeerAddress;
  readonly token: JoinToken;
  /** Without it, all that the token allows. */
  readonly roles?: Newcomer["roles"];
}

/**
 * Asks a member, at its address and under the certificate the token pins, to admit this node. Refusals:
 * those of dialling and calls, and those of admission as the member gives them.
 */
export async function requestAdmission(
  services: Services,
  { place, token, roles }: JoinRequest,
  own: {
    readonly node: string;
    readonly epoch: number;
    readonly contact: Contact;
    readonly meshVersion: number;
  },
  signal: AbortSignal,
): Promise<Joined> {
  const log = await services.receipts.open();
  const request = { place, certificate: token.certificate, again: null };
  const { connection, peer } = await dialUntil(signal, services, request);
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const { clock, random, trust } = services;
    const { author } = log;
    const parameters = {
      ...{ mesh: token.mesh, token: token.token, secret: token.secret },
      ...{ ...own, key: author.key.publicKey },
      ...(roles === undefined ? {} : { roles }),
      ...{ clockMs: Math.floor(clock.wallMs()), claims: [], isProbe: false },
    };
    const { rotations } = ownFacts(log);
    const answer = await callPeer(
      connection.openLine(),
      peer,
      { name: "cluster/admit", parameters, grant: null },
      { clock, random, trust, signal, rotations, identity: author, emit() {} },
    );
    const admitted = v.safeParse(admissionSchema, answer);
    if (!admitted.success || admitted.output.mesh !== token.mesh) throw notUnderstood(place);
    return { ...admitted.output, host: peer.sender };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}

function notUnderstood(place: PeerAddress): Refusal {
  return new Refusal(
    "version_unfit",
    `what ${addressText(place)} answered is no admission that this version reads`,
    "bring both machines to the same version of psionic",
    { ...place },
  );
}
