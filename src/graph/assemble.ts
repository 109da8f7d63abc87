import { assert } from "#src/refusal/refusal.ts";
import { digestBytes, digestJson } from "#src/codec/digest.ts";
import type { Call, Place } from "#src/kernel/contract.ts";
import { allocateActivations, dropDeadCalls } from "./allocate.ts";
import type { ParameterTable } from "./parameters.ts";
import type { Phase, Plan, PlannedTensor, Space, SpaceName } from "./plan.ts";
import type { Recorder, SymbolicCall } from "./recorder.ts";
import { elementBytes, type Tensor } from "./tensor.ts";

/** Everything a plan is made of, before its activations have addresses. */
export interface Draft {
  readonly recorders: readonly Recorder[];
  /** Sizes of all spaces but the activations, in the order the plan lists them. */
  readonly spaces: readonly Space[];
  readonly parameters: ParameterTable;
  readonly inputs: readonly PlannedTensor[];
  readonly constants: Plan["constants"];
}

export interface Assembled {
  readonly plan: Plan;
  /** The plan's calls with their tensors, for checks that need to know what lies where. */
  readonly symbolic: readonly SymbolicCall[];
}

/** Plans memory and writes the flat list of calls. */
export function assemble(draft: Draft): Assembled {
  const symbolic: SymbolicCall[] = [];
  const phases: Phase[] = [];
  let activationBytes = 0;
  for (const { phase, calls } of draft.recorders) {
    const kept = dropDeadCalls(calls);
    activationBytes = Math.max(activationBytes, allocateActivations(kept));
    const from = symbolic.length;
    symbolic.push(...kept);
    phases.push({ name: phase, from, to: symbolic.length });
  }
  const spaces = [
    ...draft.spaces,
    { name: "activations" as const, sizeBytes: activationBytes },
  ].filter(({ sizeBytes }) => sizeBytes > 0);
  const content = {
    spaces,
    calls: placeCalls(symbolic, spaces),
    phases,
    parameters: draft.parameters.list.map(plannedParameter),
    inputs: draft.inputs,
    constants: draft.constants,
  };
  const labels = symbolic.map(({ label }) => label);
  return { plan: { ...content, labels, digest: digestPlan(content) }, symbolic };
}

function placeCalls(symbolic: readonly SymbolicCall[], spaces: readonly Space[]): Call[] {
  const indices = new Map<SpaceName, number>(spaces.map(({ name }, index) => [name, index]));
  const place = (tensor: Tensor | null): Place | null => {
    if (!tensor) return null;
    const space = indices.get(tensor.storage.space);
    const { offsetBytes } = tensor.storage;
    assert(space !== undefined, `there is no space ${tensor.storage.space}`);
    assert(offsetBytes !== undefined, `${tensor.storage.name} has no address`);
    return { space, offsetBytes: offsetBytes + tensor.offset * elementBytes };
  };
  return symbolic.map(({ operation, arguments: tensors, integers, floats }) => ({
    operation,
    arguments: tensors.map(place),
    integers,
    floats,
  }));
}

function plannedParameter({ name, shape, tensor }: ParameterTable["list"][number]): PlannedTensor {
  return {
    name,
    space: "parameters",
    offsetBytes: tensor.offset * elementBytes,
    shape,
    type: "f32",
  };
}

/** SHA-256 of the canonical form; a constant's values enter through the digest of their bytes. */
function digestPlan(content: Omit<Plan, "digest" | "labels">): string {
  const constants = content.constants.map(({ tensor, values }) => ({
    tensor,
    values: digestBytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  }));
  return digestJson({ ...content, constants });
}
