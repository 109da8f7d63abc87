/**
 * A plan bound to a backend: memory for every space, the prepared program, named tensors as typed
 * arrays, and phases run in stretches short enough that a message is never kept waiting long.
 */
import type { Clock } from "#src/port/clock.ts";
import {
  integersOf,
  operations,
  type Backend,
  type Memory,
  type Program,
} from "#src/kernel/contract.ts";
import { elementsOf } from "#src/graph/parameters.ts";
import type { Phase, PhaseName, Plan, PlannedTensor, SpaceName } from "#src/graph/plan.ts";
import { assert } from "#src/refusal/refusal.ts";

/** The longest a native call should block, aimed at; docs: a child answers within twice this. */
const stretchMs = 150;
/** How long work may go on without letting messages in. */
const yieldEveryMs = 100;
/** Operations per millisecond assumed before anything was measured: a slow machine's. */
const assumedOperationsPerMs = 2e6;
/** What a call costs at least, in the same currency. */
const operationsPerCall = 2000;

export class Executor {
  readonly #memories: readonly Memory[];
  readonly #spaceIndex: ReadonlyMap<SpaceName, number>;
  readonly #inputs: ReadonlyMap<string, PlannedTensor>;
  readonly #phases: ReadonlyMap<PhaseName, Phase>;
  readonly #program: Program;
  /** Running sum of call costs: cost of calls [a, b) is costs[b] − costs[a]. */
  readonly #costs: Float64Array;
  #operationsPerMs = assumedOperationsPerMs;
  #lastYieldMs: number;
  #spentMs = new Map<PhaseName | "breathing", number>();

  constructor(
    readonly backend: Backend,
    readonly plan: Plan,
    readonly clock: Clock,
  ) {
    this.#memories = plan.spaces.map((space) => backend.allocate(space.sizeBytes));
    this.#spaceIndex = new Map(plan.spaces.map((space, index) => [space.name, index]));
    this.#inputs = new Map(plan.inputs.map((tensor) => [tensor.name, tensor]));
    this.#phases = new Map(plan.phases.map((phase) => [phase.name, phase]));
    for (const { tensor, values } of plan.constants) this.floats(tensor).set(values);
    this.#program = backend.prepare(plan.calls, this.#memories);
    this.#costs = new Float64Array(plan.calls.length + 1);
    plan.calls.forEach((call, index) => {
      const cost = operations[call.operation].flops(integersOf(call)) + operationsPerCall;
      this.#costs[index + 1] = this.#costs[index]! + cost;
    });
    this.#lastYieldMs = clock.monotonicMs();
  }

  get plannedBytes(): number {
    return (
      this.plan.spaces.reduce((sum, space) => sum + space.sizeBytes, 0) + this.#program.scratchBytes
    );
  }

  hasPhase(name: PhaseName): boolean {
    return this.#phases.has(name);
  }

  phase(name: PhaseName): Phase {
    const phase = this.#phases.get(name);
    assert(phase, `the plan has no phase ${name}`);
    return phase;
  }

  /** The host-side name of an input or output of the plan. */
  input(name: string): PlannedTensor {
    const tensor = this.#inputs.get(name);
    assert(tensor, `the plan has no input ${name}`);
    return tensor;
  }

  hasInput(name: string): boolean {
    return this.#inputs.has(name);
  }

  memory(space: SpaceName): Memory | null {
    const index = this.#spaceIndex.get(space);
    return index === undefined ? null : this.#memories[index]!;
  }

  bytes(tensor: PlannedTensor): Uint8Array {
    const memory = this.memory(tensor.space);
    assert(memory, `no memory for ${tensor.name}`);
    return memory.view(tensor.offsetBytes, elementCount(tensor) * 4);
  }

  floats(tensor: PlannedTensor): Float32Array {
    const bytes = this.bytes(tensor);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  integers(tensor: PlannedTensor): Int32Array {
    const bytes = this.bytes(tensor);
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  writeFloats(name: string, values: ArrayLike<number>): void {
    this.floats(this.input(name)).set(values);
  }

  writeIntegers(name: string, values: ArrayLike<number>): void {
    this.integers(this.input(name)).set(values);
  }

  /** The first element of a named f32 output. */
  scalar(name: string, index = 0): number {
    return this.floats(this.input(name))[index]!;
  }

  /** Runs a phase, letting messages in between stretches. */
  async run(name: PhaseName): Promise<void> {
    const { from, to } = this.phase(name);
    let next = from;
    while (next < to) {
      const end = this.#stretchEnd(next, to);
      const startMs = this.clock.monotonicMs();
      this.#program.run(next, end);
      const endMs = this.clock.monotonicMs();
      this.#spend(name, endMs - startMs);
      this.#learn(this.#costs[end]! - this.#costs[next]!, endMs - startMs);
      next = end;
      if (endMs - this.#lastYieldMs > yieldEveryMs) await this.breathe();
    }
  }

  /** Lets waiting messages in. */
  async breathe(): Promise<void> {
    const startMs = this.clock.monotonicMs();
    await this.clock.sleep(0);
    this.#lastYieldMs = this.clock.monotonicMs();
    this.#spend("breathing", this.#lastYieldMs - startMs);
  }

  /** Milliseconds spent in each phase, and in letting others work, since the last call of this. */
  takeSpentMs(): ReadonlyMap<PhaseName | "breathing", number> {
    const spent = this.#spentMs;
    this.#spentMs = new Map();
    return spent;
  }

  #spend(what: PhaseName | "breathing", elapsedMs: number): void {
    this.#spentMs.set(what, (this.#spentMs.get(what) ?? 0) + elapsedMs);
  }

  /** Runs one call by its index; for the walk that names an operation. */
  runCall(index: number): void {
    this.#program.run(index, index + 1);
  }

  /** Fills a whole space with zero bytes. */
  clear(space: SpaceName): void {
    const memory = this.memory(space);
    if (!memory) return;
    forEachPiece(memory.sizeBytes, (offset, length) => memory.view(offset, length).fill(0));
  }

  release(): void {
    this.#program.release();
    for (const memory of this.#memories) memory.release();
  }

  /** The end of the stretch that starts at `from`: at least one call, about `stretchMs` of work. */
  #stretchEnd(from: number, to: number): number {
    const budget = this.#costs[from]! + stretchMs * this.#operationsPerMs;
    if (this.#costs[to]! <= budget) return to;
    let end = from + 1;
    while (end < to && this.#costs[end + 1]! <= budget) end++;
    return end;
  }

  /** Follows the measured speed, slowly upwards and quickly downwards. */
  #learn(cost: number, elapsedMs: number): void {
    if (elapsedMs < 1) return;
    const measured = cost / elapsedMs;
    const weight = measured < this.#operationsPerMs ? 0.5 : 0.2;
    this.#operationsPerMs += weight * (measured - this.#operationsPerMs);
  }
}

export function elementCount(tensor: { readonly shape: readonly number[] }): number {
  return elementsOf(tensor.shape);
}

/** Views are limited to 2 GiB; larger memory is touched in pieces of 256 MiB. */
export const pieceBytes = 256 * 1024 * 1024;

export function forEachPiece(
  sizeBytes: number,
  visit: (offset: number, length: number) => void,
): void {
  for (let offset = 0; offset < sizeBytes; offset += pieceBytes)
    visit(offset, Math.min(pieceBytes, sizeBytes - offset));
}
