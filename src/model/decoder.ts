import { assert } from "#src/refusal/refusal.ts";
import { attention } from "#src/graph/attention.ts";
import { cacheWrite } from "#src/graph/cache.ts";
import { dropout } from "#src/graph/dropout.ts";
import { embedding } from "#src/graph/embedding.ts";
import type { Graph } from "#src/graph/graph.ts";
import type { Value } from "#src/graph/node.ts";
import { dropoutPurpose } from "#src/graph/initialise.ts";
import { layernorm } from "#src/graph/layernorm.ts";
import { linear } from "#src/graph/matmul.ts";
import type { ParameterTable } from "#src/graph/parameters.ts";
import { rmsnorm } from "#src/graph/rmsnorm.ts";
import { rope } from "#src/graph/rope.ts";
import { swiglu } from "#src/graph/swiglu.ts";
import type { Tensor } from "#src/graph/tensor.ts";
import { hasQueryKeyNorm, type ModelConfiguration } from "./configuration.ts";
import { headName, keyNorm, namesOf, queryNorm } from "./parameters.ts";

/** Keys and values of one layer, kept while decoding: capacity × (groups·headSize) each. */
export interface LayerCache {
  readonly key: Tensor;
  readonly value: Tensor;
}

export interface DecoderSettings {
  readonly graph: Graph;
  readonly model: ModelConfiguration;
  readonly parameters: ParameterTable;
  readonly tokens: Tensor;
  readonly batchSize: number;
  readonly sequenceLength: number;
  /** Needed by styles with rotary positions. */
  readonly ropeTable: Tensor | null;
  /** Present in training with dropout. */
  readonly randomState: Tensor | null;
  /** Present while decoding. */
  readonly decoding: { readonly position: Tensor; readonly caches: readonly LayerCache[] } | null;
}

/** Builds the forward graph of a decoder up to the head. */
export class Decoder {
  readonly #values = new Map<string, Value>();
  readonly #ropeTable: Value | null;
  readonly #randomState: Value | null;
  readonly #position: Value | null;
  #dropouts = 0;

  constructor(readonly settings: DecoderSettings) {
    const { graph, ropeTable, randomState, decoding } = settings;
    const fixed = (name: string, tensor: Tensor | null | undefined) =>
      tensor ? graph.fixed(name, tensor) : null;
    this.#ropeTable = fixed("rope", ropeTable);
    this.#randomState = fixed("randomState", randomState);
    this.#position = fixed("position", decoding?.position);
  }

  /** The head's weights: the token table where they are tied. */
  get headWeight(): Value {
    const { model } = this.settings;
    return this.#parameter(model.tied ? namesOf(model).tokens : headName);
  }

  /** Rows × width after the last norm, ready for the head. */
  build(): Value {
    const { graph, model } = this.settings;
    graph.scope = "embedding";
    let x = this.#embed();
    for (let layer = 0; layer < model.layers; layer++) {
      graph.block = layer;
      x = this.#block(layer, x);
    }
    graph.block = -1;
    graph.scope = "final";
    const normed = this.#norm(x, namesOf(model).norm);
    graph.scope = "";
    return normed;
  }

  #embed(): Value {
    const { graph, model, tokens, sequenceLength } = this.settings;
    const { tokens: table, positions } = namesOf(model);
    const x = embedding(graph, graph.fixed("tokens", tokens), this.#parameter(table), {
      sequenceLength,
      positions: positions ? this.#parameter(positions) : null,
      position: positions ? this.#position : null,
    });
    return this.#drop(x, null);
  }

  #block(layer: number, x: Value): Value {
    const { graph, model } = this.settings;
    const name = namesOf(model);
    const path = name.block(layer);
    graph.scope = `layers.${layer}.attention`;
    const attended = this.#attend(layer, this.#norm(x, path + name.attentionNorm));
    const middle = this.#project(attended, path + name.attentionOut, x);
    graph.scope = `layers.${layer}.feedForward`;
    const normed = this.#norm(middle, path + name.feedForwardNorm);
    const weight = this.#parameter(`${path}${name.feedForwardIn}.weight`);
    const bias = this.#bias(path + name.feedForwardIn);
    const hidden =
      model.style === "gpt2"
        ? linear(graph, normed, weight, { bias, gelu: true })
        : swiglu(graph, linear(graph, normed, weight, { bias }));
    return this.#project(hidden, path + name.feedForwardOut, middle);
  }

  #attend(layer: number, x: Value): Value {
    const { graph, model, batchSize, sequenceLength, decoding } = this.settings;
    const { heads, groups, headSize, normEpsilon } = model;
    const name = namesOf(model);
    const path = name.block(layer);
    const fused = linear(graph, x, this.#parameter(`${path}${name.queryKeyValue}.weight`), {
      bias: this.#bias(path + name.queryKeyValue),
    });
    let query = graph.slice(fused, 0, heads * headSize, "query");
    let key = graph.slice(fused, heads * headSize, groups * headSize, "key");
    let value = graph.slice(fused, (heads + groups) * headSize, groups * headSize, "value");
    if (hasQueryKeyNorm(model)) {
      query = rmsnorm(graph, query, this.#parameter(`${path}${queryNorm}.weight`), normEpsilon);
      key = rmsnorm(graph, key, this.#parameter(`${path}${keyNorm}.weight`), normEpsilon);
    }
    if (model.style !== "gpt2") {
      assert(this.#ropeTable, `the ${model.style} style needs a rotary table`);
      const options = {
        headSize,
        sequenceLength,
        table: this.#ropeTable,
        position: this.#position,
      };
      query = rope(graph, query, options);
      key = rope(graph, key, options);
    }
    const cache = decoding?.caches[layer];
    if (cache) {
      key = cacheWrite(graph, key, graph.fixed(`cache.${layer}.key`, cache.key), this.#position!);
      value = cacheWrite(
        graph,
        value,
        graph.fixed(`cache.${layer}.value`, cache.value),
        this.#position!,
      );
    }
    const position = this.#position;
    return attention(graph, query, key, value, { heads, groups, headSize, batchSize, position });
  }

  /** A projection added to the residual stream. */
  #project(x: Value, path: string, residual: Value): Value {
    const weight = this.#parameter(`${path}.weight`);
    const bias = this.#bias(path);
    const { graph } = this.settings;
    if (!this.#randomState) return linear(graph, x, weight, { bias, residual });
    return this.#drop(linear(graph, x, weight, { bias }), residual);
  }

  #drop(x: Value, residual: Value | null): Value {
    const state = this.#randomState;
    if (!state) return x;
    const purpose = dropoutPurpose + this.#dropouts++;
    return dropout(this.settings.graph, x, {
      rate: this.settings.model.dropout,
      state,
      purpose,
      residual,
    });
  }

  #norm(x: Value, path: string): Value {
    const { graph, model } = this.settings;
    const gain = this.#parameter(`${path}.weight`);
    return model.style === "gpt2"
      ? layernorm(graph, x, gain, this.#bias(path), model.normEpsilon)
      : rmsnorm(graph, x, gain, model.normEpsilon);
  }

  #bias(path: string): Value | null {
    return this.settings.model.biases ? this.#parameter(`${path}.bias`) : null;
  }

  #parameter(name: string): Value {
    const known = this.#values.get(name);
    if (known) return known;
    const parameter = this.settings.parameters.byName.get(name);
    assert(parameter, `the model has no parameter ${name}`);
    const value = this.settings.graph.parameter(parameter);
    this.#values.set(name, value);
    return value;
  }
}
