import { digestBytes, type Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { historyEndingIn } from "#src/receipt/rotation.ts";
import { verifyBytes } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  bundleDamaged,
  bundleMagic,
  chainStart,
  footerMaximumBytes,
  footerText,
  headMaximumBytes,
  partMaximum,
  partName,
  readLine,
  sealHead,
  textMaximumBytes,
  type Footer,
  type Part,
  type PartHead,
} from "./parts.ts";

/** Bytes read of a bundle at once. */
const readBytes = 1024 * 1024;

/** A bundle whose every byte was found to be what its exporter signed. */
export interface Bundle {
  readonly disk: Disk;
  readonly path: string;
  readonly sizeBytes: number;
  readonly parts: readonly Part[];
  readonly footer: Footer;
}

/**
 * Reads a bundle from its first byte to its last: every part against its digest, every line against the
 * chain, the last line against its signature. Refusals: `not_found`, `not_a_file`; `evidence_damaged` naming the part.
 */
export async function openBundle(disk: Disk, path: string, signal: AbortSignal): Promise<Bundle> {
  const status = await disk.stat(path);
  if (status === null)
    throw new Refusal("not_found", `${path} does not exist`, "name a bundle's file", { path });
  if (status.kind !== "file")
    throw new Refusal("not_a_file", `${path} is not a file`, "name a bundle's file", { path });
  const source = new ByteSource(disk, path, signal);
  if ((await source.line(bundleMagic.length)) !== bundleMagic.slice(0, -1))
    throw bundleDamaged("its first line", "this is no bundle of a run's evidence");
  const parts: Part[] = [];
  for (let chain: Digest = chainStart; ;) {
    const next = parts.length + 1;
    const text = await source.line(next === 1 ? headMaximumBytes : footerMaximumBytes);
    if (text === null) throw cutOff(source, parts);
    const line = readLine(text);
    if (line === null) throw bundleDamaged(`part ${next}`, "its line is not as it was written");
    if ("footer" in line) {
      await checkFooter(source, line.footer, parts, chain);
      return { disk, path, sizeBytes: source.offset, parts, footer: line.footer };
    }
    checkHead(line.head, next, chain);
    parts.push(await readContent(source, line.head));
    chain = line.head.chain;
  }
}

function cutOff(source: ByteSource, parts: readonly Part[]): Refusal {
  const last = parts.at(-1);
  const after = last === undefined ? "its first line" : partName(last);
  if (source.isAtEnd) return bundleDamaged("its end", `it is cut off after ${after}`);
  return bundleDamaged(`part ${parts.length + 1}`, "its line is not as it was written");
}

function checkHead(head: PartHead, next: number, chain: Digest): void {
  const where = `part ${next}`;
  if (next > partMaximum) throw bundleDamaged(where, `a bundle has ${partMaximum} parts at most`);
  if (head.part !== next)
    throw bundleDamaged(where, `part ${head.part} stands in its place`, { found: head.part });
  if (sealHead(chain, head).chain !== head.chain)
    throw bundleDamaged(where, "its line does not follow from those before it");
}

async function readContent(source: ByteSource, head: PartHead): Promise<Part> {
  const offset = source.offset;
  const hasher = new Bun.CryptoHasher("sha256");
  const missingBytes = await source.take(head.sizeBytes, (bytes) => hasher.update(bytes));
  if (missingBytes > 0)
    throw bundleDamaged(partName(head), `it is cut off: ${missingBytes} bytes are missing`);
  const found = hasher.digest("hex");
  if (found !== head.digest)
    throw bundleDamaged(partName(head), "its bytes are not those of its digest", {
      ...{ digest: head.digest, found },
    });
  if ((await source.line(0)) !== "")
    throw bundleDamaged(partName(head), "it does not end where it says");
  return { ...head, offset };
}

async function checkFooter(
  source: ByteSource,
  footer: Footer,
  parts: readonly Part[],
  chain: Digest,
): Promise<void> {
  const where = "its last line";
  const { signature, author, key, rotations } = footer;
  if (!verifyBytes(key, Buffer.from(footerText(footer)), Buffer.from(signature, "hex")))
    throw bundleDamaged(where, "its signature is not by the key it names", { author, key });
  if (historyEndingIn(key, rotations).nodeId !== author)
    throw bundleDamaged(where, `its key is not one of ${author}`, { author, key });
  if (footer.parts !== parts.length || footer.chain !== chain)
    throw bundleDamaged(where, `it was written after ${footer.parts} other parts`);
  if (!(await source.ends())) throw bundleDamaged("its end", "bytes follow after its last line");
}

/** The bytes of a part, which has no more than so many; texts have not. */
export async function readPart(
  bundle: Bundle,
  part: Part,
  maximumBytes = textMaximumBytes,
): Promise<Uint8Array> {
  if (part.sizeBytes > maximumBytes)
    throw bundleDamaged(partName(part), `it has more than ${maximumBytes} bytes`);
  const bytes = await bundle.disk.readRange(bundle.path, part.offset, part.sizeBytes);
  if (bytes.byteLength === part.sizeBytes && digestBytes(bytes) === part.digest) return bytes;
  throw bundleDamaged(partName(part), "it changed while it was read");
}

/** A file forward, a piece at a time. */
class ByteSource {
  /** Of the next byte. */
  offset = 0;
  #buffer: Uint8Array = new Uint8Array(0);
  #at = 0;
  #isDry = false;

  constructor(
    readonly disk: Disk,
    readonly path: string,
    readonly signal: AbortSignal,
  ) {}

  get isAtEnd(): boolean {
    return this.#isDry && this.#at === this.#buffer.byteLength;
  }

  /** The text up to the next line feed, which is passed; null where none comes within so many bytes. */
  async line(maximumBytes: number): Promise<string | null> {
    for (;;) {
      const within = this.#buffer.subarray(this.#at, this.#at + maximumBytes + 1);
      const end = within.indexOf(10);
      if (end !== -1) {
        const text = decode(within.subarray(0, end));
        this.#advance(end + 1);
        return text;
      }
      if (within.byteLength > maximumBytes || !(await this.#fill())) {
        if (this.#isDry) this.#advance(within.byteLength);
        return null;
      }
    }
  }

  /** Visits so many bytes; gives how many were missing. */
  async take(count: number, visit: (bytes: Uint8Array) => void): Promise<number> {
    let left = count;
    while (left > 0) {
      if (this.#at === this.#buffer.byteLength && !(await this.#fill())) return left;
      const piece = this.#buffer.subarray(this.#at, this.#at + left);
      visit(piece);
      left -= piece.byteLength;
      this.#advance(piece.byteLength);
    }
    return 0;
  }

  async ends(): Promise<boolean> {
    return this.#at === this.#buffer.byteLength && !(await this.#fill());
  }

  #advance(count: number): void {
    this.#at += count;
    this.offset += count;
  }

  async #fill(): Promise<boolean> {
    this.signal.throwIfAborted();
    if (this.#isDry) return false;
    const rest = this.#buffer.subarray(this.#at);
    const bytes = await this.disk.readRange(this.path, this.offset + rest.byteLength, readBytes);
    this.#isDry = bytes.byteLength === 0;
    this.#buffer = rest.byteLength === 0 ? bytes : Buffer.concat([rest, bytes]);
    this.#at = 0;
    return !this.#isDry;
  }
}

/** No text where the bytes are not UTF-8: no line of a bundle reads so. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return "\u{FFFD}";
  }
}
