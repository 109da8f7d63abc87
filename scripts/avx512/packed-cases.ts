import type { ConformanceCase } from "#src/kernel/conformance/case-builder.ts";
import { caseFor, operationNames } from "#src/kernel/conformance/cases.ts";
import { runCase } from "#src/kernel/conformance/comparison.ts";
import {
  maximumArguments,
  maximumFloats,
  maximumIntegers,
  operations,
} from "#src/kernel/contract.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";

/**
 * Conformance cases with the reference's results as one file, in the layout that
 * `machine/machine.c` reads: a header of 16 bytes, then for each case its name, seed, size and
 * `psi_call`, its memory before the call, its memory afterwards, and one kind per word.
 */
const magic = 0x31736573_61637370n;
const nameBytes = 40;
const callBytes = 8 + maximumArguments * 8 + maximumIntegers * 8 + maximumFloats * 4;
const caseHeaderBytes = nameBytes + 16 + callBytes;
const kindFloat = 1;
/** Spaces start where native memory would: on 64 bytes. */
const roundUp64 = (bytes: number) => Math.ceil(bytes / 64) * 64;

/** Writes the call as `psi_call`; a pointer is 1 + the offset in the case's memory, or 0. */
function packCall(
  target: DataView,
  { call }: ConformanceCase,
  spaceOffsets: readonly number[],
): void {
  target.setInt32(0, operations[call.operation].code, true);
  for (const [index, place] of call.arguments.entries()) {
    const pointer = place === null ? 0 : 1 + spaceOffsets[place.space]! + place.offsetBytes;
    target.setBigInt64(8 + index * 8, BigInt(pointer), true);
  }
  const integersAt = 8 + maximumArguments * 8;
  for (const [index, value] of call.integers.entries()) {
    target.setBigInt64(integersAt + index * 8, BigInt(value), true);
  }
  const floatsAt = integersAt + maximumIntegers * 8;
  for (const [index, value] of call.floats.entries()) {
    target.setFloat32(floatsAt + index * 4, value, true);
  }
}

function packCase(drawn: ConformanceCase, expected: readonly Uint8Array[]): Uint8Array {
  let memoryBytes = 0;
  const spaceOffsets = drawn.spaces.map((space) => {
    const offset = memoryBytes;
    memoryBytes += roundUp64(space.byteLength);
    return offset;
  });
  const packed = new Uint8Array(caseHeaderBytes + memoryBytes * 2 + memoryBytes / 4);
  new TextEncoder().encodeInto(drawn.operation, packed.subarray(0, nameBytes - 1));
  const view = new DataView(packed.buffer);
  view.setBigInt64(nameBytes, BigInt(drawn.seed), true);
  view.setBigInt64(nameBytes + 8, BigInt(memoryBytes), true);
  packCall(new DataView(packed.buffer, nameBytes + 16, callBytes), drawn, spaceOffsets);
  const kindsAt = caseHeaderBytes + memoryBytes * 2;
  for (const [index, offset] of spaceOffsets.entries()) {
    packed.set(drawn.spaces[index]!, caseHeaderBytes + offset);
    packed.set(expected[index]!, caseHeaderBytes + memoryBytes + offset);
  }
  for (const { type, space, indices } of drawn.outputs) {
    if (type !== "f32") continue;
    const first = kindsAt + spaceOffsets[space]! / 4;
    for (const word of indices) packed[first + word] = kindFloat;
  }
  return packed;
}

/** The first `casesPerOperation` cases of every operation, the same ones the suite draws. */
export function packCases(casesPerOperation: number): Blob {
  const reference = openReferenceBackend();
  const header = new BigUint64Array([magic, BigInt(operationNames.length * casesPerOperation)]);
  const parts: Uint8Array<ArrayBuffer>[] = [new Uint8Array(header.buffer)];
  for (const operation of operationNames) {
    for (let seed = 0; seed < casesPerOperation; seed++) {
      const drawn = caseFor(operation, seed);
      parts.push(new Uint8Array(packCase(drawn, runCase(reference, drawn))));
    }
  }
  return new Blob(parts);
}
