import { type Call, operations } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Arithmetic, Floats } from "./arithmetic.ts";

export type Buffer = Floats | Int32Array;

/** One operation of the contract, evaluated on its operands in the given number system. */
export type Evaluation = (arithmetic: Arithmetic, operands: Operands) => void;

/** A call with its buffers, reached by the names the contract declares. */
export class Operands {
  constructor(
    private readonly call: Call,
    /** In argument order; element 0 is the argument's first element. */
    private readonly buffers: readonly (Buffer | null)[],
  ) {}

  floats(name: string): Floats {
    const buffer = this.optionalFloats(name);
    assert(buffer, `${this.call.operation} needs ${name}`);
    return buffer;
  }

  optionalFloats(name: string): Floats | null {
    const buffer = this.buffer(name);
    assert(!(buffer instanceof Int32Array), `${this.call.operation} ${name} holds f32`);
    return buffer;
  }

  words(name: string): Int32Array {
    const buffer = this.optionalWords(name);
    assert(buffer, `${this.call.operation} needs ${name}`);
    return buffer;
  }

  optionalWords(name: string): Int32Array | null {
    const buffer = this.buffer(name);
    assert(
      buffer === null || buffer instanceof Int32Array,
      `${this.call.operation} ${name} holds i32`,
    );
    return buffer;
  }

  /** The single word of an optional i32 argument; 0 when absent. */
  position(): number {
    return this.optionalWords("position")?.[0] ?? 0;
  }

  integer(name: string): number {
    return this.value(operations[this.call.operation].integers, this.call.integers, name);
  }

  float(name: string): number {
    return this.value(operations[this.call.operation].floats, this.call.floats, name);
  }

  private buffer(name: string): Buffer | null {
    const declared = operations[this.call.operation].arguments;
    const index = declared.findIndex((argument) => argument.name === name);
    assert(index >= 0, `${this.call.operation} has no argument ${name}`);
    return this.buffers[index] ?? null;
  }

  private value(names: readonly string[], values: readonly number[], name: string): number {
    const value = values[names.indexOf(name)];
    assert(value !== undefined, `${this.call.operation} needs ${name}`);
    return value;
  }
}
