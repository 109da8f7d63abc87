/**
 * The safetensors container, written canonically and read strictly: u64 header length, a JSON
 * header padded with spaces to a multiple of eight, then the tensors without holes. Contents are
 * not touched here, so files of any size can be streamed.
 * Format: https://github.com/huggingface/safetensors (README, "Format").
 */
import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";

const elementSizesBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;

export type SafetensorsType = keyof typeof elementSizesBytes;

export interface SafetensorsTensor {
  readonly name: string;
  readonly type: SafetensorsType;
  readonly shape: readonly number[];
}

export interface SafetensorsEntry extends SafetensorsTensor {
  /** Offset of the first byte from the start of the file. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface SafetensorsHeader {
  /** In order of their data. */
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly dataOffsetBytes: number;
}

/** Longest header the format allows. */
const maximumHeaderBytes = 100_000_000;

export function tensorSizeBytes(tensor: SafetensorsTensor): number {
  return tensor.shape.reduce((product, extent) => product * extent, elementSizesBytes[tensor.type]);
}

/** The head of a file that will hold these tensors, in this order, right after it. */
export function safetensorsHead(
  tensors: readonly SafetensorsTensor[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Uint8Array {
  // Without a prototype, so that no name means anything to the object itself.
  const header = Object.create(null) as Record<string, unknown>;
  header["__metadata__"] = metadata;
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + tensorSizeBytes(tensor);
    header[tensor.name] = { dtype: tensor.type, shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.byteLength / 8) * 8;
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(text, 8);
  return head;
}

/** Bytes of the JSON header, from a file's first eight bytes. Refuses with `safetensors_wrong`. */
export function safetensorsHeaderLength(first8: Uint8Array, fileSizeBytes: number): number {
  if (first8.byteLength < 8) refuse("the file is shorter than eight bytes");
  const view = new DataView(first8.buffer, first8.byteOffset, 8);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(maximumHeaderBytes)) refuse(`the header claims ${length} bytes`);
  if (8 + Number(length) > fileSizeBytes) refuse("the header reaches past the end of the file");
  return Number(length);
}

const naturalNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const entrySchema = v.strictObject({
  dtype: v.picklist(Object.keys(elementSizesBytes) as SafetensorsType[]),
  shape: v.array(naturalNumber),
  data_offsets: v.tuple([naturalNumber, naturalNumber]),
});
const metadataSchema = v.record(v.string(), v.string());

/**
 * Reads the JSON header (the bytes after the first eight) of a file of a known size. Refuses with
 * `safetensors_wrong`: text before `{`, duplicate keys, unknown fields or types, sizes that do not
 * fit shapes, misalignment, holes, overlaps, and bytes left over.
 */
export function parseSafetensorsHeader(json: Uint8Array, fileSizeBytes: number): SafetensorsHeader {
  if (json[0] !== 0x7b) refuse("the header does not begin with {");
  const text = decode(json);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    refuse("the header is not JSON");
  }
  const duplicate = duplicateKey(text);
  if (duplicate !== null) refuse(`the header names ${JSON.stringify(duplicate)} twice`);
  const { __metadata__: metadata = {}, ...tensors } = parsed as Record<string, unknown>;
  if (!v.is(metadataSchema, metadata)) refuse("__metadata__ is not a table of texts");
  const dataOffsetBytes = 8 + json.byteLength;
  const entries = Object.entries(tensors).map(([name, value]): SafetensorsEntry => {
    const entry = v.safeParse(entrySchema, value);
    if (!entry.success) refuse(`tensor ${name}: ${entry.issues[0].message}`, { tensor: name });
    const { dtype: type, shape, data_offsets } = entry.output;
    const [begin, end] = data_offsets;
    const sizeBytes = tensorSizeBytes({ name, type, shape });
    if (end - begin !== sizeBytes)
      refuse(`tensor ${name} spans ${end - begin} bytes, its shape needs ${sizeBytes}`, {
        tensor: name,
      });
    if ((dataOffsetBytes + begin) % elementSizesBytes[type] !== 0)
      refuse(`tensor ${name} is misaligned`, { tensor: name });
    return { name, type, shape, offsetBytes: dataOffsetBytes + begin, sizeBytes };
  });
  entries.sort((a, b) => a.offsetBytes - b.offsetBytes || a.sizeBytes - b.sizeBytes);
  checkContiguous(entries, dataOffsetBytes, fileSizeBytes);
  return { entries, metadata, dataOffsetBytes };
}

function checkContiguous(
  entries: readonly SafetensorsEntry[],
  dataOffsetBytes: number,
  fileSizeBytes: number,
): void {
  let expected = dataOffsetBytes;
  for (const entry of entries) {
    if (entry.offsetBytes !== expected)
      refuse(
        entry.offsetBytes > expected
          ? `there is a hole before tensor ${entry.name}`
          : `tensor ${entry.name} overlaps the one before it`,
        { tensor: entry.name },
      );
    expected += entry.sizeBytes;
  }
  if (expected !== fileSizeBytes)
    refuse(`the file has ${fileSizeBytes} bytes, its header describes ${expected}`);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    refuse("the header is not UTF-8");
  }
}

/**
 * The first key that appears twice in one object of a valid JSON text, else null. (JSON.parse would
 * keep the last one in silence, and two readers could see two different files.)
 */
function duplicateKey(text: string): string | null {
  const objects: (Set<string> | null)[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]/g;
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const [found] = match;
    if (found === "{") objects.push(new Set());
    else if (found === "[") objects.push(null);
    else if (found === "}" || found === "]") objects.pop();
    else if (/^\s*:/.test(text.slice(token.lastIndex, token.lastIndex + 64))) {
      const keys = objects.at(-1);
      const key = JSON.parse(found) as string;
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return null;
}

function refuse(what: string, details: Readonly<Record<string, unknown>> = {}): never {
  throw new Refusal(
    "safetensors_wrong",
    `Not a sound safetensors file: ${what}.`,
    "The file is damaged, cut off or of another format; take it from its source again.",
    details,
  );
}
