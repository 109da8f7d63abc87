import type { Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";

/** Bytes read at once. */
const pieceBytes = 4 * 1024 * 1024;

/** SHA-256 of a file of any size. */
export async function digestFile(disk: Disk, path: string): Promise<Digest> {
  const hasher = new Bun.CryptoHasher("sha256");
  for (let offset = 0; ;) {
    const bytes = await disk.readRange(path, offset, pieceBytes);
    if (bytes.byteLength === 0) return hasher.digest("hex");
    hasher.update(bytes);
    offset += bytes.byteLength;
  }
}
