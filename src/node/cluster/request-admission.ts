import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { proveAdmission } from "#src/cluster/admission-proof.ts";
import type { Contact } from "#src/cluster/event.ts";
import type { JoinToken } from "#src/cluster/join-token.ts";
import type { Joined, Newcomer } from "#src/cluster/services.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callMet } from "#src/surface/peer/call-met.ts";
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
  const { author } = await services.receipts.open();
  const request = { place, certificate: token.certificate, again: null };
  const met = await dialUntil(signal, services, request).catch(otherMachine);
  const { meshVersion, ...who } = own;
  const key = author.key.publicKey;
  const applicant = { ...who, key, mesh: token.mesh, token: token.token };
  const parameters = {
    ...{ ...applicant, meshVersion, proof: proveAdmission(token.secret, applicant) },
    ...(roles === undefined ? {} : { roles }),
    ...{ clockMs: Math.floor(services.clock.wallMs()), claims: [], isProbe: false },
  };
  const call = { name: "cluster/admit", parameters, grant: null };
  const answer = await callMet(services, met, call, { signal, emit() {} });
  const admitted = v.safeParse(admissionSchema, answer);
  if (!admitted.success || admitted.output.mesh !== token.mesh) throw notUnderstood(place);
  return { ...admitted.output, host: met.peer.sender };
}

/** A certificate other than the token's is seldom that of somebody in between. */
function otherMachine(error: unknown): never {
  if (!(error instanceof Refusal) || error.code !== "certificate_changed") throw error;
  throw new Refusal(
    error.code,
    `${error.message}, as the token says`,
    "the token was made on another machine than the one at this address: copy the whole line that was printed there",
    error.details,
  );
}

function notUnderstood(place: PeerAddress): Refusal {
  return new Refusal(
    "version_unfit",
    `what ${addressText(place)} answered is no admission that this version reads`,
    "bring both machines to the same version of psionic",
    { ...place },
  );
}
