import { assemble, type Assembled } from "#src/graph/assemble.ts";
import { Graph } from "#src/graph/graph.ts";
import { lastRowLogits } from "#src/graph/head.ts";
import { lowerForward } from "#src/graph/lower.ts";
import { layOutParameters } from "#src/graph/parameters.ts";
import { Recorder } from "#src/graph/recorder.ts";
import { FixedSpace } from "#src/graph/space.ts";
import { elementBytes } from "#src/graph/tensor.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { Decoder } from "./decoder.ts";
import { declareParameters } from "./parameters.ts";
import { checkExtent } from "./plan-checks.ts";
import { RopeConstants } from "./rope-constants.ts";

export interface DecodingOptions {
  readonly model: ModelConfiguration;
  /** Tokens the cache holds; at most the model's contextLength. */
  readonly capacity: number;
  /** Tokens of one prefill block; 0 or absent: no prefill phase. */
  readonly prefillRows?: number;
}

/**
 * The plan of decoding with a cache, with its symbolic calls. `tokens` holds max(1, prefillRows)
 * words, of which `decode` reads the first; `position` is the first token's. Refuses with `model_invalid`.
 */
export function assembleDecoding(options: DecodingOptions): Assembled {
  const { model, capacity, prefillRows = 0 } = options;
  checkExtent("capacity", capacity, model.contextLength);
  if (prefillRows !== 0) checkExtent("prefillRows", prefillRows, capacity);
  const parameters = layOutParameters(declareParameters(model));
  const constants = new RopeConstants(model);
  const inputs = new FixedSpace("inputs");
  const tokens = inputs.add("tokens", [Math.max(1, prefillRows)], "i32");
  const position = inputs.add("position", [1], "i32");
  const logits = inputs.add("logits", [model.vocabularySize]);
  const cache = new FixedSpace("cache");
  const cacheShape = [capacity, model.groups * model.headSize];
  const caches = Array.from({ length: model.layers }, (_, layer) => ({
    key: cache.add(`cache.${layer}.key`, cacheShape),
    value: cache.add(`cache.${layer}.value`, cacheShape),
  }));
  const phase = (name: "decode" | "prefill", rows: number): Recorder => {
    const recorder = new Recorder(name);
    const graph = new Graph(false);
    const decoder = new Decoder({
      graph,
      model,
      parameters,
      tokens: { ...tokens, columns: rows, stride: rows },
      batchSize: 1,
      sequenceLength: rows,
      ropeTable: constants.table,
      randomState: null,
      decoding: { position, caches },
    });
    lastRowLogits(graph, decoder.build(), decoder.headWeight, graph.fixed("logits", logits));
    lowerForward(graph, recorder);
    return recorder;
  };
  return assemble({
    recorders: [phase("decode", 1), ...(prefillRows > 0 ? [phase("prefill", prefillRows)] : [])],
    spaces: [
      { name: "parameters", sizeBytes: parameters.elements * elementBytes },
      { name: "inputs", sizeBytes: inputs.sizeBytes },
      { name: "constants", sizeBytes: constants.space.sizeBytes },
      { name: "cache", sizeBytes: cache.sizeBytes },
    ],
    parameters,
    inputs: inputs.tensors,
    constants: constants.list,
  });
}
