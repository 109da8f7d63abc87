import { createPrivateKey } from "node:crypto";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { fingerprintOf, makeCertificate, type TlsIdentity } from "#src/peer/certificate.ts";
import { Refusal } from "#src/refusal/refusal.ts";

type Place = Pick<Services, "disk" | "home">;

/** Certificate and key together, so that no crash leaves one without the other. */
const pathOf = ({ home }: Place) => join(home.identity, "peer-tls.pem");

/** The certificate of this node's door for others; null before it was first opened. */
export async function readTlsIdentity(place: Place): Promise<TlsIdentity | null> {
  const path = pathOf(place);
  if ((await place.disk.stat(path)) === null) return null;
  const text = await place.disk.readText(path);
  const part = (name: string) =>
    new RegExp(`-----BEGIN ${name}-----[^-]+-----END ${name}-----\\n?`).exec(text)?.[0] ?? "";
  try {
    const [certificate, key] = [part("CERTIFICATE"), part("PRIVATE KEY")];
    createPrivateKey(key);
    return { certificate, key, fingerprint: fingerprintOf(certificate) };
  } catch {
    throw new Refusal(
      "identity_key_corrupt",
      `${path} holds no certificate with its key`,
      "remove the file; a new one is made, and whoever pinned the old one must pin the new one",
      { path },
    );
  }
}

/** The certificate of this node's door for others, made when there is none. Hold the home's lock. */
export async function openTlsIdentity(
  services: Place & Pick<Services, "random">,
  nodeId: string,
): Promise<TlsIdentity> {
  const known = await readTlsIdentity(services);
  if (known !== null) return known;
  const made = makeCertificate(nodeId, services.random);
  await services.disk.publish(pathOf(services), made.certificate + made.key, 0o600);
  return made;
}
