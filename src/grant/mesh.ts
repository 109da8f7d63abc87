import { encodeBase32 } from "#src/codec/base32.ts";
import { digestJson } from "#src/codec/digest.ts";

/** 160 bits, as in node ids. */
const meshIdBytes = 20;

/**
 * The mesh a node founded: `psm` and 32 base32 letters of the SHA-256 of its founding text. A node
 * that has joined nobody is the founder, and the only member, of its own mesh. One that left a mesh, which
 * may be its own and go on without it, founds another: `founding` is the epoch in which it did, 0 at first.
 */
export function meshIdOf({ nodeId: founder }: { readonly nodeId: string }, founding = 0): string {
  const first = { type: "psionic-mesh", version: 1, founder };
  const digest = digestJson(founding === 0 ? first : { ...first, founding });
  return `psm${encodeBase32(Buffer.from(digest, "hex").subarray(0, meshIdBytes))}`;
}
