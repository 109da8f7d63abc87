/** Text from a model, token by token; the same for the same model, prompt, options and seed. */
import type { Tokenizer } from "#src/dataset/tokenizer.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { DecodingSession } from "./decoding-session.ts";
import { chooseToken, Dice, type SamplingOptions } from "./token-choice.ts";

export interface GenerateOptions extends SamplingOptions {
  readonly tokens: number;
  readonly seed: number;
  /** Ends at this token, which is not given out; null for none. */
  readonly stop: number | null;
}

/** Reads the prompt's tokens (at least one) and yields what follows, as it comes. */
export async function* generate(
  session: DecodingSession,
  prompt: readonly number[],
  options: GenerateOptions,
  signal?: AbortSignal,
): AsyncGenerator<number, void, void> {
  const dice = new Dice(options.seed);
  let logits = await session.read(prompt);
  for (let position = 0; position < options.tokens; position++) {
    if (signal?.aborted) return;
    checkLogits(logits);
    const token = chooseToken(logits, options, dice.at(position));
    if (token === options.stop) return;
    yield token;
    if (position + 1 < options.tokens) logits = await session.read([token]);
  }
}

/** A damaged or burst model has no text to give. Refuses with `not_finite`. */
function checkLogits(logits: Float32Array): void {
  const element = logits.findIndex((value) => !Number.isFinite(value));
  if (element < 0) return;
  throw new Refusal(
    "not_finite",
    "The model's logits are not finite numbers: its parameters are damaged or were trained to bursting.",
    "Sample an earlier checkpoint with --step, or train again with a lower --learning-rate.",
    { element },
  );
}

/** The tokens of a prompt; an empty one begins as a document does, or after a line's end. */
export function promptTokens(tokenizer: Tokenizer, prompt: string): number[] {
  const tokens = [...tokenizer.encode(prompt)];
  if (tokens.length > 0) return tokens;
  return tokenizer.endOfText === null ? [...tokenizer.encode("\n")] : [tokenizer.endOfText];
}
