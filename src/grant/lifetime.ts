import * as v from "valibot";
import { lifetimeMaximumMs } from "./grant.ts";

const unitMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 60 * 60_000,
  d: 24 * 60 * 60_000,
};

/** `7d`, `12h`, `30m` in milliseconds; at most 90 days. */
export const lifetimeSchema = v.pipe(
  v.string(),
  v.regex(/^[1-9]\d{0,5}[mhd]$/, "a time is a number of m, h or d: 7d, 12h"),
  v.check((text) => lifetimeMs(text) <= lifetimeMaximumMs, "a grant lives 90 days at most"),
);

/** Milliseconds of a checked text. */
export function lifetimeMs(text: string): number {
  return Number(text.slice(0, -1)) * unitMs[text.at(-1)!]!;
}
