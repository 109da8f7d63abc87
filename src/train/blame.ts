/**
 * Finds the operation that first produced a NaN or an infinity, by walking the failed step call by
 * call. Runs only after a step was refused, so it may be slow; it changes gradients and
 * activations, never parameters or moments.
 */
import { integersOf, operations, type Call } from "#src/kernel/contract.ts";
import { elementCount, forEachPiece, type Executor } from "./executor.ts";

export interface Blame {
  /** `NaN` or `infinity`. */
  readonly what: "NaN" | "infinity";
  /** The plan's label of the operation, or `parameters` when the input itself was bad. */
  readonly label: string;
  readonly operation: string | null;
  /** Argument of the operation, or the parameter's name. */
  readonly tensor: string;
  readonly element: number;
}

/** Null when a second walk finds nothing, which means the first result was not reproducible. */
export function blameOperation(
  executor: Executor,
  microBatches: number,
  writeMicroBatch: (index: number) => void,
): Blame | null {
  const parameter = badParameter(executor);
  if (parameter) return parameter;
  // Stale bad values between the rows of strided outputs must not be taken for new ones.
  executor.clear("activations");
  executor.clear("gradients");
  for (let index = 0; index < microBatches; index++) {
    writeMicroBatch(index);
    const blamed = walk(executor, index === 0 ? "gradient" : "accumulate");
    if (blamed) return blamed;
  }
  return walk(executor, "norm");
}

/**
 * The operation of the update phase whose results hold a NaN or an infinity, looked at after the
 * phase ran (it cannot be walked again: it changes what it reads). Null when none is left to see.
 */
export function blameUpdate(executor: Executor): Blame | null {
  const { from, to } = executor.phase("update");
  for (let index = from; index < to; index++) {
    const bad = badOutput(executor, executor.plan.calls[index]!);
    if (bad) return { ...bad, label: executor.plan.labels[index] ?? `call ${index}` };
  }
  return null;
}

function badParameter(executor: Executor): Blame | null {
  for (const tensor of executor.plan.parameters) {
    const memory = executor.memory(tensor.space);
    if (!memory) continue;
    let found: Blame | null = null;
    forEachPiece(elementCount(tensor) * 4, (offset, length) => {
      if (found) return;
      const bad = firstBad(memory.view(tensor.offsetBytes + offset, length));
      if (bad)
        found = {
          what: bad.what,
          label: "parameters",
          operation: null,
          tensor: tensor.name,
          element: offset / 4 + bad.index,
        };
    });
    if (found) return found;
  }
  return null;
}

function walk(executor: Executor, phase: "gradient" | "accumulate" | "norm"): Blame | null {
  const { from, to } = executor.phase(phase);
  for (let index = from; index < to; index++) {
    executor.runCall(index);
    const bad = badOutput(executor, executor.plan.calls[index]!);
    if (bad) return { ...bad, label: executor.plan.labels[index] ?? `call ${index}` };
  }
  return null;
}

/** The first NaN or infinity among the f32 outputs of a call. */
function badOutput(executor: Executor, call: Call): Omit<Blame, "label"> | null {
  const operation = operations[call.operation];
  const extents = operation.extents(integersOf(call));
  for (const [position, argument] of operation.arguments.entries()) {
    const place = call.arguments[position];
    if (!place || argument.access === "in" || argument.type !== "f32") continue;
    const space = executor.plan.spaces[place.space]!.name;
    const sizeBytes = extents[position]! * 4;
    const bad = firstBad(executor.memory(space)!.view(place.offsetBytes, sizeBytes));
    if (bad)
      return {
        what: bad.what,
        operation: operation.name,
        tensor: argument.name,
        element: bad.index,
      };
  }
  return null;
}

function firstBad(bytes: Uint8Array): { what: Blame["what"]; index: number } | null {
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (!Number.isFinite(value)) return { what: Number.isNaN(value) ? "NaN" : "infinity", index };
  }
  return null;
}
