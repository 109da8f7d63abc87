import type { Services } from "#src/command/define.ts";
import { proveAdmission } from "#src/cluster/admission-proof.ts";
import { readToken } from "#src/cluster/join-token.ts";
import { meshVersion } from "#src/cluster/version.ts";
import type { Diagnosis } from "#src/surface/peer/diagnose.ts";
import { readTlsIdentity } from "#src/surface/peer/tls-file.ts";
import { nodeEpoch } from "./daemon/node-epoch.ts";

/** Stands where a node that never opened its door has no certificate and no box key to name. */
const none = "0".repeat(64);

/**
 * What to ask of a member to learn whether this node would be admitted with a token, and which certificate
 * must show there. Nothing is written there or here. Refused with `token_malformed`.
 */
export async function admissionProbe(
  services: Services,
  text: string,
): Promise<Required<Pick<Diagnosis, "probe" | "certificate">>> {
  const { mesh, token, secret, certificate } = readToken(text);
  const { author } = await services.receipts.open();
  const own = await readTlsIdentity(services);
  const applicant = {
    ...{ mesh, token, node: author.nodeId, key: author.key.publicKey },
    // It would join in its next start.
    epoch: nodeEpoch(services.store) + 1,
    contact: { places: [], certificate: own?.fingerprint ?? none, box: none },
  };
  const parameters = {
    ...{ ...applicant, proof: proveAdmission(secret, applicant) },
    ...{ isProbe: true, meshVersion, claims: [] },
    clockMs: Math.floor(services.clock.wallMs()),
  };
  return { certificate, probe: { name: "cluster/admit", mesh, parameters } };
}
