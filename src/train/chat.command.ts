import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runParameter, samplingParameters, threadsParameter } from "./parameter-entries.ts";

defineCommand({
  name: "chat",
  summary: "Ask a run's model, line by line; additions for the built-in task.",
  access: "owner",
  flow: "model",
  parameters: v.strictObject({
    run: runParameter,
    tokens: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(1_000_000),
        v.description("longest answer"),
      ),
      200,
    ),
    ...samplingParameters(0.95),
    threads: threadsParameter("1"),
  }),
  positional: ["run"],
  result: v.strictObject({
    type: v.literal("chat"),
    run: v.string(),
    step: v.number(),
    answers: v.number(),
    /** Questions the model could not read. */
    refused: v.number(),
  }),
  computes: true,
  examples: ["psionic chat latest"],
  async run({ run: wanted, threads, ...options }, { services, emit, signal }) {
    const { RunStore } = await import("./run-store.ts");
    const { loadModel } = await import("./load-model.ts");
    const { Conversation } = await import("./conversation.ts");
    const run = new RunStore(services.store).resolve(wanted);
    const model = await loadModel(run, services, { threads });
    const conversation = new Conversation(model, options);
    emit({
      type: "model",
      run: run.id,
      name: run.name,
      step: model.step,
      task: model.addition ? "addition" : "text",
    });
    let answers = 0;
    let failures = 0;
    try {
      while (!signal.aborted) {
        const line = await services.interaction.readLine("> ");
        if (line === null || line === "/quit") break;
        if (line.trim() === "") continue;
        try {
          let text = "";
          for await (const piece of conversation.ask(line, signal)) {
            emit({ type: "piece", text: piece });
            text += piece;
          }
          answers++;
          emit({ type: "answer", question: line, text, ...conversation.verdict() });
        } catch (error) {
          // A question the model cannot read is no reason to end the conversation.
          if (!(error instanceof Refusal)) throw error;
          failures++;
          emit(error.toJSON());
        }
      }
    } finally {
      model.release();
    }
    return { type: "chat" as const, run: run.id, step: model.step, answers, refused: failures };
  },
  view: (screen) => ({
    event(event) {
      switch (event.type) {
        case "model":
          screen.note(
            event["task"] === "addition"
              ? `${String(event["name"])} after step ${String(event["step"])}: ask for example 1234+5678 (Ctrl-D ends)`
              : `${String(event["name"])} after step ${String(event["step"])}: it goes on with what you write (Ctrl-D ends)`,
          );
          return;
        case "piece":
          return screen.write(String(event["text"]));
        case "answer":
          return screen.print(
            event["right"] === false ? `   (it is ${String(event["expected"])})` : "",
          );
        case "refusal":
          return screen.note(`${String(event["message"])}. ${String(event["hint"])}`);
        default:
          return;
      }
    },
    result() {},
  }),
});
