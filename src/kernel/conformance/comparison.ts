import type { Backend, OperationName } from "#src/kernel/contract.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import type { ConformanceCase, Output } from "./case-builder.ts";
import { caseFor, operationNames } from "./cases.ts";

const canonicalNan = 0x7fc00000;

const isNan = (word: number): boolean => (word & 0x7fffffff) > 0x7f800000;

const wordsOf = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

/** Runs the case's one call on a backend and returns what its memory then holds. */
export function runCase(backend: Backend, drawn: ConformanceCase): Uint8Array<ArrayBuffer>[] {
  const memories = drawn.spaces.map((contents) => {
    const memory = backend.allocate(contents.byteLength);
    memory.view(0, contents.byteLength).set(contents);
    return memory;
  });
  const program = backend.prepare([drawn.call], memories);
  program.run();
  const results = memories.map((memory) => new Uint8Array(memory.view(0, memory.sizeBytes)));
  program.release();
  for (const memory of memories) memory.release();
  return results;
}

const hexadecimal = (word: number): string => `0x${word.toString(16).padStart(8, "0")}`;

function describeWord(word: number): string {
  const value = new Float32Array(Uint32Array.of(word).buffer)[0]!;
  return `${hexadecimal(word)} (${value})`;
}

/** The first difference between two outcomes of a case in a sentence, or null when they agree. */
function firstDifference(
  drawn: ConformanceCase,
  expected: readonly Uint8Array[],
  actual: readonly Uint8Array[],
): string | null {
  const where = `${drawn.operation} seed ${drawn.seed}`;
  const sizes = `integers ${drawn.call.integers.join(" ")}`;
  const written = drawn.spaces.map((space) => new Uint8Array(space.byteLength / 4));
  for (const { argument, type, space, indices } of drawn.outputs) {
    const [wanted, found] = [wordsOf(expected[space]!), wordsOf(actual[space]!)];
    for (const [position, index] of indices.entries()) {
      written[space]![index] = 1;
      const [a, b] = [wanted[index]!, found[index]!];
      if (a === b || (type === "f32" && isNan(a) && isNan(b))) continue;
      const values = `expected ${describeWord(a)}, found ${describeWord(b)}`;
      return `${where}: ${argument}[${position}]: ${values}; ${sizes}`;
    }
  }
  for (const [space, original] of drawn.spaces.entries()) {
    const [before, after] = [wordsOf(original), wordsOf(actual[space]!)];
    for (let index = 0; index < before.length; index++) {
      if (written[space]![index] === 1 || before[index] === after[index]) continue;
      const change = `${hexadecimal(before[index]!)} became ${hexadecimal(after[index]!)}`;
      return `${where}: wrote outside its outputs: space ${space} word ${index}: ${change}; ${sizes}`;
    }
  }
  return null;
}

const reference = openReferenceBackend();
const expectations = new Map<string, readonly Uint8Array[]>();

/** What the reference makes of a case; kept, because several backends are compared with it. */
function expectationOf(drawn: ConformanceCase): readonly Uint8Array[] {
  const key = `${drawn.operation} ${drawn.seed}`;
  const known = expectations.get(key);
  if (known) return known;
  const result = runCase(reference, drawn);
  expectations.set(key, result);
  return result;
}

/** Runs one case on a backend and says how it differs from the reference; null when it does not. */
export function conformCase(
  backend: Backend,
  operation: OperationName,
  seed: number,
): string | null {
  const drawn = caseFor(operation, seed);
  return firstDifference(drawn, expectationOf(drawn), runCase(backend, drawn));
}

export interface ConformReport {
  readonly operation: OperationName;
  readonly caseCount: number;
  readonly differences: readonly string[];
}

/** Every operation on `casesPerOperation` seeds, for use outside a test run. */
export function conformReport(backend: Backend, casesPerOperation: number): ConformReport[] {
  return operationNames.map((operation) => {
    const seeds = Array.from({ length: casesPerOperation }, (_, seed) => seed);
    const differences = seeds.flatMap((seed) => conformCase(backend, operation, seed) ?? []);
    return { operation, caseCount: casesPerOperation, differences };
  });
}

/** An output's words with every NaN made the same, since payloads are never compared. */
function canonicalOutput(output: Output, spaces: readonly Uint8Array[]): Uint8Array {
  const words = wordsOf(spaces[output.space]!);
  const canonical = output.indices.map((index) => {
    const word = words[index]!;
    return output.type === "f32" && isNan(word) ? canonicalNan : word;
  });
  return new Uint8Array(canonical.buffer);
}

/**
 * SHA-256 per operation over all outputs of its first cases, so that lanes of different processes
 * and processors are compared by one line each. Little-endian machines only.
 */
export function conformanceDigests(
  backend: Backend,
  casesPerOperation: number,
): Record<OperationName, string> {
  const digests = operationNames.map((operation) => {
    const hash = new Bun.CryptoHasher("sha256");
    for (let seed = 0; seed < casesPerOperation; seed++) {
      const drawn = caseFor(operation, seed);
      const spaces = runCase(backend, drawn);
      for (const output of drawn.outputs) hash.update(canonicalOutput(output, spaces));
    }
    return [operation, hash.digest("hex")];
  });
  return Object.fromEntries(digests);
}
