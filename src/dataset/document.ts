import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { concatenate, readTextPieces } from "./text-file.ts";
import type { Source } from "./source.ts";

/** Longer lines than this are no records; the limit bounds memory. */
const RECORD_BYTES_MAXIMUM = 64 << 20;

/** Part of a document: valid UTF-8 that never cuts a character. A document has one piece or more. */
export interface DocumentPiece {
  readonly bytes: Uint8Array;
  /** True in the document's last piece, which may have no bytes. */
  readonly last: boolean;
}

/** How documents are read. */
export interface ReadOptions {
  /** The field of a JSONL record that holds the text. */
  readonly textField: string;
  readonly chunkBytes?: number;
  /** Sees the raw bytes of the file on the way. */
  readonly observe?: (chunk: Uint8Array) => void;
}

/**
 * The documents of a source in order, without empty ones: a text file is one, each line of a JSONL
 * file is one. Refusals: those of `readTextPieces` and `data_jsonl_invalid`.
 */
export async function* readDocuments(
  disk: Disk,
  source: Source,
  options: ReadOptions,
): AsyncGenerator<DocumentPiece> {
  if (source.format === "jsonl") {
    yield* readRecords(disk, source, options);
    return;
  }
  let held: Uint8Array | null = null;
  for await (const piece of readTextPieces(disk, source, options)) {
    if (held !== null) yield { bytes: held, last: false };
    held = piece;
  }
  if (held !== null) yield { bytes: held, last: true };
}

async function* readRecords(
  disk: Disk,
  source: Source,
  options: ReadOptions,
): AsyncGenerator<DocumentPiece> {
  let carried: Uint8Array = new Uint8Array(0);
  let line = 0;
  for await (const piece of readTextPieces(disk, source, options)) {
    let start = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
      const rest = piece.subarray(start, end);
      const record = carried.length === 0 ? rest : concatenate(carried, rest);
      carried = new Uint8Array(0);
      line++;
      const bytes = readRecord(source, record, line, options.textField, false);
      if (bytes.length > 0) yield { bytes, last: true };
      start = end + 1;
    }
    carried = concatenate(carried, piece.subarray(start));
    if (carried.length > RECORD_BYTES_MAXIMUM) {
      throw invalidRecord(source, line + 1, `is longer than ${RECORD_BYTES_MAXIMUM} bytes`);
    }
  }
  if (carried.length === 0) return;
  const bytes = readRecord(source, carried, line + 1, options.textField, true);
  if (bytes.length > 0) yield { bytes, last: true };
}

/** The text of one line; nothing for an empty line. */
function readRecord(
  source: Source,
  record: Uint8Array,
  line: number,
  textField: string,
  unterminated: boolean,
): Uint8Array {
  const json = new TextDecoder().decode(record).trim();
  if (json === "") return new Uint8Array(0);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    const reason = (error as Error).message.replace(/^JSON Parse error: /, "");
    throw invalidRecord(
      source,
      line,
      unterminated
        ? `is cut off: the file ends inside a record (${reason})`
        : `is not JSON (${reason})`,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidRecord(source, line, "is not a JSON object");
  }
  const text = Object.hasOwn(value, textField)
    ? (value as Record<string, unknown>)[textField]
    : undefined;
  if (typeof text !== "string") {
    throw invalidRecord(source, line, `has no text in the field ${JSON.stringify(textField)}`);
  }
  if (!text.isWellFormed())
    throw invalidRecord(source, line, "has half of a surrogate pair in its text");
  return new TextEncoder().encode(text);
}

function invalidRecord(source: Source, line: number, what: string): Refusal {
  return new Refusal(
    "data_jsonl_invalid",
    `${source.name}: line ${line} ${what}`,
    'Each line of a JSONL file is one object such as {"text": "…"}; correct or remove the line.',
    { file: source.name, line },
  );
}
