import { integersOf, operations, type Call } from "#src/kernel/contract.ts";
import { elementsOf } from "./parameters.ts";
import type { PhaseName, Plan, SpaceName } from "./plan.ts";
import { elementBytes } from "./tensor.ts";

/** One call as a person or a script reads it. */
export interface CallDescription {
  readonly index: number;
  readonly phase: PhaseName;
  readonly label: string;
  readonly operation: string;
  /** `M=2048 N=384 K=128`: the sizes, without strides and flags that are zero. */
  readonly sizes: string;
  /** `a=activations+4096`, in argument order. */
  readonly buffers: readonly string[];
  /** Bytes its arguments span together. */
  readonly bytes: number;
  readonly flops: number;
}

export interface PhaseDescription {
  readonly name: PhaseName;
  readonly calls: number;
  readonly flops: number;
  /** Bytes all calls' arguments span: the memory traffic if nothing stayed in a cache. */
  readonly bytes: number;
}

export interface BufferDescription {
  readonly space: SpaceName;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** Label of the call that writes it first. */
  readonly writer: string;
}

export interface PlanDescription {
  readonly digest: string;
  readonly spaces: readonly { readonly name: SpaceName; readonly sizeBytes: number }[];
  readonly totalBytes: number;
  readonly parameterTensors: number;
  readonly parameters: number;
  readonly phases: readonly PhaseDescription[];
  /** The largest buffers of the activations, largest first. */
  readonly largestBuffers: readonly BufferDescription[];
}

/** The plan in figures: spaces, phases, digest, largest buffers. */
export function describePlan(plan: Plan, largestCount = 8): PlanDescription {
  const phases = plan.phases.map(({ name, from, to }) => {
    const calls = plan.calls.slice(from, to);
    return {
      name,
      calls: calls.length,
      flops: calls.reduce((total, call) => total + flopsOf(call), 0),
      bytes: calls.reduce((total, call) => total + bytesOf(call), 0),
    };
  });
  return {
    digest: plan.digest,
    spaces: plan.spaces,
    totalBytes: planBytes(plan),
    parameterTensors: plan.parameters.length,
    parameters: plan.parameters.reduce((total, { shape }) => total + elementsOf(shape), 0),
    phases,
    largestBuffers: largestBuffers(plan, largestCount),
  };
}

/** Every call of the plan, described. */
export function describeCalls(plan: Plan): CallDescription[] {
  return plan.phases.flatMap(({ name, from, to }) =>
    plan.calls.slice(from, to).map((call, position) => ({
      index: from + position,
      phase: name,
      label: plan.labels[from + position] ?? "",
      operation: call.operation,
      sizes: sizesOf(call),
      buffers: buffersOf(plan, call),
      bytes: bytesOf(call),
      flops: flopsOf(call),
    })),
  );
}

/** Bytes of all spaces: what a run of this plan allocates. */
export function planBytes(plan: Plan): number {
  return plan.spaces.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}

/** Multiply-adds of a call counted as two. */
function flopsOf(call: Call): number {
  return operations[call.operation].flops(integersOf(call));
}

const extentsOf = (call: Call): readonly number[] =>
  operations[call.operation].extents(integersOf(call));

function bytesOf(call: Call): number {
  const extents = extentsOf(call);
  return call.arguments.reduce(
    (total, place, index) => total + (place ? extents[index]! * elementBytes : 0),
    0,
  );
}

function sizesOf(call: Call): string {
  return operations[call.operation].integers
    .map((name, index) => [name, call.integers[index]!] as const)
    .filter(([name, value]) => !name.endsWith("Stride") && value !== 0)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function buffersOf(plan: Plan, call: Call): string[] {
  return operations[call.operation].arguments.flatMap(({ name, access }, index) => {
    const place = call.arguments[index];
    if (!place) return [];
    const arrow = access === "in" ? "" : access === "out" ? ">" : "=";
    return [`${arrow}${name}=${plan.spaces[place.space]!.name}+${place.offsetBytes}`];
  });
}

/** Buffers are recognised by their writers: a result's place and extent in the activations. */
function largestBuffers(plan: Plan, count: number): BufferDescription[] {
  const space = plan.spaces.findIndex(({ name }) => name === "activations");
  const found = new Map<string, BufferDescription>();
  for (const [index, call] of plan.calls.entries()) {
    const extents = extentsOf(call);
    for (const [position, place] of call.arguments.entries()) {
      const { access } = operations[call.operation].arguments[position]!;
      if (place?.space !== space || access === "in") continue;
      const sizeBytes = extents[position]! * elementBytes;
      const key = `${place.offsetBytes}:${sizeBytes}`;
      if (found.has(key)) continue;
      const writer = plan.labels[index] ?? call.operation;
      found.set(key, { space: "activations", offsetBytes: place.offsetBytes, sizeBytes, writer });
    }
  }
  return [...found.values()]
    .toSorted(
      (one, other) => other.sizeBytes - one.sizeBytes || one.offsetBytes - other.offsetBytes,
    )
    .slice(0, count);
}
