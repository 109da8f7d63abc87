import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { describeCalls, describePlan, type CallDescription } from "#src/graph/describe.ts";
import { optimizerNames } from "#src/graph/update.ts";
import { compileTraining } from "./compile.ts";
import { styles, type ModelConfiguration } from "./configuration.ts";
import { parameterCount, trainingFlopsPerToken } from "./cost.ts";
import { modelOfSize, recipeOf } from "./sizes.ts";

const count = (description: string) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.description(description)));

const parameters = v.strictObject({
  size: v.optional(
    v.pipe(v.string(), v.description("the model's size: nano, micro, small, … gpt2-xl")),
    "small",
  ),
  style: v.optional(v.pipe(v.picklist(styles), v.description("architecture"))),
  layers: count("transformer blocks"),
  width: count("elements of a token's vector"),
  heads: count("query heads"),
  groups: count("key and value heads"),
  feedForward: count("hidden elements of the feed-forward part"),
  vocabulary: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(1), v.description("tokens known to the model")),
    256,
  ),
  batch: count("sequences per micro-batch"),
  context: count("tokens per sequence"),
  microBatches: count("micro-batches per step"),
  optimizer: v.optional(v.pipe(v.picklist(optimizerNames), v.description("update rule"))),
  recompute: v.optional(
    v.pipe(v.boolean(), v.description("compute blocks again in the backward pass")),
    false,
  ),
  calls: v.optional(
    v.pipe(v.boolean(), v.description("list every call with its shapes and buffers")),
    false,
  ),
});

defineCommand({
  name: "plan",
  summary:
    "What training a model will run and need: operations, shapes, buffers, bytes, FLOPs, digest.",
  access: "member",
  flow: "model",
  parameters,
  positional: ["size"],
  computes: true,
  examples: [
    "psionic plan --size small",
    "psionic plan gpt2 --batch 4 --context 64 --vocabulary 50257 --json",
  ],
  run(request) {
    const recipe = recipeOf(request.size);
    const { context } = request;
    const sizes: Partial<ModelConfiguration> = {
      ...defined({
        style: request.style,
        layers: request.layers,
        width: request.width,
        heads: request.heads,
        groups: request.groups,
        feedForward: request.feedForward,
      }),
      ...(context && context > recipe.model.contextLength ? { contextLength: context } : {}),
    };
    const model = modelOfSize(request.size, request.vocabulary, sizes);
    const batchSize = request.batch ?? recipe.batchSize;
    const contextLength = context ?? model.contextLength;
    const microBatches = request.microBatches ?? recipe.microBatches;
    const optimizer = request.optimizer ?? recipe.optimizer;
    const { recompute } = request;
    const plan = compileTraining({
      model,
      batchSize,
      contextLength,
      microBatches,
      optimizer,
      clipNorm: recipe.clipNorm,
      recompute,
    });
    return {
      model,
      batchSize,
      contextLength,
      microBatches,
      optimizer,
      recompute,
      tokensPerStep: batchSize * contextLength * microBatches,
      trainingFlopsPerToken: trainingFlopsPerToken(model, contextLength),
      parameterCount: parameterCount(model),
      ...describePlan(plan),
      ...(request.calls ? { listing: describeCalls(plan) } : {}),
    };
  },
  view: (screen) => ({
    result(result) {
      const { model, spaces, phases, largestBuffers, listing } = result;
      const line = (name: string, value: string) => screen.print(`${name.padEnd(18)}${value}`);
      line(
        "model",
        `${model.style}, ${model.layers} layers, width ${model.width}, ${model.heads} heads (${model.groups} for keys and values), vocabulary ${model.vocabularySize}`,
      );
      line("parameters", `${grouped(result.parameterCount)} in ${result.parameterTensors} tensors`);
      line(
        "step",
        `${result.microBatches} × ${result.batchSize} sequences × ${result.contextLength} tokens = ${grouped(result.tokensPerStep)} tokens, ${result.optimizer}`,
      );
      line(
        "FLOPs per token",
        scaled(result.trainingFlopsPerToken, 1_000, ["", "k", "M", "G", "T"]),
      );
      line("digest", result.digest);
      screen.print("");
      screen.print("memory");
      for (const { name, sizeBytes } of spaces)
        screen.print(`  ${name.padEnd(16)}${bytes(sizeBytes).padStart(12)}`);
      screen.print(`  ${"total".padEnd(16)}${bytes(result.totalBytes).padStart(12)}`);
      screen.print("");
      screen.print(
        `${"phase".padEnd(18)}${"calls".padStart(8)}${"FLOPs".padStart(12)}${"traffic".padStart(12)}`,
      );
      for (const phase of phases) {
        const flops = scaled(phase.flops, 1_000, ["", "k", "M", "G", "T", "P"]);
        screen.print(
          `  ${phase.name.padEnd(16)}${grouped(phase.calls).padStart(8)}${flops.padStart(12)}${bytes(phase.bytes).padStart(12)}`,
        );
      }
      screen.print("");
      screen.print("largest buffers");
      for (const buffer of largestBuffers) {
        screen.print(
          `  ${bytes(buffer.sizeBytes).padStart(12)}  at ${String(buffer.offsetBytes).padEnd(12)} ${buffer.writer}`,
        );
      }
      if (listing) printCalls(listing, (text) => screen.print(text));
    },
  }),
});

function printCalls(listing: readonly CallDescription[], print: (text: string) => void): void {
  let phase = "";
  for (const call of listing) {
    if (call.phase !== phase) {
      phase = call.phase;
      print("");
      print(phase);
    }
    const flops = scaled(call.flops, 1_000, ["", "k", "M", "G", "T"]);
    print(
      `  ${String(call.index).padStart(5)}  ${call.label}: ${call.operation}(${call.sizes})  ${flops} FLOPs, ${bytes(call.bytes)}`,
    );
    print(`         ${call.buffers.join(" ")}`);
  }
}

/** Only the entries that were given. */
function defined<T extends object>(entries: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(entries).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

const grouped = (value: number): string => value.toLocaleString("en-US");

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  for (; rest >= base && unit < units.length - 1; unit++) rest /= base;
  return `${unit === 0 ? rest : rest.toFixed(rest < 10 ? 2 : 1)} ${units[unit]}`.trimEnd();
}

const bytes = (value: number): string => scaled(value, 1_024, ["B", "KiB", "MiB", "GiB", "TiB"]);
