/**
 * Tensors of any kind in one safetensors file, with a Merkle root for each as digests of states have them. Whatever
 * is read is compared with its root on the way; large tensors are hashed in pieces, between which messages come in.
 */
import type { Digest } from "#src/codec/digest.ts";
import { merkleBlockBytes, merkleLeaf, merkleLeaves, merkleRoot } from "#src/codec/merkle.ts";
import { safetensorsHead } from "#src/codec/safetensors.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { TensorRoot } from "../state-digest.ts";

/** Bytes hashed, read or written before others get their turn; a multiple of the Merkle block. */
const turnBytes = 8 * 1024 * 1024;

/** A float32 tensor wherever it lies. */
export interface NamedBytes {
  readonly name: string;
  readonly shape: readonly number[];
  readonly sizeBytes: number;
  view(offset: number, length: number): Uint8Array;
}

/** An array as a tensor. */
export function namedArray(name: string, values: Float32Array): NamedBytes {
  return {
    name,
    shape: [values.length],
    sizeBytes: values.byteLength,
    view: (offset, length) => new Uint8Array(values.buffer, values.byteOffset + offset, length),
  };
}

/** The roots of tensors as they are now. */
export async function rootsOf(
  tensors: readonly NamedBytes[],
  breathe: () => Promise<void>,
): Promise<TensorRoot[]> {
  const roots: TensorRoot[] = [];
  let sinceBreath = 0;
  for (const tensor of tensors) {
    const leaves: Uint8Array[] = [];
    for (const [offset, length] of turns(tensor.sizeBytes)) {
      leaves.push(...merkleLeaves(tensor.view(offset, length)));
      sinceBreath += length;
      if (sinceBreath < turnBytes) continue;
      sinceBreath = 0;
      await breathe();
    }
    roots.push({ name: tensor.name, shape: [...tensor.shape], root: merkleRoot(leaves) });
  }
  return roots;
}

/** The root of a tensor of that many zero bytes. */
export function zeroRoot(sizeBytes: number): Digest {
  const whole = merkleLeaf(new Uint8Array(merkleBlockBytes));
  const leaves = Array.from({ length: Math.floor(sizeBytes / merkleBlockBytes) }, () => whole);
  const rest = sizeBytes % merkleBlockBytes;
  return merkleRoot(rest === 0 ? leaves : [...leaves, merkleLeaf(new Uint8Array(rest))]);
}

/** Writes the tensors in order into a new file and syncs it; gives their roots as they were written. */
export async function writeTensorFile(
  disk: Disk,
  path: string,
  tensors: readonly NamedBytes[],
): Promise<TensorRoot[]> {
  const roots: TensorRoot[] = [];
  const writer = await disk.create(path);
  try {
    await writer.write(headOf(tensors));
    for (const tensor of tensors) {
      const leaves: Uint8Array[] = [];
      for (const [offset, length] of turns(tensor.sizeBytes)) {
        const bytes = tensor.view(offset, length);
        leaves.push(...merkleLeaves(bytes));
        await writer.write(bytes);
      }
      roots.push({ name: tensor.name, shape: [...tensor.shape], root: merkleRoot(leaves) });
    }
    await writer.sync();
  } finally {
    await writer.close();
  }
  return roots;
}

/**
 * Reads a file into the tensors, which must be exactly those it holds. Refuses with `checkpoint_truncated` and
 * `checkpoint_corrupt`; what was read until then has been overwritten.
 */
export async function readTensorFile(
  disk: Disk,
  path: string,
  tensors: readonly NamedBytes[],
  roots: readonly TensorRoot[],
): Promise<void> {
  const expected = new Map(roots.map(({ name, root }) => [name, root]));
  const head = headOf(tensors);
  const sizeBytes = tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, head.byteLength);
  const entry = await disk.stat(path);
  if (entry === null || entry.sizeBytes < sizeBytes)
    refuse("checkpoint_truncated", `${path} has ${entry?.sizeBytes ?? 0} of ${sizeBytes} bytes.`);
  const found = await disk.readRange(path, 0, head.byteLength);
  if (entry.sizeBytes > sizeBytes || Buffer.compare(found, head) !== 0)
    refuse("checkpoint_corrupt", `${path} does not hold the tensors of this plan.`);
  let from = head.byteLength;
  for (const tensor of tensors) {
    const leaves: Uint8Array[] = [];
    for (const [offset, length] of turns(tensor.sizeBytes)) {
      const bytes = await disk.readRange(path, from + offset, length);
      if (bytes.byteLength < length)
        refuse("checkpoint_truncated", `${path} ended inside ${tensor.name}.`);
      tensor.view(offset, length).set(bytes);
      leaves.push(...merkleLeaves(bytes));
    }
    if (merkleRoot(leaves) !== expected.get(tensor.name))
      refuse("checkpoint_corrupt", `${path} was changed in tensor ${tensor.name}.`);
    from += tensor.sizeBytes;
  }
}

function headOf(tensors: readonly NamedBytes[]): Uint8Array {
  return safetensorsHead(tensors.map(({ name, shape }) => ({ name, shape, type: "F32" as const })));
}

function* turns(sizeBytes: number): Generator<readonly [number, number]> {
  for (let offset = 0; offset < sizeBytes; offset += turnBytes)
    yield [offset, Math.min(turnBytes, sizeBytes - offset)];
}

function refuse(code: "checkpoint_truncated" | "checkpoint_corrupt", message: string): never {
  throw new Refusal(code, message, "It is had again from its source, or computed again.");
}
