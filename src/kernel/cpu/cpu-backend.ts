import { ptr, toArrayBuffer, type Pointer } from "bun:ffi";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import {
  integersOf,
  maximumArguments,
  maximumFloats,
  maximumIntegers,
  operations,
  type Backend,
  type Call,
  type Memory,
  type Program,
} from "../contract.ts";
import { allocateNative, kernels } from "./library.ts";
import { chooseLane, laneBits, type Lane } from "./lane.ts";

/** Bytes of one `psi_call` (kernels/psionic.h): code, padding, pointers, integers, floats. */
const callBytes = 8 + maximumArguments * 8 + maximumIntegers * 8 + maximumFloats * 4;
const largestView = 2 ** 31;

class NativeMemory implements Memory {
  #pointer: Pointer | null;
  constructor(readonly sizeBytes: number) {
    this.#pointer = allocateNative(Math.max(64, sizeBytes));
  }
  get pointer(): Pointer {
    assert(this.#pointer !== null, "memory used after its release");
    return this.#pointer;
  }
  view(offsetBytes: number, lengthBytes: number): Uint8Array {
    assert(
      offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes,
      `view [${offsetBytes}, +${lengthBytes}) lies outside ${this.sizeBytes} bytes`,
    );
    assert(lengthBytes <= largestView, "a view is at most 2 GiB");
    if (lengthBytes === 0) return new Uint8Array(0);
    return new Uint8Array(toArrayBuffer(this.pointer, offsetBytes, lengthBytes));
  }
  release(): void {
    if (this.#pointer !== null) kernels().psi_release(this.#pointer);
    this.#pointer = null;
  }
}

class NativeProgram implements Program {
  readonly callCount: number;
  readonly scratchBytes: number;
  readonly #calls: NativeMemory;
  readonly #scratch: NativeMemory;
  readonly #sharedBytes: number;
  readonly #eachBytes: number;

  constructor(
    readonly team: Pointer,
    threadCount: number,
    readonly source: readonly Call[],
    spaces: readonly NativeMemory[],
  ) {
    this.callCount = source.length;
    this.#calls = new NativeMemory(source.length * callBytes);
    const bytes = this.#calls.view(0, source.length * callBytes);
    source.forEach((call, index) =>
      packCall(
        new DataView(bytes.buffer, bytes.byteOffset + index * callBytes, callBytes),
        call,
        spaces,
      ),
    );
    const sizes = new BigInt64Array(2);
    kernels().psi_scratch_sizes(team, this.#calls.pointer, source.length, ptr(sizes));
    this.#sharedBytes = roundUp64(Number(sizes[0]));
    this.#eachBytes = roundUp64(Number(sizes[1]));
    this.scratchBytes = this.#sharedBytes + this.#eachBytes * threadCount;
    this.#scratch = new NativeMemory(this.scratchBytes);
  }

  run(from = 0, to = this.callCount): void {
    assert(
      0 <= from && from <= to && to <= this.callCount,
      `calls [${from}, ${to}) of ${this.callCount}`,
    );
    const failed = kernels().psi_run(
      this.team,
      this.#calls.pointer,
      from,
      to,
      this.#scratch.pointer,
      this.#sharedBytes,
      this.#eachBytes,
    );
    if (Number(failed) === 0) return;
    const call = this.source[Number(failed) - 1];
    throw new Refusal(
      "index_out_of_range",
      `${call?.operation ?? "an operation"} met a token or position outside its table`,
      "The token data does not belong to this model; check the tokenizer and the data files.",
      { operation: call?.operation, call: Number(failed) - 1 },
    );
  }

  release(): void {
    this.#calls.release();
    this.#scratch.release();
  }
}

const roundUp64 = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Writes one call where the library will read it, after checking every argument's extent. */
function packCall(target: DataView, call: Call, spaces: readonly NativeMemory[]): void {
  const operation = operations[call.operation];
  const extents = operation.extents(integersOf(call));
  assert(
    call.arguments.length === operation.arguments.length &&
      call.integers.length === operation.integers.length &&
      call.floats.length === operation.floats.length,
    `${operation.name}: wrong number of arguments, integers or floats`,
  );
  target.setInt32(0, operation.code, true);
  operation.arguments.forEach((argument, index) => {
    const place = call.arguments[index] ?? null;
    let address = 0n;
    if (place === null) {
      assert(argument.optional, `${operation.name}: ${argument.name} is not optional`);
    } else {
      const space = spaces[place.space];
      assert(space !== undefined, `${operation.name}: ${argument.name} names no memory space`);
      assert(
        place.offsetBytes >= 0 &&
          place.offsetBytes % 4 === 0 &&
          place.offsetBytes + extents[index]! * 4 <= space.sizeBytes,
        `${operation.name}: ${argument.name} reaches outside its memory (offset ${place.offsetBytes}, ${extents[index]} elements, ${space.sizeBytes} bytes)`,
      );
      address = BigInt(space.pointer) + BigInt(place.offsetBytes);
    }
    target.setBigUint64(8 + index * 8, address, true);
  });
  const integersAt = 8 + maximumArguments * 8;
  call.integers.forEach((value, index) => {
    assert(
      Number.isSafeInteger(value),
      `${operation.name}: ${operation.integers[index]} is ${value}`,
    );
    target.setBigInt64(integersAt + index * 8, BigInt(value), true);
  });
  const floatsAt = integersAt + maximumIntegers * 8;
  call.floats.forEach((value, index) => target.setFloat32(floatsAt + index * 4, value, true));
}

export interface CpuOptions {
  /** Instruction set; the best this processor has when absent. */
  readonly lane?: Lane | undefined;
  /** Threads of the team; 1 when absent. */
  readonly threads?: number | undefined;
}

/** The hand-written C kernels of `exact/1` with a thread team of their own. */
export function openCpuBackend(options: CpuOptions = {}): Backend & { readonly lane: Lane } {
  const lane = chooseLane(options.lane);
  const threadCount = options.threads ?? 1;
  const team = kernels().psi_team_open(laneBits[lane], threadCount) as Pointer | null;
  if (team === null) {
    throw new Refusal(
      "backend_unavailable",
      `a team of ${threadCount} threads could not be started`,
      "Ask for fewer --threads (1 to 256).",
      { threadCount },
    );
  }
  return {
    name: `cpu/${lane}`,
    lane,
    threadCount,
    allocate: (sizeBytes) => new NativeMemory(sizeBytes),
    prepare: (calls, spaces) =>
      new NativeProgram(team, threadCount, calls, spaces as NativeMemory[]),
    release: () => kernels().psi_team_close(team),
  };
}
