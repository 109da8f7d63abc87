import type { Plan } from "#src/graph/plan.ts";
import { FixedSpace } from "#src/graph/space.ts";
import type { Tensor } from "#src/graph/tensor.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { ropeTable } from "./rope-table.ts";

/** The constants space of a model: its rotary table, where it has one. */
export class RopeConstants {
  readonly space = new FixedSpace("constants");
  readonly list: Plan["constants"];
  readonly table: Tensor | null;

  constructor({ style, contextLength, headSize, ropeTheta }: ModelConfiguration) {
    const rotary = style !== "gpt2";
    this.table = rotary ? this.space.add("rope", [contextLength, headSize]) : null;
    const [tensor] = this.space.tensors;
    this.list = tensor ? [{ tensor, values: ropeTable(contextLength, headSize, ropeTheta) }] : [];
  }
}
