import { canonicalText, digestBytes } from "#src/codec/digest.ts";
import {
  signBytes,
  signingKeyFromSeed,
  verifyBytes,
  type SigningKey,
} from "#src/receipt/signature.ts";
import type { CommandOf } from "./event.ts";

/**
 * How a newcomer shows that it has a token's secret without telling it to anybody: the secret makes a key, the
 * mesh's state has its public half, and the newcomer signs who it is with the other. So no member, which reads
 * the state and whatever newcomers said before, can let somebody in itself.
 */

/** What is signed of a newcomer: who it is, in which start, and where it is reached. */
export type Applicant = Pick<
  CommandOf<"node-admitted">,
  "mesh" | "node" | "key" | "epoch" | "token" | "contact"
>;

/** What the mesh's state keeps of a token's secret: the public half of its key. */
export function tokenKey(secret: string): string {
  return keyOf(secret).publicKey;
}

/** The newcomer's signature with the secret's key: 128 hexadecimal digits. */
export function proveAdmission(secret: string, applicant: Applicant): string {
  return Buffer.from(signBytes(keyOf(secret), contentOf(applicant))).toString("hex");
}

/** Whether who applies had the secret of a token's key. */
export function isProven(publicKey: string, applicant: Applicant, proof: string): boolean {
  return verifyBytes(publicKey, contentOf(applicant), Buffer.from(proof, "hex"));
}

function keyOf(secret: string): SigningKey {
  return signingKeyFromSeed(Buffer.from(digestBytes(`psionic join secret ${secret}`), "hex"));
}

function contentOf({ mesh, node, key, epoch, token, contact }: Applicant): Uint8Array {
  const content = { type: "psionic-admission", version: 1, mesh, node, key, epoch, token, contact };
  return Buffer.from(canonicalText(content));
}
