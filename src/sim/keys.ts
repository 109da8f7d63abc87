import { digestBytes } from "#src/codec/digest.ts";
import { signingKeyFromSeed, type SigningKey } from "#src/receipt/signature.ts";

const known = new Map<string, SigningKey>();

/** The key of a simulated node: the same in every seed, and real, as statements are signed with it. */
export function signingKeyOf(node: string): SigningKey {
  const key =
    known.get(node) ?? signingKeyFromSeed(Buffer.from(digestBytes(`key of ${node}`), "hex"));
  known.set(node, key);
  return key;
}

export function keyOf(node: string): string {
  return signingKeyOf(node).publicKey;
}
