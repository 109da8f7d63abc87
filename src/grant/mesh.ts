import { encodeBase32 } from "#src/codec/base32.ts";
import { digestJson } from "#src/codec/digest.ts";

/** 160 bits, as in node ids. */
const meshIdBytes = 20;

/**
 * The mesh a node founded: `psm` and 32 base32 letters of the SHA-256 of its founding text. A node
 * that has joined nobody is the founder, and the only member, of its own mesh.
 */
export function meshIdOf(founder: { readonly nodeId: string }): string {
  const digest = digestJson({ type: "psionic-mesh", version: 1, founder: founder.nodeId });
  return `psm${encodeBase32(Buffer.from(digest, "hex").subarray(0, meshIdBytes))}`;
}
