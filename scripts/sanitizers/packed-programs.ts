import { caseFor, operationNames } from "#src/kernel/conformance/cases.ts";
import { runCase } from "#src/kernel/conformance/comparison.ts";
import {
  integersOf,
  maximumArguments,
  maximumFloats,
  maximumIntegers,
  operations,
  type Backend,
  type Call,
} from "#src/kernel/contract.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { smallPlans } from "./small-plans.ts";

/**
 * Calls with their memory before and what the reference leaves in it, as one file in the layout
 * that `driver.c` reads. Unlike the cases of scripts/avx512, a program may have many calls, keeps
 * its spaces apart, and says how far every argument reaches.
 */
export interface PackableProgram {
  readonly name: string;
  readonly seed: number;
  readonly calls: readonly Call[];
  readonly spaces: readonly Uint8Array[];
  /** Words by space whose NaN payloads are not compared. */
  readonly floatWords: readonly (readonly [space: number, word: number])[];
  readonly expected: readonly Uint8Array[];
}

const magic = 0x31676f72_705f6973n;
const nameBytes = 40;
const mostSpaces = 8;
const headerBytes = nameBytes + 3 * 8 + mostSpaces * 8;
const psiCallBytes = 8 + maximumArguments * 8 + maximumIntegers * 8 + maximumFloats * 4;
const callBytes = psiCallBytes + maximumArguments * 8;
/** A pointer is 1 + its offset in the space numbered by the bits from here on; 0 is absent. */
const spaceBit = 40n;
const roundUp8 = (bytes: number) => Math.ceil(bytes / 8) * 8;

/** Writes one `psi_call`, then the bytes that each of its arguments spans. */
function packCall(target: DataView, call: Call): void {
  const operation = operations[call.operation];
  const extents = operation.extents(integersOf(call));
  target.setInt32(0, operation.code, true);
  for (const [index, place] of call.arguments.entries()) {
    if (place === null) continue;
    const pointer = 1n + (BigInt(place.space) << spaceBit) + BigInt(place.offsetBytes);
    target.setBigInt64(8 + index * 8, pointer, true);
    target.setBigInt64(psiCallBytes + index * 8, BigInt(extents[index]! * 4), true);
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

function packProgram(program: PackableProgram): Uint8Array<ArrayBuffer> {
  const { name, seed, calls, spaces, expected, floatWords } = program;
  if (spaces.length > mostSpaces) throw new Error(`${name} has ${spaces.length} spaces`);
  let memoryBytes = 0;
  const offsets = spaces.map((space) => {
    const offset = memoryBytes;
    memoryBytes += roundUp8(space.byteLength);
    return offset;
  });
  const beforeAt = headerBytes + calls.length * callBytes;
  const kindsAt = beforeAt + 2 * memoryBytes;
  const packed = new Uint8Array(roundUp8(kindsAt + memoryBytes / 4));
  new TextEncoder().encodeInto(name, packed.subarray(0, nameBytes - 1));
  const view = new DataView(packed.buffer);
  const numbers = [seed, calls.length, spaces.length, ...spaces.map((space) => space.byteLength)];
  for (const [index, value] of numbers.entries()) {
    view.setBigInt64(nameBytes + index * 8, BigInt(value), true);
  }
  for (const [index, call] of calls.entries()) {
    packCall(new DataView(packed.buffer, headerBytes + index * callBytes, callBytes), call);
  }
  for (const [index, offset] of offsets.entries()) {
    packed.set(spaces[index]!, beforeAt + offset);
    packed.set(expected[index]!, beforeAt + memoryBytes + offset);
  }
  for (const [space, word] of floatWords) packed[kindsAt + offsets[space]! / 4 + word] = 1;
  return packed;
}

/** The case that the conformance suite draws for an operation and a seed. */
function drawnProgram(reference: Backend, name: keyof typeof operations, seed: number) {
  const drawn = caseFor(name, seed);
  const floatWords = drawn.outputs
    .filter(({ type }) => type === "f32")
    .flatMap(({ space, indices }) => Array.from(indices, (word) => [space, word] as const));
  const expected = runCase(reference, drawn);
  return { name, seed, calls: [drawn.call], spaces: drawn.spaces, floatWords, expected };
}

/** The first cases of every operation, then whole training plans of small models. */
export function packPrograms(casesPerOperation: number): Blob {
  const reference = openReferenceBackend();
  const seeds = Array.from({ length: casesPerOperation }, (_, seed) => seed);
  const programs = operationNames.flatMap((name) =>
    seeds.map((seed) => packProgram(drawnProgram(reference, name, seed))),
  );
  for (const plan of smallPlans(reference)) programs.push(packProgram(plan));
  const header = new BigUint64Array([magic, BigInt(programs.length)]);
  return new Blob([new Uint8Array(header.buffer), ...programs]);
}
