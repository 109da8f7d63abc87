/** Questions and answers with a model: sums for the built-in task, continuations of text otherwise. */
import { TextStream } from "#src/dataset/tokenizer.ts";
import type { LoadedModel } from "./load-model.ts";
import { generate, promptTokens } from "./sampler.ts";
import type { SamplingOptions } from "./token-choice.ts";

export interface ConversationOptions extends SamplingOptions {
  readonly tokens: number;
  readonly seed: number;
}

export class Conversation {
  /** Continuations given so far: each draws with a seed of its own. */
  #turn = 0;
  #expected: number | null = null;
  #answered: number | null = null;

  constructor(
    readonly model: LoadedModel,
    readonly options: ConversationOptions,
  ) {}

  /** The answer in pieces. Refuses with `question_invalid`, `character_unknown`. */
  async *ask(question: string, signal: AbortSignal): AsyncGenerator<string, void, void> {
    const { addition } = this.model;
    if (addition) yield await this.#add(question);
    else yield* this.#continue(question, signal);
  }

  /** Whether the last sum was right; nothing for text. */
  verdict(): { readonly expected?: number; readonly right?: boolean } {
    if (this.#expected === null) return {};
    return { expected: this.#expected, right: this.#answered === this.#expected };
  }

  async #add(question: string): Promise<string> {
    const { addition, session } = this.model;
    const { problem, tokens } = addition!.askQuestion(question);
    session.reset();
    const answer: number[] = [];
    const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0, stop: null };
    const digits = addition!.digitCount + 1;
    for await (const token of generate(session, [...tokens], { ...greedy, tokens: digits }))
      answer.push(token);
    this.#expected = problem.a + problem.b;
    this.#answered = addition!.readAnswer(answer);
    return this.#answered === null ? "(no number)" : String(this.#answered);
  }

  async *#continue(question: string, signal: AbortSignal): AsyncGenerator<string, void, void> {
    const { session, dataset } = this.model;
    const { tokenizer } = dataset;
    const stream = new TextStream(tokenizer);
    const seed = this.options.seed + this.#turn++;
    const options = { ...this.options, seed, stop: tokenizer.endOfText };
    const prompt = promptTokens(tokenizer, `${question}\n`);
    for await (const token of generate(session, prompt, options, signal)) {
      const piece = stream.push(token);
      if (piece !== "") yield piece;
    }
    const rest = stream.end();
    if (rest !== "") yield rest;
  }
}
