import { activation, operations } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Assembled } from "./assemble.ts";
import type { PhaseName } from "./plan.ts";
import type { SymbolicCall } from "./recorder.ts";
import { elementBytes, type Storage, type Tensor } from "./tensor.ts";

/**
 * Checks a memory plan by walking it with labels instead of numbers: every written element is
 * labelled with the storage and index it was written as, and every read must find its own label.
 * Two storages that share memory while both are needed, or a read before a write, show as a
 * foreign label. Meant for small plans: it looks at every element.
 */
export function verifyMemory({ plan, symbolic }: Assembled): void {
  for (const phase of plan.phases) {
    const memory: Label[] = [];
    for (let index = phase.from; index < phase.to; index++) {
      verifyCall(symbolic[index]!, memory, `${phase.name} call ${index}`, phase.name);
    }
  }
}

interface Label {
  readonly storage: Storage;
  readonly index: number;
}

function verifyCall(call: SymbolicCall, memory: Label[], where: string, phase: PhaseName): void {
  const operation = operations[call.operation];
  const integers = Object.fromEntries(
    operation.integers.map((name, index) => [name, call.integers[index]!]),
  );
  const extents = operation.extents(integers);
  for (const step of ["reads", "writes"] as const) {
    for (const [index, tensor] of call.arguments.entries()) {
      if (!tensor || tensor.storage.space !== "activations") continue;
      const argument = operation.arguments[index]!;
      if (!usesOf(call, argument.name, argument.access, integers)[step]) continue;
      visit(tensor, extents[index]!, (position) => {
        const address = tensor.storage.offsetBytes! / elementBytes + position;
        if (step === "writes") memory[address] = { storage: tensor.storage, index: position };
        else {
          const label = memory[address];
          assert(
            label?.storage === tensor.storage && label.index === position,
            `${where} (${phase} ${call.operation}) reads ${tensor.storage.name}[${position}] but finds ${label ? `${label.storage.name}[${label.index}]` : "nothing"}`,
          );
        }
      });
    }
  }
}

/** Whether an argument is read and written, with the arguments that are either decided by a flag. */
function usesOf(
  call: SymbolicCall,
  name: string,
  access: string,
  integers: Readonly<Record<string, number>>,
): { readonly reads: boolean; readonly writes: boolean } {
  if (access !== "inout") return { reads: access === "in", writes: access === "out" };
  if (call.operation === "matmul" && name === "auxiliary") {
    const written = integers["activation"] === activation.gelu;
    return { reads: !written, writes: written };
  }
  const overwrites = integers["accumulate"] === 0;
  return { reads: !overwrites, writes: true };
}

/** Elements of the storage a tensor touches; one reaching past a row's columns is not strided. */
function visit(tensor: Tensor, extent: number, look: (position: number) => void): void {
  const { offset, columns, stride, rows } = tensor;
  if (stride === columns || rows === 1) {
    for (let index = 0; index < extent; index++) look(offset + index);
    return;
  }
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) look(offset + row * stride + column);
  }
}
