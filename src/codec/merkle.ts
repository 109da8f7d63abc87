import { digestBytes, type Digest } from "./digest.ts";

/** Bytes per leaf; the last leaf of a tree may be shorter. */
export const merkleBlockBytes = 64 * 1024;

/** A leaf is SHA-256(0x00 ‖ block), so that no leaf can pass for an inner node. */
export function merkleLeaf(block: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(leafPrefix).update(block).digest();
}

const leafPrefix = new Uint8Array([0]);
const nodePrefix = new Uint8Array([1]);

/**
 * The root over leaves: neighbours are joined as SHA-256(0x01 ‖ left ‖ right), an odd last one moves
 * up as it is. The root of no leaves is SHA-256 of nothing.
 */
export function merkleRoot(leaves: readonly Uint8Array[]): Digest {
  if (leaves.length === 0) return digestBytes("");
  let level = leaves;
  while (level.length > 1) {
    const next: Uint8Array[] = [];
    for (let index = 0; index < level.length; index += 2) {
      const left = level[index]!;
      const right = level[index + 1];
      next.push(right ? joined(left, right) : left);
    }
    level = next;
  }
  return level[0]!.toHex();
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(nodePrefix).update(left).update(right).digest();
}

/** Leaves of a run of bytes, cut into blocks from its start. */
export function merkleLeaves(bytes: Uint8Array): Uint8Array[] {
  const leaves: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.byteLength; offset += merkleBlockBytes)
    leaves.push(merkleLeaf(bytes.subarray(offset, offset + merkleBlockBytes)));
  return leaves;
}
