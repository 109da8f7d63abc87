import { describe, expect, test } from "bun:test";
import { type Backend, type Memory, operations } from "#src/kernel/contract.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { caseFor, operationNames } from "./cases.ts";
import { conformanceDigests, conformCase, conformReport } from "./comparison.ts";

/** The reference with a fault: `spoil` may change memory after each run. */
function faulty(spoil: (spaces: readonly Memory[], bytes: Uint8Array) => void): Backend {
  const reference = openReferenceBackend();
  return {
    ...reference,
    prepare: (calls, spaces) => {
      const program = reference.prepare(calls, spaces);
      const run = (): void => {
        program.run();
        const place = calls[0]!.arguments.findLast((argument) => argument !== null)!;
        const memory = spaces[place.space]!;
        spoil(spaces, memory.view(place.offsetBytes, memory.sizeBytes - place.offsetBytes));
      };
      return { callCount: 1, scratchBytes: 0, run, release: () => program.release() };
    },
  };
}

describe("T-1 the conformance suite sees", () => {
  test("one wrong bit of a result, naming operation, seed and argument", () => {
    const backend = faulty((_, bytes) => (bytes[0]! ^= 1));
    expect(conformCase(backend, "add", 3)).toMatch(/^add seed 3: out\[0\]: expected 0x.* found 0x/);
    const report = conformReport(backend, 1).find(({ operation }) => operation === "add");
    expect(report?.differences).toHaveLength(1);
  });

  test("a write outside the outputs", () => {
    const backend = faulty(([first]) => (first!.view(0, 1)[0]! ^= 1));
    expect(conformCase(backend, "rmsnorm", 0)).toContain(
      "wrote outside its outputs: space 0 word 0",
    );
  });

  test("an input that changed", () => {
    const { call } = caseFor("sum", 0);
    const place = call.arguments[0]!;
    const backend = faulty((spaces) => (spaces[place.space]!.view(place.offsetBytes, 1)[0]! ^= 1));
    expect(conformCase(backend, "sum", 0)).toContain("wrote outside its outputs");
  });

  test("a difference in the digests of one operation", () => {
    const right = conformanceDigests(openReferenceBackend(), 1);
    expect(conformanceDigests(openReferenceBackend(), 1)).toEqual(right);
    const wrong = conformanceDigests(
      faulty((_, bytes) => (bytes[0]! ^= 1)),
      1,
    );
    expect(wrong.gelu).not.toBe(right.gelu);
  });
});

describe("T-1 the drawn cases", () => {
  test("are the same for the same seed and differ between seeds", () => {
    expect(caseFor("matmul", 5)).toEqual(caseFor("matmul", 5));
    expect(caseFor("matmul", 5).call).not.toEqual(caseFor("matmul", 6).call);
  });

  test("have every optional argument present and absent, and every flag set and cleared", () => {
    for (const name of operationNames) {
      const calls = Array.from({ length: 48 }, (_, seed) => caseFor(name, seed).call);
      for (const [index, argument] of operations[name].arguments.entries()) {
        const presentCount = calls.filter((call) => call.arguments[index] !== null).length;
        const isAsDeclared = argument.optional
          ? presentCount > 0 && presentCount < calls.length
          : presentCount === calls.length;
        expect({ name, argument: argument.name, presentCount, isAsDeclared }).toMatchObject({
          isAsDeclared: true,
        });
      }
      for (const flag of ["accumulate", "transposeA", "transposeB", "inverse", "mode"]) {
        const index = operations[name].integers.indexOf(flag);
        if (index < 0) continue;
        expect(new Set(calls.map((call) => call.integers[index]))).toEqual(new Set([0, 1]));
      }
    }
  });
});
