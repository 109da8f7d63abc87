import { describe, expect, test } from "bun:test";
import type { Call } from "#src/kernel/contract.ts";
import { openReferenceBackend } from "./reference-backend.ts";

const backend = openReferenceBackend();
const at = (space: number, offsetBytes: number) => ({ space, offsetBytes });

const addCall = (change: Partial<Call> = {}): Call => ({
  operation: "add",
  arguments: [at(0, 0), at(0, 64), at(0, 128)],
  integers: [2, 4, 8, 8, 4],
  floats: [],
  ...change,
});

describe("T-1 the reference backend", () => {
  test("memory is zero, and a program runs any stretch of its calls", () => {
    const memory = backend.allocate(192);
    expect(memory.view(0, 192).every((byte) => byte === 0)).toBe(true);
    const floats = new Float32Array(memory.view(0, 192).buffer);
    floats.set([1, 2, 3, 4], 0);
    floats.set([5, 6, 7, 8], 8);
    floats.set([10, 20, 30, 40], 16);
    const again = addCall({
      arguments: [at(0, 128), at(0, 128), at(0, 0)],
      integers: [1, 4, 4, 4, 4],
    });
    const program = backend.prepare([addCall(), again], [memory]);
    program.run(0, 1);
    expect([...floats.subarray(32, 40)]).toEqual([11, 22, 33, 44, 5, 6, 7, 8]);
    expect(floats[0]).toBe(1);
    program.run(1);
    expect([...floats.subarray(0, 4)]).toEqual([22, 44, 66, 88]);
    expect(() => program.run(0, 3)).toThrow("lies in the plan");
  });

  test("a call that reaches outside is stopped with operation and argument", () => {
    const memory = backend.allocate(192);
    const refused =
      (change: Partial<Call>): (() => unknown) =>
      () =>
        backend.prepare([addCall(change)], [memory]);
    expect(refused({})).not.toThrow();
    expect(refused({ arguments: [at(0, 0), at(0, 148), at(0, 128)] })).toThrow("add y spans 12");
    expect(refused({ arguments: [at(0, 2), at(0, 64), at(0, 128)] })).toThrow("add x starts at");
    expect(refused({ arguments: [at(0, -4), at(0, 64), at(0, 128)] })).toThrow("add x starts at");
    expect(refused({ arguments: [at(1, 0), at(0, 64), at(0, 128)] })).toThrow(
      "add x names a space",
    );
    expect(refused({ arguments: [null, at(0, 64), at(0, 128)] })).toThrow("add x must be present");
    expect(refused({ arguments: [at(0, 0), at(0, 64)] })).toThrow("add takes 3 arguments");
    expect(refused({ integers: [2, 4, 8, 8] })).toThrow("add integers are complete");
    expect(refused({ integers: [2, 4.5, 8, 8, 4] })).toThrow("add columns is an integer");
    expect(refused({ floats: [1] })).toThrow("add floats are complete");
  });

  test("released memory cannot be viewed", () => {
    const memory = backend.allocate(64);
    expect(() => memory.view(60, 8)).toThrow("lies in 64 bytes");
    memory.release();
    expect(() => memory.view(0, 4)).toThrow("after its release");
  });
});
