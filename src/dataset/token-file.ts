import type { Disk, FileWriter } from "#src/port/disk.ts";
import { assert } from "#src/refusal/refusal.ts";
import { damaged } from "./manifest.ts";

/** Tokens of one allocation: 256 MB or 512 MB, well below the engine's limit for one buffer. */
const BLOCK_TOKEN_COUNT = 1 << 27;
const WRITE_BYTES = 1 << 20;

type TokenBlock = Uint16Array | Uint32Array;

/** Two bytes while every token fits. */
export function tokenBytesFor(vocabularySize: number): 2 | 4 {
  return vocabularySize <= 0x10000 ? 2 : 4;
}

/** A long row of tokens, up to 2^31, in blocks. */
export class TokenSequence {
  constructor(
    readonly length: number,
    readonly blocks: readonly TokenBlock[],
    readonly blockTokenCount = BLOCK_TOKEN_COUNT,
  ) {}

  /** Copies tokens `start` … `start + count − 1` to `out` from `outStart` on. */
  copy(start: number, count: number, out: Int32Array, outStart: number): void {
    assert(start >= 0 && start + count <= this.length, "tokens outside the sequence");
    for (let copied = 0; copied < count;) {
      const position = start + copied;
      const block = this.blocks[Math.floor(position / this.blockTokenCount)]!;
      const inBlock = position % this.blockTokenCount;
      const length = Math.min(count - copied, block.length - inBlock);
      for (let index = 0; index < length; index++)
        out[outStart + copied + index] = block[inBlock + index]!;
      copied += length;
    }
  }
}

/** Writes the token file of one side of the split, beside its final name until it is complete. */
export class TokenFileWriter {
  readonly #hash = new Bun.CryptoHasher("sha256");
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  #filled = 0;
  tokenCount = 0;

  private constructor(
    readonly disk: Disk,
    readonly path: string,
    readonly tokenBytes: 2 | 4,
    readonly writer: FileWriter,
  ) {
    this.#buffer = new Uint8Array(WRITE_BYTES);
    this.#view = new DataView(this.#buffer.buffer);
  }

  static async create(disk: Disk, path: string, tokenBytes: 2 | 4): Promise<TokenFileWriter> {
    // A partial file is what an earlier attempt left when it was killed.
    if ((await disk.stat(partial(path))) !== null) await disk.remove(partial(path));
    return new TokenFileWriter(disk, path, tokenBytes, await disk.create(partial(path)));
  }

  async add(tokens: ArrayLike<number>): Promise<void> {
    for (let index = 0; index < tokens.length; index++) {
      if (this.tokenBytes === 2) this.#view.setUint16(this.#filled, tokens[index]!, true);
      else this.#view.setUint32(this.#filled, tokens[index]!, true);
      this.#filled += this.tokenBytes;
      if (this.#filled === WRITE_BYTES) await this.#flush();
    }
    this.tokenCount += tokens.length;
  }

  async #flush(): Promise<void> {
    const bytes = this.#buffer.slice(0, this.#filled);
    this.#hash.update(bytes);
    await this.writer.write(bytes);
    this.#filled = 0;
  }

  /** Makes the file durable under its name and returns its digest. */
  async finish(): Promise<string> {
    await this.#flush();
    await this.writer.sync();
    await this.writer.close();
    await this.disk.rename(partial(this.path), this.path);
    return this.#hash.digest("hex");
  }

  /** Gives up after a failure and removes what was written. */
  async abandon(): Promise<void> {
    await this.writer.close();
    await this.disk.remove(partial(this.path));
  }
}

function partial(path: string): string {
  return `${path}.partial`;
}

/** Reads a token file and checks it against its digest. Refusals: `dataset_damaged`. */
export async function readTokenFile(
  disk: Disk,
  path: string,
  expected: { readonly tokens: number; readonly sha256: string },
  tokenBytes: 2 | 4,
  blockTokenCount = BLOCK_TOKEN_COUNT,
): Promise<TokenSequence> {
  const sizeBytes = (await disk.stat(path))?.sizeBytes ?? null;
  if (sizeBytes === null) throw damaged(path, "it is missing");
  if (sizeBytes !== expected.tokens * tokenBytes) {
    throw damaged(path, `it has ${sizeBytes} bytes instead of ${expected.tokens * tokenBytes}`);
  }
  const hash = new Bun.CryptoHasher("sha256");
  const blocks: TokenBlock[] = [];
  for (let start = 0; start < expected.tokens; start += blockTokenCount) {
    const length = Math.min(blockTokenCount, expected.tokens - start);
    const bytes = await disk.readRange(path, start * tokenBytes, length * tokenBytes);
    if (bytes.length !== length * tokenBytes)
      throw damaged(path, "it became shorter while it was read");
    hash.update(bytes);
    // Every machine psionic runs on is little-endian; a copy aligns the bytes where they are not.
    const { buffer, byteOffset } = byteAligned(bytes, tokenBytes);
    blocks.push(
      tokenBytes === 2
        ? new Uint16Array(buffer, byteOffset, length)
        : new Uint32Array(buffer, byteOffset, length),
    );
  }
  if (hash.digest("hex") !== expected.sha256)
    throw damaged(path, "its digest is not the manifest's");
  return new TokenSequence(expected.tokens, blocks, blockTokenCount);
}

function byteAligned(bytes: Uint8Array, alignment: number): Uint8Array {
  return bytes.byteOffset % alignment === 0 ? bytes : bytes.slice();
}
