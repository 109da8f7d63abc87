/** The role of a process that loads a run's newest checkpoint and writes a little with it. */
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import type { AdditionDataset } from "#src/dataset/addition.ts";
import { TextDataset } from "#src/dataset/text-dataset.ts";
import { TextStream } from "#src/dataset/tokenizer.ts";
import type { ParentProcess } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Conversation } from "./conversation.ts";
import type { IsaName } from "./isa.ts";
import { loadModel, type LoadedModel } from "./load-model.ts";
import { sampleRequestSchema, type SampleAnswer } from "./run-sampler.ts";
import { RunStore } from "./run-store.ts";
import { generate, promptTokens } from "./sampler.ts";

const tokenCount = 120;
/** Held-out tokens a text begins with. */
const promptCount = 16;
const questionCount = 5;
const choice = { temperature: 0.8, topK: 0, topP: 1, seed: 0 };

/** Waits for one request, answers it, and ends when the parent ends it. */
export async function runSampler(parent: ParentProcess, services: Services): Promise<void> {
  const asked = Promise.withResolvers<unknown>();
  const gone = new Promise<void>((resolve) => {
    parent.gone.addEventListener("abort", () => resolve());
  });
  parent.onMessage(asked.resolve);
  parent.send(await answer(await asked.promise, services));
  await gone;
}

async function answer(message: unknown, services: Services): Promise<SampleAnswer | null> {
  const request = v.safeParse(sampleRequestSchema, message);
  if (!request.success) return null;
  const { run: id, isa } = request.output;
  try {
    return await sample(id, isa, services);
  } catch (error) {
    // A checkpoint that is gone again, too little memory: there will be another.
    if (error instanceof Refusal) return null;
    throw error;
  }
}

async function sample(id: string, isa: IsaName | null, services: Services): Promise<SampleAnswer> {
  const run = new RunStore(services.store).byId(id);
  const model = await loadModel(run, services, { isa: isa ?? undefined, threads: 1 });
  const written = model.addition
    ? { prompt: "", text: await solve(model, model.addition) }
    : await write(model);
  return { type: "sampled", step: model.step, ...written };
}

/** The beginning of the held-out text, and how the model goes on. */
async function write({ dataset, session }: LoadedModel) {
  const { tokenizer } = dataset;
  const prompt = dataset instanceof TextDataset ? beginning(dataset) : "";
  const stream = new TextStream(tokenizer);
  const options = { ...choice, tokens: tokenCount, stop: tokenizer.endOfText };
  let text = "";
  for await (const token of generate(session, promptTokens(tokenizer, prompt), options))
    text += stream.push(token);
  return { prompt, text: text + stream.end() };
}

function beginning({ heldOut, tokenizer }: TextDataset): string {
  const tokens = new Int32Array(Math.min(promptCount, heldOut.length));
  heldOut.copy(0, tokens.length, tokens, 0);
  const text = new TextDecoder().decode(tokenizer.decode(tokens));
  // A cut character at the end is no part of the text.
  return text.replace(/\uFFFD+$/, "");
}

/** A few held-out sums with the model's answers. */
async function solve(model: LoadedModel, addition: AdditionDataset): Promise<string> {
  const conversation = new Conversation(model, { ...choice, tokens: tokenCount });
  const never = new AbortController().signal;
  const lines: string[] = [];
  for (const { a, b } of addition.heldOutProblems(questionCount)) {
    let answered = "";
    for await (const piece of conversation.ask(`${a}+${b}`, never)) answered += piece;
    const isRight = conversation.verdict().right === true;
    lines.push(`${a}+${b}=${answered} ${isRight ? "right" : `wrong, it is ${a + b}`}`);
  }
  return lines.join("\n");
}
