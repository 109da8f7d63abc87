import * as v from "valibot";
import { assert } from "#src/refusal/refusal.ts";
import { durationMaximumMs } from "./bounds.ts";

const shape = /^([1-9]\d{0,8})(ms|s|m|h|d)$/;
const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A length of time as people write it for a mesh: `500ms`, `15s`, `1h`, `7d`; a year at most. */
export const durationText = (description: string) =>
  v.pipe(
    v.string(),
    v.regex(shape, "write a number and a unit: 500ms, 15s, 5m, 1h, 7d"),
    // Asked of texts of another shape too, about which the line before has spoken.
    v.check((text) => !shape.test(text) || durationMs(text) <= durationMaximumMs, "a year is most"),
    v.description(description),
  );

/** Milliseconds of a checked duration. */
export function durationMs(text: string): number {
  const [, amount, unit] = shape.exec(text) ?? [];
  assert(amount !== undefined && unit !== undefined, `"${text}" is a checked duration`);
  return Number(amount) * unitMs[unit as keyof typeof unitMs];
}

/** A duration as a person takes it in at a glance: `240 ms`, `12 s`, `5 min`, `3 h`, `4 d`. */
export function showDuration(ms: number): string {
  const whole = Math.max(0, Math.floor(ms));
  if (whole < 1_000) return `${whole} ms`;
  for (const unit of ["d", "h"] as const)
    if (whole > 0 && whole % unitMs[unit] === 0) return `${whole / unitMs[unit]} ${unit}`;
  const seconds = Math.floor(whole / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.floor(seconds / 3_600)} h`
    : `${Math.floor(seconds / 86_400)} d`;
}
