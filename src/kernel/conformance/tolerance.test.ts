import { describe, expect, test } from "bun:test";
import { integersOf, operations } from "#src/kernel/contract.ts";
import { evaluateCall } from "#src/kernel/reference/evaluate.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import type { ConformanceCase } from "./case-builder.ts";
import { caseFor, operationNames } from "./cases.ts";
import { runCase } from "./comparison.ts";
import { tolerances } from "./tolerance.ts";

const unit = 2 ** -24;
const caseCount = 12;

/** Each f32 space widened to doubles, so that views of one buffer keep seeing each other's writes. */
function evaluateInDoubles(drawn: ConformanceCase): Float64Array[] {
  const floats = drawn.spaces.map((space) => Float64Array.from(new Float32Array(space.buffer)));
  const words = drawn.spaces.map((space) => new Int32Array(space.buffer.slice(0)));
  const operation = operations[drawn.operation];
  const extents = operation.extents(integersOf(drawn.call));
  const buffers = drawn.call.arguments.map((place, index) => {
    if (!place) return null;
    const from = place.offsetBytes / 4;
    const source = operation.arguments[index]!.type === "f32" ? floats : words;
    return source[place.space]!.subarray(from, from + extents[index]!);
  });
  evaluateCall(drawn.call, buffers);
  // Integer outputs are compared as numbers, in place of the floats of the same words.
  for (const { type, space, indices } of drawn.outputs) {
    if (type === "i32") for (const index of indices) floats[space]![index] = words[space]![index]!;
  }
  return floats;
}

/** The largest error of a case in units of 2⁻²⁴ of the largest magnitude of its output. */
function errorUnits(drawn: ConformanceCase): number {
  const actual = runCase(openReferenceBackend(), drawn);
  const expected = evaluateInDoubles(drawn);
  let worst = 0;
  for (const { type, space, indices } of drawn.outputs) {
    const elements = type === "f32" ? Float32Array : Int32Array;
    const found = new elements(actual[space]!.buffer);
    const wanted = expected[space]!;
    // A copy leaves guard words where it does not write: NaN on both sides.
    const compared = indices.filter(
      (index) => !(Number.isNaN(found[index]!) && Number.isNaN(wanted[index]!)),
    );
    const largest = compared.reduce((most, index) => Math.max(most, Math.abs(wanted[index]!)), 1);
    for (const index of compared) {
      const error = Math.abs(found[index]! - wanted[index]!) / largest / unit;
      worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
    }
  }
  return worst;
}

describe("T-1 exact/1 is close to the same formulas in doubles", () => {
  for (const operation of operationNames) {
    const { units, reason } = tolerances[operation];
    test(`${operation}: ${units} units (${reason})`, () => {
      for (let seed = 0; seed < caseCount; seed++) {
        const found = errorUnits(caseFor(operation, seed, { ordinaryOnly: true }));
        if (!(found <= units)) throw new Error(`seed ${seed}: ${found} units`);
      }
      expect(reason).not.toBe("");
    });
  }
});
