/** What the trained model is asked at the end of the demonstration. */
import type { AdditionDataset } from "#src/dataset/addition.ts";
import { Conversation } from "#src/train/conversation.ts";
import type { LoadedModel } from "#src/train/load-model.ts";

export interface Answered {
  readonly question: string;
  readonly answer: string;
  readonly expected: number;
  readonly right: boolean;
  /** True for a problem that training never draws. */
  readonly heldOut: boolean;
}

/** One that everybody can check in the head, and a few that training never saw. */
export function demoQuestions(addition: AdditionDataset): string[] {
  const unseen = addition.heldOutProblems(3).map(({ a, b }) => `${a}+${b}`);
  return ["1234+5678", ...unseen];
}

/** Asks one question of a model that learnt the built-in task. */
export async function askOne(
  model: LoadedModel,
  question: string,
  signal: AbortSignal,
): Promise<Answered> {
  // The built-in task is answered greedily, whatever the options say.
  const conversation = new Conversation(model, {
    ...{ tokens: 8, temperature: 0, topK: 0, topP: 1 },
    seed: 0,
  });
  let answer = "";
  for await (const piece of conversation.ask(question, signal)) answer += piece;
  const { expected = Number.NaN, right = false } = conversation.verdict();
  const { problem } = model.addition!.askQuestion(question);
  return { question, answer, expected, right, heldOut: model.addition!.isHeldOut(problem) };
}
