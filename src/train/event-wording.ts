/** What happened to a run, as sentences: for a person who looks why it stands as it does. */
import type { RunEvent } from "./run-rows.ts";

/** One event as a sentence without its end; a kind this version does not know is shown as it is. */
export function eventText({ type, body }: Pick<RunEvent, "type" | "body">): string {
  const facts = body as Readonly<Record<string, unknown>>;
  const say = (key: string) => {
    const fact = facts[key];
    return typeof fact === "string" || typeof fact === "number" ? String(fact) : "?";
  };
  switch (type) {
    case "started": {
      const began = facts["step"] === 0 ? "started" : `went on after step ${say("step")}`;
      return `${began} on ${say("backend")}, ${say("threads")} threads`;
    }
    case "failed":
    case "interrupted":
      return `${type}: ${say("message")} (${say("code")})`;
    case "crashed":
      return `the trainer died: ${say("reason")}`;
    case "fell-back":
      return `passed over ${list(facts["fallBacks"]).map(passedOver).join("; ")}`;
    case "replay-differs":
      return `computed again, steps ${list(facts["steps"]).join(", ")} gave other bits`;
    case "checkpoint-failed":
      return `the checkpoint after step ${say("step")} failed: ${say("message")}`;
    case "not-resumed":
      return `the daemon could not go on with it: ${say("message")}`;
    default:
      return `${type} ${JSON.stringify(body)}`;
  }
}

/** Earlier versions recorded less, so nothing is taken for granted. */
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function passedOver(fallBack: unknown): string {
  const { rung = "?", reason = "?" } = fallBack as { rung?: string; reason?: string };
  return `${rung}: ${reason}`;
}
