import * as v from "valibot";
import type { Event } from "#src/command/define.ts";
import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Longest line of an answer that is read; a result beyond it is refused. */
export const lineMaximumBytes = 256 * 1024 * 1024;

const refusalShape = v.object({
  code: v.string(),
  message: v.string(),
  hint: v.string(),
  details: v.optional(v.record(v.string(), v.unknown()), {}),
});

const lineShape = v.union([
  v.strictObject({ event: v.looseObject({ type: v.string() }) }),
  v.strictObject({ result: v.unknown() }),
  v.strictObject({ refusal: refusalShape }),
  v.strictObject({ bug: v.object({ message: v.string() }) }),
]);

const problemShape = v.object({
  code: v.string(),
  detail: v.string(),
  hint: v.string(),
  details: v.optional(v.record(v.string(), v.unknown()), {}),
});

/** One line of a daemon's answer: an event, or how the call ended. */
export type AnswerLine =
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "failure"; readonly error: Error };

/** Reads one line. Refused with `daemon_protocol` where it is not of the form. */
export function readAnswerLine(text: string): AnswerLine {
  const line = v.safeParse(lineShape, parsed(text));
  if (!line.success) throw protocolBroken("a line of its answer has an unknown form");
  if ("event" in line.output) return { kind: "event", event: line.output.event };
  if ("refusal" in line.output) return { kind: "failure", error: unpack(line.output.refusal) };
  if ("bug" in line.output)
    return { kind: "failure", error: new Error(`in the daemon: ${line.output.bug.message}`) };
  return { kind: "result", result: line.output.result };
}

/** The refusal a problem response stands for. */
export function readProblem(text: string): Error {
  const problem = v.safeParse(problemShape, parsed(text));
  if (!problem.success) return protocolBroken("its refusal has an unknown form");
  const { code, detail, hint, details } = problem.output;
  return unpack({ code, message: detail, hint, details });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw protocolBroken("its answer is not JSON");
  }
}

/** The refusal as if it had been thrown here. A code of a newer daemon keeps its words. */
function unpack(packed: v.InferOutput<typeof refusalShape>): Refusal {
  const { code, message, hint, details } = packed;
  if (Object.hasOwn(codes, code)) return new Refusal(code as RefusalCode, message, hint, details);
  return new Refusal("daemon_protocol", `${message} (${code})`, hint, { ...details, code });
}

export function protocolBroken(what: string): Refusal {
  return new Refusal(
    "daemon_protocol",
    `the daemon of this home speaks another version: ${what}`,
    "`psionic down`, then `psionic up --detach` starts this version",
  );
}
