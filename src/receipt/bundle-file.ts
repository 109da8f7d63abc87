import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  BundleVerifier,
  bundleWrong,
  headerText,
  lineMaximumBytes,
  type BundleSummary,
} from "./bundle.ts";
import { ChainVerifier, type ChainSummary } from "./chain.ts";
import { readReceipt } from "./parse-receipt.ts";
import { rotationKind, type Receipt } from "./receipt.ts";
import type { ReceiptArchive, ReceiptRow } from "./receipt-log.ts";
import { rotationBody } from "./rotation.ts";
import { receiptWrong } from "./verify-receipt.ts";

/** Bytes read of a bundle at once. */
const readBytes = 1024 * 1024;
/** Receipts read of a database at once. */
const rowsAtOnce = 100;

/** Which stretch of a chain to write. */
export interface ExportRequest {
  readonly author: string;
  /** The stretch from the first to the last receipt about this, others between them included. */
  readonly subject?: string | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export interface Stretch {
  readonly first: number;
  readonly last: number;
}

/**
 * Writes a stretch of a chain to a new file, published whole by renaming; memory stays bounded. The
 * receipts are written as they lie in the database: `verify` says whether they hold.
 */
export async function writeBundle(
  { archive, disk }: { readonly archive: ReceiptArchive; readonly disk: Disk },
  request: ExportRequest,
  path: string,
): Promise<
  Stretch & { readonly count: number; readonly head: string; readonly sizeBytes: number }
> {
  const stretch = stretchOf(archive, request);
  const header = headerOf(archive, request, stretch);
  const partial = `${path}.partial`;
  await disk.remove(partial);
  const file = await disk.create(partial);
  let sizeBytes = 0;
  const write = async (text: string) => {
    const bytes = Buffer.from(text);
    sizeBytes += bytes.length;
    await file.write(bytes);
  };
  try {
    try {
      await write(`${headerText(header)}\n`);
      for (const rows of batches(archive, request.author, stretch))
        await write(rows.map(({ text }) => `${text}\n`).join(""));
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(partial, path);
  } catch (error) {
    await disk.remove(partial);
    throw error;
  }
  await disk.syncDirectory(path.slice(0, path.lastIndexOf("/")) || "/");
  return { ...stretch, count: header.count, head: header.head, sizeBytes };
}

function* batches(
  archive: ReceiptArchive,
  author: string,
  { first, last }: Stretch,
): Generator<readonly ReceiptRow[]> {
  for (let next = first; next <= last;) {
    const rows = archive.rows(author, next, Math.min(rowsAtOnce, last - next + 1));
    if (rows.length === 0) return;
    yield rows.filter(({ sequence }) => sequence <= last);
    next = rows.at(-1)!.sequence + 1;
  }
}

function stretchOf(archive: ReceiptArchive, request: ExportRequest): Stretch {
  const { author, subject } = request;
  const [start] = archive.rows(author, 1, 1);
  const end = archive.last(author);
  if (start === undefined || end === null)
    throw nothing(`no receipt by ${author} is here`, request);
  const span = subject === undefined ? null : archive.span(author, subject);
  if (subject !== undefined && span === null)
    throw nothing(`no receipt by ${author} is about ${subject}`, request);
  const first = Math.max(start.sequence, request.from ?? span?.first ?? 1);
  const last = Math.min(end.receipt.sequence, request.to ?? span?.last ?? end.receipt.sequence);
  if (first <= last) return { first, last };
  throw nothing(`the chain of ${author} has no receipts ${request.from} to ${request.to}`, request);
}

function headerOf(archive: ReceiptArchive, { author, subject }: ExportRequest, stretch: Stretch) {
  const { first, last } = stretch;
  const rotations = archive.rotations(author);
  const before = rotations.filter(({ sequence }) => sequence < first);
  const within = rotations.filter(({ sequence }) => sequence >= first && sequence < last);
  const [{ receipt: start } = {}] = archive.chain(author, first, 1);
  const [end] = archive.chain(author, last, 1);
  if (start === undefined || end === undefined)
    throw nothing(`the chain of ${author} has a hole at ${first} or ${last}`, { author });
  return {
    ...{ author, subject: subject ?? null, first, last, count: last - first + 1, head: end.digest },
    subjectCount: subject === undefined ? null : archive.countBetween(author, subject, first, last),
    keys: [start.key, ...within.map((rotation) => rotationBody(rotation).to)],
    rotations: before,
  };
}

function nothing(why: string, { author, subject, from, to }: ExportRequest): Refusal {
  return new Refusal("receipt_not_found", why, "`psionic receipt list` shows what is here", {
    ...{ author, subject: subject ?? null, from: from ?? null, to: to ?? null },
  });
}

/** Verifies a bundle in a file, a piece at a time. Refusals: see `BundleVerifier`. */
export async function verifyBundleFile(disk: Disk, path: string): Promise<BundleSummary> {
  const file = await disk.stat(path);
  if (file === null)
    throw new Refusal("not_found", `${path} does not exist`, "name a bundle's file", { path });
  if (file.kind !== "file")
    throw new Refusal("not_a_file", `${path} is not a file`, "name a bundle's file", { path });
  const verifier = new BundleVerifier();
  const decoder = new LineDecoder((line) => verifier.addLine(line));
  for (let offset = 0; ;) {
    const bytes = await disk.readRange(path, offset, readBytes);
    if (bytes.length === 0) break;
    decoder.add(bytes);
    offset += bytes.length;
  }
  decoder.end();
  return verifier.end();
}

/** Verifies a bundle that is a text. */
export function verifyBundleText(text: string): BundleSummary {
  const verifier = new BundleVerifier();
  const decoder = new LineDecoder((line) => verifier.addLine(line));
  decoder.add(Buffer.from(text));
  decoder.end();
  return verifier.end();
}

/** Cuts bytes into lines of UTF-8, each ended by a line feed and bounded. */
class LineDecoder {
  #rest: Uint8Array = new Uint8Array(0);
  readonly #text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(readonly take: (line: string) => void) {}

  add(bytes: Uint8Array): void {
    let start = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
      this.take(this.#decode(Buffer.concat([this.#rest, bytes.subarray(start, end)])));
      this.#rest = new Uint8Array(0);
      start = end + 1;
    }
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(start)]);
    if (this.#rest.length > lineMaximumBytes) throw lineTooLong();
  }

  end(): void {
    if (this.#rest.length > 0) throw bundleWrong("its last line is cut off");
  }

  #decode(bytes: Uint8Array): string {
    if (bytes.length > lineMaximumBytes) throw lineTooLong();
    try {
      return this.#text.decode(bytes);
    } catch {
      throw bundleWrong("a line of it is not UTF-8");
    }
  }
}

function lineTooLong(): Refusal {
  return bundleWrong(`a line of it has more than ${lineMaximumBytes} bytes`);
}

/**
 * Verifies the whole chain of an author as it lies in the database, the columns beside each receipt
 * included. It begins with receipt 1, or with a rotation that `rotations` (the node's key files)
 * tells of, where the home was restored from its key files. Null while there is no receipt.
 */
export function verifyArchive(
  archive: ReceiptArchive,
  author: string,
  rotations: readonly Receipt[],
): ChainSummary | null {
  const [start] = archive.rows(author, 1, 1);
  if (start === undefined) return null;
  const isAnchored = rotations.at(-1)?.sequence === start.sequence && start.kind === rotationKind;
  const earlier = isAnchored ? rotations.slice(0, -1) : [];
  const verifier = new ChainVerifier(author, earlier);
  const last = archive.last(author)!.receipt.sequence;
  for (const rows of batches(archive, author, { first: 1, last }))
    for (const row of rows) {
      const receipt = readReceipt(row.text);
      const digest = verifier.add(receipt);
      if (receipt.sequence === start.sequence && start.sequence !== 1 && !isAnchored)
        throw receiptWrong("receipt_chain_broken", receipt, "the receipts before it are missing", {
          expectedSequence: 1,
        });
      const isAsIndexed =
        row.digest === digest &&
        row.author === receipt.author &&
        row.sequence === receipt.sequence &&
        row.kind === receipt.kind &&
        row.subject === receipt.subject &&
        row.atMs === receipt.atMs;
      if (!isAsIndexed)
        throw receiptWrong(
          "receipt_malformed",
          receipt,
          "the columns beside it say something else",
        );
    }
  return verifier.summary();
}
