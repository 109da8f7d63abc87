import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import {
  isaParameter,
  runParameter,
  samplingParameters,
  stepParameter,
  threadsParameter,
} from "./parameter-entries.ts";

const sampleResult = v.strictObject({
  type: v.literal("sample"),
  run: v.string(),
  /** Completed steps of the checkpoint that was used. */
  step: v.number(),
  prompt: v.string(),
  text: v.string(),
  tokens: v.number(),
  tokensPerSecond: v.number(),
});

defineCommand({
  name: "sample",
  summary: "Text from a run's model.",
  access: "trusted",
  flow: "model",
  parameters: v.strictObject({
    run: runParameter,
    prompt: v.optional(v.pipe(v.string(), v.description("what the text begins with")), ""),
    tokens: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(1_000_000),
        v.description("how many tokens to write"),
      ),
      256,
    ),
    ...samplingParameters(1),
    step: stepParameter,
    threads: threadsParameter("1"),
    isa: isaParameter,
  }),
  positional: ["run"],
  result: sampleResult,
  computes: true,
  examples: ['psionic sample latest --prompt "The sea"', "psionic sample book --temperature 0"],
  async run({ run: wanted, prompt, step, threads, isa, ...sampling }, { services, emit, signal }) {
    const { RunStore } = await import("./run-store.ts");
    const { loadModel } = await import("./load-model.ts");
    const { generate, promptTokens } = await import("./sampler.ts");
    const { TextStream } = await import("#src/dataset/tokenizer.ts");
    const run = new RunStore(services.store).resolve(wanted);
    const model = await loadModel(run, services, { step, threads, isa });
    const { tokenizer } = model.dataset;
    emit({
      type: "model",
      run: run.id,
      name: run.name,
      step: model.step,
      fallBacks: model.fallBacks,
      prompt,
    });
    const stream = new TextStream(tokenizer);
    const startMs = services.clock.monotonicMs();
    const tokens: number[] = [];
    let text = "";
    try {
      const options = { ...sampling, stop: tokenizer.endOfText };
      for await (const token of generate(
        model.session,
        promptTokens(tokenizer, prompt),
        options,
        signal,
      )) {
        const piece = stream.push(token);
        tokens.push(token);
        text += piece;
        emit({ type: "token", token, text: piece });
      }
      const rest = stream.end();
      text += rest;
      if (rest !== "") emit({ type: "token", token: null, text: rest });
    } finally {
      model.release();
    }
    const seconds = (services.clock.monotonicMs() - startMs) / 1000;
    return {
      type: "sample" as const,
      run: run.id,
      step: model.step,
      prompt,
      text,
      tokens: tokens.length,
      tokensPerSecond: tokens.length / Math.max(1e-9, seconds),
    };
  },
  view: (screen) => ({
    event(event) {
      if (event.type === "model") screen.write(String(event["prompt"]));
      if (event.type === "token") screen.write(String(event["text"]));
    },
    result({ tokens, tokensPerSecond, step }) {
      screen.print("");
      screen.note(
        `${tokens} tokens, ${Math.round(tokensPerSecond)} tokens/s, model after step ${step}`,
      );
    },
  }),
});
