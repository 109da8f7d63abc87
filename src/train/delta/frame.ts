/**
 * The head every encoded delta begins with: what it is, how it is encoded, and of which model. Layout in
 * docs/FORMATS.md.
 */
import { Refusal } from "#src/refusal/refusal.ts";
import type { DeltaLayout } from "./layout.ts";

export const headBytes = 64;

const magic = new TextEncoder().encode("PSNDELTA");
const frameVersion = 1;

/** What of a codec its files name. */
export interface CodecIdentity {
  /** Permanent. */
  readonly number: number;
  readonly version: number;
}

/** One way to write values: what lies behind the head of a delta. */
export interface DeltaBody extends CodecIdentity {
  readonly name: string;
  /** Bytes of the body: the same for all deltas of a layout. */
  sizeBytes(layout: DeltaLayout): number;
  /** Writes finite values into a body of zeros. */
  write(values: Float32Array, layout: DeltaLayout, body: Uint8Array): void;
  /** Reads a body of the right size into zeros. Refuses with `delta_malformed`. */
  read(body: Uint8Array, layout: DeltaLayout, values: Float32Array): void;
}

/** A new file with its head written and a body of zeros. */
export function makeFrame(
  { number, version }: CodecIdentity,
  layout: DeltaLayout,
  bodyBytes: number,
): Uint8Array {
  const bytes = new Uint8Array(headBytes + bodyBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setUint16(8, frameVersion, true);
  view.setUint16(10, number, true);
  view.setUint16(12, version, true);
  view.setBigUint64(16, BigInt(layout.count), true);
  view.setBigUint64(24, BigInt(bodyBytes), true);
  bytes.set(Uint8Array.fromHex(layout.digest), 32);
  return bytes;
}

/** The body of a file that is exactly what it has to be. Refuses with `delta_malformed`. */
export function openFrame(
  bytes: Uint8Array,
  { number, version }: CodecIdentity,
  layout: DeltaLayout,
  bodyBytes: number,
): Uint8Array {
  if (bytes.byteLength < headBytes) refuseDelta(`it has ${bytes.byteLength} bytes and no head`);
  if (magic.some((byte, index) => bytes[index] !== byte)) refuseDelta("it is another kind of file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes);
  const found = (offset: number, expected: number, what: string) => {
    const value = view.getUint16(offset, true);
    if (value !== expected) refuseDelta(`its ${what} is ${value}, not ${expected}`);
  };
  found(8, frameVersion, "format");
  found(10, number, "codec");
  found(12, version, "codec's version");
  found(14, 0, "reserved field");
  if (bytes.subarray(32, headBytes).toHex() !== layout.digest)
    refuseDelta("it is of a model with other tensors");
  if (view.getBigUint64(16, true) !== BigInt(layout.count))
    refuseDelta(`it does not say that it is of ${layout.count} parameters`);
  if (view.getBigUint64(24, true) !== BigInt(bodyBytes))
    refuseDelta(`it does not say that its body has ${bodyBytes} bytes`);
  const missing = headBytes + bodyBytes - bytes.byteLength;
  if (missing > 0) refuseDelta(`it is cut off ${missing} bytes before its end`);
  if (missing < 0) refuseDelta(`it has ${-missing} bytes too many`);
  return bytes.subarray(headBytes);
}

export function refuseDelta(what: string, details: Readonly<Record<string, unknown>> = {}): never {
  throw new Refusal(
    "delta_malformed",
    `Not a delta of this run: ${what}.`,
    "Fetch it again from another holder; who made it runs another version, or did not make it by the rules.",
    { what, ...details },
  );
}
