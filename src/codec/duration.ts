const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A length of time as people write it: `30s`, `15m`, `12h`, `7d`. */
export const durationShape = /^(\d{1,7})(s|m|h|d)$/;

/** Milliseconds of such a text, or null where it is none. */
export function durationMsOf(text: string): number | null {
  const match = durationShape.exec(text);
  if (match === null) return null;
  return Number(match[1]) * unitsMs[match[2] as keyof typeof unitsMs];
}
