import type { Interaction } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Of a process nobody sits at: a daemon, a child in a role. Whatever asks is refused. */
export const noInteraction: Interaction = {
  canAsk: false,
  verbose: false,
  readLine: async () => refuse("a line of input"),
  askSecret: async (question) => refuse(question),
};

function refuse(question: string): never {
  throw new Refusal(
    "input_needed",
    `an answer is needed: ${question}`,
    "run it at a terminal, where somebody can answer",
    { question },
  );
}
