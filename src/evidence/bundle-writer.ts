import { canonicalText, type Digest } from "#src/codec/digest.ts";
import type { FileWriter, Disk } from "#src/port/disk.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import {
  bundleMagic,
  chainStart,
  partMaximum,
  sealFooter,
  sealHead,
  type Exporter,
  type PartKind,
} from "./parts.ts";

/** Bytes gathered before they are written. */
const writeBytes = 1024 * 1024;

/** Content of a part: read twice, once for its digest. `pieces` gives the same bytes each time. */
export interface PartContent {
  readonly sizeBytes: number;
  pieces(): AsyncIterable<Uint8Array>;
}

/** Content that is at hand. */
export function contentOf(bytes: Uint8Array | string): PartContent {
  const whole = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  return {
    sizeBytes: whole.byteLength,
    async *pieces() {
      yield whole;
    },
  };
}

/** Writes a bundle part by part; memory stays bounded by one piece. */
export class BundleWriter {
  #chain: Digest = chainStart;
  #parts = 0;
  #sizeBytes = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  constructor(readonly file: FileWriter) {}

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get parts(): number {
    return this.#parts;
  }

  async begin(): Promise<void> {
    await this.#write(Buffer.from(bundleMagic));
  }

  /** Refused with `evidence_too_large` where there are as many parts as there may be. */
  async add(kind: PartKind, name: string, content: PartContent): Promise<void> {
    if (this.#parts >= partMaximum)
      throw new Refusal(
        "evidence_too_large",
        `the run has more events and contributions than the ${partMaximum} parts of a bundle`,
        "have fewer, longer windows in the next run",
      );
    const hasher = new Bun.CryptoHasher("sha256");
    let count = 0;
    for await (const piece of content.pieces()) {
      hasher.update(piece);
      count += piece.byteLength;
    }
    assert(count === content.sizeBytes, "content has the size it says");
    const part = ++this.#parts;
    const plain = { part, kind, name, sizeBytes: count, digest: hasher.digest("hex") };
    const head = sealHead(this.#chain, plain);
    this.#chain = head.chain;
    await this.#write(Buffer.from(`${canonicalText(head)}\n`));
    for await (const piece of content.pieces()) await this.#write(piece);
    await this.#write(newline);
  }

  /** The signed last line; what was written is durable when it returns. Gives the chain it signs. */
  async end(of: { mesh: string; run: string }, exporter: Exporter): Promise<Digest> {
    const written = { mesh: of.mesh, run: of.run, parts: this.#parts, chain: this.#chain };
    await this.#write(Buffer.from(`${sealFooter(written, exporter)}\n`));
    await this.#flush();
    await this.file.sync();
    return this.#chain;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    this.#sizeBytes += bytes.byteLength;
    if (this.#waitingBytes >= writeBytes) await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#waiting.length > 0) await this.file.write(Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

const newline = Buffer.from("\n");

/** A new file that appears whole, by renaming, or not at all. */
export async function writeWhole<Result>(
  disk: Disk,
  path: string,
  write: (file: FileWriter) => Promise<Result>,
): Promise<Result> {
  const partial = `${path}.partial`;
  await disk.remove(partial);
  try {
    const file = await disk.create(partial);
    let result: Result;
    try {
      result = await write(file);
    } finally {
      await file.close();
    }
    await disk.rename(partial, path);
    await disk.syncDirectory(path.slice(0, path.lastIndexOf("/")) || "/");
    return result;
  } catch (error) {
    await disk.remove(partial);
    throw error;
  }
}
