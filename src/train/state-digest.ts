/**
 * The digest of a training state: what two machines compare to know that they hold the same bits.
 * Each tensor has a Merkle root over 64 KiB blocks of its little-endian bytes, so that a changed bit
 * can be traced to its tensor and block without a second copy of everything.
 */
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { merkleLeaves, merkleRoot } from "#src/codec/merkle.ts";
import type { Plan, PlannedTensor, SpaceName } from "#src/graph/plan.ts";
import { elementCount, type Executor, pieceBytes } from "./executor.ts";

export interface TensorRoot {
  readonly name: string;
  readonly shape: readonly number[];
  readonly root: Digest;
}

export interface StateDigest {
  /** Completed steps. */
  readonly step: number;
  /** Parameters in manifest order, then first moments, then second moments. */
  readonly tensors: readonly TensorRoot[];
  readonly digest: Digest;
}

/** A tensor of the training state under the name it has in checkpoints. */
export interface StateTensor {
  readonly name: string;
  readonly tensor: PlannedTensor;
}

/**
 * The tensors that make up a training state. Moments lie in `first` and `second` at the offsets
 * their parameters have in `parameters`; where frozen parameters make those spaces smaller, each is
 * taken as one tensor.
 */
export function stateTensors(plan: Plan): StateTensor[] {
  const sizes = new Map(plan.spaces.map((space) => [space.name, space.sizeBytes]));
  const parameters = plan.parameters.map((tensor) => ({ name: tensor.name, tensor }));
  const moments = (["first", "second"] as const satisfies SpaceName[]).flatMap((space) => {
    const sizeBytes = sizes.get(space) ?? 0;
    if (sizeBytes === 0) return [];
    if (sizeBytes === sizes.get("parameters"))
      return plan.parameters.map((each) => ({
        name: `${space}.${each.name}`,
        tensor: { ...each, space },
      }));
    const shape = [sizeBytes / 4];
    return [
      { name: space, tensor: { name: space, space, offsetBytes: 0, shape, type: "f32" } as const },
    ];
  });
  return [...parameters, ...moments];
}

/** Leaves of a tensor in memory; large ones are read in pieces (a multiple of the block). */
function tensorLeaves(executor: Executor, tensor: PlannedTensor): Uint8Array[] {
  const memory = executor.memory(tensor.space);
  if (!memory) return [];
  const sizeBytes = elementCount(tensor) * 4;
  const leaves: Uint8Array[] = [];
  for (let offset = 0; offset < sizeBytes; offset += pieceBytes) {
    const length = Math.min(pieceBytes, sizeBytes - offset);
    leaves.push(...merkleLeaves(memory.view(tensor.offsetBytes + offset, length)));
  }
  return leaves;
}

/** Digests the state an executor holds after `step` completed steps. */
export function digestState(executor: Executor, step: number): StateDigest {
  const tensors = stateTensors(executor.plan).map(({ name, tensor }) => ({
    name,
    shape: tensor.shape,
    root: merkleRoot(tensorLeaves(executor, tensor)),
  }));
  return sealState(step, tensors);
}

/** The digest over roots: canonical JSON of the version, the step and every tensor in order. */
export function sealState(step: number, tensors: readonly TensorRoot[]): StateDigest {
  const digest = digestJson({
    version: "psionic-state/1",
    step,
    tensors: tensors.map(({ name, shape, root }) => [name, [...shape], root]),
  });
  return { step, tensors, digest };
}
