import type { ParameterTable } from "./parameters.ts";
import type { Recorder } from "./recorder.ts";
import { wholeOf, type Storage, type Tensor } from "./tensor.ts";

/** Random words of a parameter's initial values are drawn under this purpose plus its index. */
const initialisationPurpose = 1;
/** Dropouts number their purposes from here, apart from every parameter's. */
export const dropoutPurpose = 1 << 20;

/** The `initialise` phase: every space to zero, then each parameter to its initial values. */
export function emitInitialise(
  recorder: Recorder,
  table: ParameterTable,
  zeroed: readonly Storage[],
  state: Tensor,
): void {
  recorder.label = "zero";
  for (const storage of zeroed) {
    recorder.emit("fill", { out: wholeOf(storage) }, { count: storage.elements }, { value: 0 });
  }
  for (const { name, index, tensor, initial } of table.list) {
    recorder.label = name;
    const count = tensor.rows * tensor.columns;
    if (initial.kind === "normal") {
      const purpose = initialisationPurpose + index;
      const deviation = initial.deviation;
      recorder.emit("init_normal", { state, out: tensor }, { count, purpose }, { deviation });
    } else if (initial.value !== 0) {
      recorder.emit("fill", { out: tensor }, { count }, { value: initial.value });
    }
  }
}
