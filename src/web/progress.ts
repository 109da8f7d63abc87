/** How fast a run goes, from what the page saw of it. */
export interface Sight {
  readonly atMs: number;
  readonly step: number;
}

/** Sights kept per run. */
const sightMaximum = 32;
/** A rate is told from at least this much time. */
const leastMs = 1_500;
/** Older sights say little about the rate now. */
const windowMs = 60_000;

/** Adds a sight. A step that went back (a resumed run) starts over. */
export function addSight(sights: readonly Sight[], sight: Sight): readonly Sight[] {
  const last = sights.at(-1);
  if (last && sight.step < last.step) return [sight];
  if (last && sight.step === last.step) return sights;
  const recent = sights.filter(({ atMs }) => sight.atMs - atMs <= windowMs);
  return [...recent, sight].slice(-sightMaximum);
}

/** Seconds until `steps` steps are done, or null when too little was seen. */
export function secondsLeft(sights: readonly Sight[], steps: number): number | null {
  const first = sights[0];
  const last = sights.at(-1);
  if (!first || !last || last.atMs - first.atMs < leastMs || last.step <= first.step) return null;
  const secondsPerStep = (last.atMs - first.atMs) / 1000 / (last.step - first.step);
  return Math.max(0, steps - last.step) * secondsPerStep;
}

/** Share of the steps done, 0 to 1. */
export function shareDone(step: number, steps: number): number {
  return steps > 0 ? Math.min(1, Math.max(0, step / steps)) : 0;
}
