import * as v from "valibot";
import { nearest } from "#src/command/nearest.ts";
import { defineCommand } from "#src/command/registry.ts";
import { codes, type CodeEntry } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";

defineCommand({
  name: "explain",
  summary: "What a refusal's code means and what usually helps.",
  access: "safe",
  flow: "tools",
  parameters: v.strictObject({
    code: v.pipe(v.string(), v.description("the code a refusal showed, such as home_locked")),
  }),
  positional: ["code"],
  result: v.object({
    code: v.string(),
    explanation: v.string(),
    exitStatus: v.number(),
    httpStatus: v.number(),
    retryable: v.boolean(),
  }),
  examples: ["psionic explain home_locked"],
  run({ code }) {
    const entry = Object.hasOwn(codes, code) ? (codes as Record<string, CodeEntry>)[code] : null;
    if (!entry) {
      const suggestion = nearest(code, Object.keys(codes));
      throw new Refusal(
        "not_found",
        `there is no refusal code "${code}"`,
        suggestion ? `did you mean ${suggestion}?` : "give a code as a refusal showed it",
        { code, ...(suggestion ? { suggestion } : {}) },
      );
    }
    const { explanation, exit, http, retryable } = entry;
    return { code, explanation, exitStatus: exit, httpStatus: http, retryable };
  },
  view: (screen) => ({
    result({ code, explanation, exitStatus, retryable }) {
      screen.print(`${code}: ${explanation}`);
      screen.print(
        `exit status ${exitStatus}; ${retryable ? "may work later" : "will not work by waiting"}`,
      );
    },
  }),
});
