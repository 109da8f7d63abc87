import { isUtf8 } from "node:buffer";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** How much of a file is in memory at a time. */
const READ_CHUNK_BYTES = 1 << 20;

/** The beginning that is looked at for control characters; no binary format hides them longer. */
const CONTROL_SAMPLE_BYTES = 1 << 16;
/** Text has a few at most (form feeds, colours of a terminal); more than one in fifty is no text. */
const CONTROL_SHARE_MAXIMUM = 0.02;
const CONTROL_COUNT_MINIMUM = 8;

/** A file to read: `path` for the disk, `name` for people and manifests. */
export interface NamedFile {
  readonly path: string;
  readonly name: string;
}

/** The raw bytes of a file in chunks. */
export async function* readChunks(
  disk: Disk,
  file: NamedFile,
  chunkBytes = READ_CHUNK_BYTES,
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ;) {
    const chunk = await disk.readRange(file.path, offset, chunkBytes);
    if (chunk.length === 0) return;
    yield chunk;
    offset += chunk.length;
  }
}

/**
 * The text of a file as pieces of valid UTF-8 that never cut a character, without a byte order
 * mark. `observe` sees the raw bytes on the way, for a digest. Refusals: `data_binary`,
 * `data_not_utf8`, both naming file, byte offset and line.
 */
export async function* readTextPieces(
  disk: Disk,
  file: NamedFile,
  options: { readonly chunkBytes?: number; readonly observe?: (chunk: Uint8Array) => void } = {},
): AsyncGenerator<Uint8Array> {
  let carried = new Uint8Array(0);
  let offset = 0;
  for await (const chunk of readChunks(disk, file, options.chunkBytes)) {
    options.observe?.(chunk);
    const joined = carried.length === 0 ? chunk : concatenate(carried, chunk);
    const start = offset - carried.length;
    await checkBinary(disk, file, joined, start, carried.length);
    const whole = joined.subarray(0, joined.length - unfinishedLength(joined));
    await checkUtf8(disk, file, whole, start);
    carried = joined.slice(whole.length);
    offset += chunk.length;
    const piece = start === 0 ? whole.subarray(markLength(whole)) : whole;
    if (piece.length > 0) yield piece;
  }
  if (carried.length > 0) throw await notUtf8(disk, file, offset - carried.length);
}

export function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** How many bytes at the end belong to a character whose rest may come in the next chunk. */
function unfinishedLength(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const byte = bytes[bytes.length - length]!;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needed > length ? length : 0;
  }
  return 0;
}

/** The length of a UTF-8 byte order mark at the beginning. */
function markLength(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

async function checkBinary(
  disk: Disk,
  file: NamedFile,
  bytes: Uint8Array,
  start: number,
  seenLength: number,
): Promise<void> {
  const zero = bytes.indexOf(0, seenLength);
  if (zero >= 0) throw await binary(disk, file, start + zero, "a NUL byte", isUtf16(bytes, start));
  if (start > 0) return;
  const sample = bytes.subarray(0, CONTROL_SAMPLE_BYTES);
  let controlCount = 0;
  let firstControl = -1;
  for (let index = 0; index < sample.length; index++) {
    const byte = sample[index]!;
    // Tab, line feed, form feed, carriage return and escape occur in text.
    if (byte >= 32 || byte === 9 || byte === 10 || byte === 12 || byte === 13 || byte === 27)
      continue;
    if (controlCount++ === 0) firstControl = index;
  }
  if (
    controlCount >= CONTROL_COUNT_MINIMUM &&
    controlCount > sample.length * CONTROL_SHARE_MAXIMUM
  ) {
    throw await binary(disk, file, firstControl, `${controlCount} control characters`, false);
  }
}

function isUtf16(bytes: Uint8Array, start: number): boolean {
  const mark = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
  return start === 0 && (mark === 0xfffe || mark === 0xfeff);
}

async function binary(
  disk: Disk,
  file: NamedFile,
  offset: number,
  what: string,
  utf16: boolean,
): Promise<Refusal> {
  const line = await lineAt(disk, file, offset);
  return new Refusal(
    "data_binary",
    `${file.name} is not text: ${what} from byte ${offset}, line ${line}`,
    utf16
      ? "The file looks like UTF-16. Convert it: iconv -f utf-16 -t utf-8."
      : "Give plain text or JSONL in UTF-8; leave binary files out.",
    { file: file.name, offset, line },
  );
}

async function checkUtf8(
  disk: Disk,
  file: NamedFile,
  bytes: Uint8Array,
  start: number,
): Promise<void> {
  if (!isUtf8(bytes)) throw await notUtf8(disk, file, start + firstInvalid(bytes));
}

async function notUtf8(disk: Disk, file: NamedFile, offset: number): Promise<Refusal> {
  const line = await lineAt(disk, file, offset);
  return new Refusal(
    "data_not_utf8",
    `${file.name} is not valid UTF-8 at byte ${offset}, line ${line}`,
    "Convert the file to UTF-8, for example: iconv -f latin1 -t utf-8.",
    { file: file.name, offset, line },
  );
}

/** The start of the first sequence that is no UTF-8, found by halving: a valid prefix stays valid. */
function firstInvalid(bytes: Uint8Array): number {
  let valid = 0;
  let invalid = bytes.length;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    const prefix = bytes.subarray(0, middle);
    if (isUtf8(prefix.subarray(0, middle - unfinishedLength(prefix)))) valid = middle;
    else invalid = middle;
  }
  const prefix = bytes.subarray(0, valid);
  return valid - unfinishedLength(prefix);
}

/** The line, counted from 1, of a byte; read anew, because it is wanted only for a refusal. */
async function lineAt(disk: Disk, file: NamedFile, offset: number): Promise<number> {
  let line = 1;
  let position = 0;
  for await (const chunk of readChunks(disk, file)) {
    const seen = chunk.subarray(0, Math.max(0, offset - position));
    for (let at = seen.indexOf(10); at >= 0; at = seen.indexOf(10, at + 1)) line++;
    position += chunk.length;
    if (position >= offset) break;
  }
  return line;
}
