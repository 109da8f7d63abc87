/** What the scripts that time artifacts share. */
import { rmSync } from "node:fs";

/** Seconds that work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1_000;
}

/** Writes a file no two chunks of which are alike. */
export async function writeNoise(path: string, sizeBytes: number): Promise<void> {
  const piece = crypto.getRandomValues(new Uint8Array(50_000));
  const writer = Bun.file(path).writer();
  for (let written = 0; written < sizeBytes; written += piece.length) {
    new DataView(piece.buffer).setFloat64(0, written);
    void writer.write(piece.slice(0, Math.min(piece.length, sizeBytes - written)));
    await writer.flush();
  }
  await writer.end();
}

/** What this machine does with the bytes of a file at the moment, in bytes per second. */
export async function machineFigures(path: string): Promise<{
  readonly hashRate: number;
  /** Copied by another program and synced. */
  readonly copyRate: number;
}> {
  const file = Bun.file(path);
  const bytes = new Uint8Array(await file.slice(0, 256_000_000).arrayBuffer());
  const hashing = await timed(async () => new Bun.CryptoHasher("sha256").update(bytes).digest());
  const copying = await timed(async () => {
    const words = ["dd", `if=${path}`, `of=${path}.copy`, "bs=4M", "conv=fsync"];
    await Bun.spawn(words, { stderr: "ignore" }).exited;
  });
  rmSync(`${path}.copy`);
  return { hashRate: bytes.byteLength / hashing, copyRate: file.size / copying };
}
