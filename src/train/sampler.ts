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

/**
 * Reads the prompt's tokens (at least one) and yields what follows, as it comes. Refuses with
 * `not_finite` where the model computes no numbers.
 */
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
    const token = chooseToken(logits, options, dice.at(position));
    if (token === options.stop) return;
    yield token;
    if (position + 1 < options.tokens) logits = await session.read([token]);
  }
}

/**
 * The tokens of a prompt. An empty one begins as a document does, or after a line's end, or, where
 * the model knows neither, with the first token there is. Refuses with `character_unknown`.
 */
export function promptTokens(tokenizer: Tokenizer, prompt: string): number[] {
  const tokens = [...tokenizer.encode(prompt)];
  if (tokens.length > 0) return tokens;
  if (tokenizer.endOfText !== null) return [tokenizer.endOfText];
  try {
    return [...tokenizer.encode("\n")];
  } catch (error) {
    if (error instanceof Refusal && error.code === "character_unknown") return [0];
    throw error;
  }
}
