import {
  type Argument,
  type Backend,
  type Call,
  type Memory,
  type Place,
  type Program,
  integersOf,
  operations,
} from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import { binary32 } from "./arithmetic.ts";
import { evaluate } from "./evaluate.ts";
import type { Buffer } from "./operands.ts";

const elementBytes = 4;

class ReferenceMemory implements Memory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  private released = false;

  constructor(readonly sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
  }

  view(offsetBytes: number, lengthBytes: number): Uint8Array {
    assert(!this.released, "memory is used after its release");
    assert(
      offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes,
      `view ${offsetBytes}+${lengthBytes} lies in ${this.sizeBytes} bytes`,
    );
    return this.bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  }

  release(): void {
    this.released = true;
  }
}

/** The argument's elements in its space, checked to lie inside. */
function bind(
  label: string,
  argument: Argument,
  place: Place | null,
  extent: number,
  spaces: readonly Memory[],
): Buffer | null {
  if (place === null) {
    assert(argument.optional, `${label} must be present`);
    return null;
  }
  const memory = spaces[place.space];
  assert(memory instanceof ReferenceMemory, `${label} names a space of this backend`);
  assert(Number.isInteger(extent) && extent >= 0, `${label} has an extent (${extent})`);
  assert(
    place.offsetBytes >= 0 && place.offsetBytes % elementBytes === 0,
    `${label} starts at a multiple of four bytes (${place.offsetBytes})`,
  );
  assert(
    place.offsetBytes + extent * elementBytes <= memory.sizeBytes,
    `${label} spans ${extent} elements from byte ${place.offsetBytes}, beyond ${memory.sizeBytes}`,
  );
  const elements = argument.type === "f32" ? Float32Array : Int32Array;
  return new elements(memory.bytes.buffer, place.offsetBytes, extent);
}

function bindCall(call: Call, spaces: readonly Memory[]): (Buffer | null)[] {
  const operation = operations[call.operation];
  assert(operation, `operation ${call.operation} exists`);
  const { name } = operation;
  const wanted = operation.arguments;
  assert(call.arguments.length === wanted.length, `${name} takes ${wanted.length} arguments`);
  assert(call.integers.length === operation.integers.length, `${name} integers are complete`);
  assert(call.floats.length === operation.floats.length, `${name} floats are complete`);
  for (const [index, value] of call.integers.entries()) {
    assert(Number.isSafeInteger(value), `${name} ${operation.integers[index]} is an integer`);
  }
  const extents = operation.extents(integersOf(call));
  return wanted.map((argument, index) =>
    bind(`${name} ${argument.name}`, argument, call.arguments[index]!, extents[index]!, spaces),
  );
}

class ReferenceProgram implements Program {
  readonly scratchBytes = 0;
  readonly callCount: number;
  private readonly buffers: readonly (readonly (Buffer | null)[])[];

  constructor(
    private readonly calls: readonly Call[],
    spaces: readonly Memory[],
  ) {
    this.callCount = calls.length;
    this.buffers = calls.map((call) => bindCall(call, spaces));
  }

  run(from = 0, to = this.callCount): void {
    assert(0 <= from && from <= to && to <= this.callCount, `run ${from}..${to} lies in the plan`);
    for (let index = from; index < to; index++) {
      evaluate(binary32, this.calls[index]!, this.buffers[index]!);
    }
  }

  release(): void {}
}

/**
 * `exact/1` in plain TypeScript: the yardstick every other backend is compared with bit for bit,
 * written for reading rather than speed. A call that reaches outside its memory is a bug and stops
 * the preparation with the operation's and argument's name.
 */
export function openReferenceBackend(): Backend {
  return {
    name: "reference",
    threadCount: 1,
    allocate: (sizeBytes) => new ReferenceMemory(sizeBytes),
    prepare: (calls, spaces) => new ReferenceProgram(calls, spaces),
    release: () => {},
  };
}
