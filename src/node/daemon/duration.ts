import * as v from "valibot";
import { assert } from "#src/refusal/refusal.ts";

const shape = /^(\d{1,6})(ms|s|m|h)$/;
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A length of time as people write it: `500ms`, `30s`, `5m`, `1h`. */
export const durationText = (description: string) =>
  v.pipe(
    v.string(),
    v.regex(shape, "write a number and a unit: 500ms, 30s, 5m, 1h"),
    v.description(description),
  );

/** Milliseconds of a checked duration. */
export function durationMs(text: string): number {
  const [, amount, unit] = shape.exec(text) ?? [];
  assert(amount !== undefined && unit !== undefined, `"${text}" is a checked duration`);
  return Number(amount) * unitMs[unit]!;
}

export const drainParameter = v.optional(
  durationText("how long calls and trainings may take to stop in order"),
  "30s",
);
