import { expect, test } from "bun:test";
import { CharTokenizer } from "#src/dataset/char-tokenizer.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { compileDecoding } from "#src/model/compile.ts";
import { configureModel, type ModelConfiguration } from "#src/model/configuration.ts";
import { machineClock } from "#src/node/clock.ts";
import type { Refusal } from "#src/refusal/refusal.ts";
import { DecodingSession } from "./decoding-session.ts";
import { Executor } from "./executor.ts";
import { generate, promptTokens, type GenerateOptions } from "./sampler.ts";

const model = (style: ModelConfiguration["style"]) =>
  configureModel({ style, layers: 2, width: 16, heads: 2, contextLength: 24, vocabularySize: 11 });

/** A session over weights that are the same for every session of a style. */
function session(style: ModelConfiguration["style"], prefillRows: number): DecodingSession {
  const plan = compileDecoding({ model: model(style), capacity: 24, prefillRows });
  const executor = new Executor(openReferenceBackend(), plan, machineClock);
  for (const tensor of plan.parameters)
    executor.floats(tensor).forEach((_, index, values) => {
      values[index] = (((index * 37 + tensor.offsetBytes) % 101) - 50) / 60;
    });
  return new DecodingSession(executor, 24);
}

const options: GenerateOptions = {
  tokens: 12,
  seed: 5,
  stop: null,
  temperature: 1.3,
  topK: 8,
  topP: 0.95,
};
const prompt = [1, 2, 3, 4, 5, 6, 7];

async function text(
  decoding: DecodingSession,
  changes: Partial<GenerateOptions> = {},
): Promise<number[]> {
  decoding.reset();
  const tokens: number[] = [];
  for await (const token of generate(decoding, prompt, { ...options, ...changes }))
    tokens.push(token);
  return tokens;
}

for (const style of ["gpt2", "llama", "qwen3"] as const) {
  test(`T-8 ${style}: a seed gives the same text again, another seed another text`, async () => {
    const decoding = session(style, 4);
    const first = await text(decoding);
    expect(await text(decoding)).toEqual(first);
    expect(await text(session(style, 4))).toEqual(first);
    expect(await text(decoding, { seed: 6 })).not.toEqual(first);
  });

  test(`T-8 ${style}: reading a prompt in blocks gives the bits of reading it token by token`, async () => {
    const [blocks, single] = [session(style, 3), session(style, 0)];
    const bits = (logits: Float32Array) => [...new Uint32Array(logits.slice().buffer)];
    expect(bits(await blocks.read(prompt))).toEqual(bits(await single.read(prompt)));
    expect(bits(await blocks.read([8]))).toEqual(bits(await single.read([8])));
  });
}

test("T-8 past the end of the context the later half is read again, and text goes on", async () => {
  const long = await text(session("gpt2", 4), { tokens: 70 });
  expect(long).toHaveLength(70);
  const decoding = session("gpt2", 4);
  await decoding.read(Array.from({ length: 24 }, (_, index) => index % 11));
  const continued = (await decoding.read([10])).slice();
  const fresh = session("gpt2", 4);
  const half = [...Array.from({ length: 24 }, (_, index) => index % 11), 10].slice(-12);
  expect(continued).toEqual((await fresh.read(half)).slice());
});

test("T-8 a prompt longer than the context is cut to its later half", async () => {
  const decoding = session("gpt2", 4);
  const long = Array.from({ length: 100 }, (_, index) => index % 7);
  const logits = (await decoding.read(long)).slice();
  expect(logits).toEqual((await session("gpt2", 4).read(long.slice(-12))).slice());
});

test("T-8 generation ends at the stop token without giving it out, and when told to", async () => {
  const decoding = session("gpt2", 4);
  const free = await text(decoding);
  const stop = free[5]!;
  expect(await text(decoding, { stop })).toEqual(free.slice(0, free.indexOf(stop)));
  decoding.reset();
  const aborted = AbortSignal.abort();
  const given = [];
  for await (const token of generate(decoding, prompt, options, aborted)) given.push(token);
  expect(given).toEqual([]);
});

test("T-8 a model with a NaN among its parameters is refused rather than sampled", async () => {
  const decoding = session("gpt2", 4);
  decoding.executor.floats(decoding.executor.plan.parameters[0]!)[2] = NaN;
  const work = text(decoding);
  expect(
    await work.then(
      () => null,
      (error: Refusal) => error.code,
    ),
  ).toBe("not_finite");
});

test("T-8 an empty prompt begins with a line's end where there is no end of text", () => {
  const tokenizer = new CharTokenizer(["\n", "a", "b"], { endOfText: false });
  expect(promptTokens(tokenizer, "")).toEqual([...tokenizer.encode("\n")]);
  expect(promptTokens(tokenizer, "ab")).toEqual([...tokenizer.encode("ab")]);
  const oneLine = new CharTokenizer(["a", "b"], { endOfText: false });
  expect(promptTokens(oneLine, "")).toEqual([0]);
  expect(() => promptTokens(oneLine, "\n")).toThrow("does not occur");
});
