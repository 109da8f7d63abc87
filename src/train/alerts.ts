/** What a person should look at, as a pure function of what is recorded. */

/** Most urgent first in lists; each stands for one thing that is wrong now. */
export interface Alert {
  readonly kind: "not_finite" | "failed" | "trainer_crashed" | "stalled" | "disk_low";
  readonly severity: "warning" | "critical";
  /** A run's id; empty for the node itself. */
  readonly subject: string;
  readonly message: string;
  readonly hint: string;
  readonly sinceMs: number;
}

export interface RunFacts {
  readonly run: string;
  readonly name: string;
  readonly state: string;
  /** Why it failed, where it did. */
  readonly failure: {
    readonly atMs: number;
    readonly code: string;
    readonly message: string;
    readonly hint: string;
  } | null;
  /** Last sign of work: a start, a step, an evaluation, a checkpoint; null where none is recorded. */
  readonly progressMs: number | null;
  /** Median of the latest steps; null before the first. */
  readonly stepMs: number | null;
  /** All steps are taken; what follows is the measurement of everything held out. */
  readonly isMeasuring: boolean;
  /** Size of its newest checkpoint, where known. */
  readonly checkpointBytes: number | null;
}

export interface AlertFacts {
  readonly nowMs: number;
  readonly runs: readonly RunFacts[];
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number | null } | null;
}

/** A failure is shown for so long, unless the run goes on before. */
const failureMs = 24 * 3_600_000;
const stallMs = 60_000;
const stallSteps = 10;
/** Measuring everything held out takes longer than a step and reports nothing meanwhile. */
const measuringFactor = 10;
const lowBytes = 2 * 2 ** 30;
const lowShare = 0.05;
/** Room for so many checkpoints of the run that trains should be left. */
const roomForCheckpoints = 3;

export function findAlerts({ nowMs, runs, disk }: AlertFacts): Alert[] {
  const found = runs.flatMap((run) => [failureOf(run, nowMs), stallOf(run, nowMs)]);
  const alerts = [...found, disk && diskLow(disk, runs, nowMs)].filter((alert) => alert !== null);
  const rank = ({ severity }: Alert) => (severity === "critical" ? 0 : 1);
  return alerts.toSorted((a, b) => rank(a) - rank(b) || b.sinceMs - a.sinceMs);
}

function failureOf({ run, name, state, failure }: RunFacts, nowMs: number): Alert | null {
  if (state !== "failed" || failure === null || nowMs - failure.atMs > failureMs) return null;
  const { code, atMs } = failure;
  const kind = code === "not_finite" || code === "trainer_crashed" ? code : "failed";
  return {
    kind,
    severity: "critical",
    subject: run,
    message: `Run ${name} failed: ${failure.message}`,
    hint: failure.hint || `\`psionic run status ${name}\` shows what happened to it.`,
    sinceMs: atMs,
  };
}

function stallOf(facts: RunFacts, nowMs: number): Alert | null {
  const { run, name, state, progressMs, stepMs, isMeasuring } = facts;
  if (state !== "running" || progressMs === null) return null;
  const patienceMs =
    Math.max(stallMs, stallSteps * (stepMs ?? 0)) * (isMeasuring ? measuringFactor : 1);
  const silentMs = nowMs - progressMs;
  if (silentMs <= patienceMs) return null;
  return {
    kind: "stalled",
    severity: "warning",
    subject: run,
    message: `Run ${name} has taken no step for ${Math.round(silentMs / 1000)} s.`,
    hint: `Look at the machine's load; \`psionic run stop ${name}\` and \`psionic run start --resume ${name}\` start its trainer anew.`,
    sinceMs: progressMs,
  };
}

function diskLow(
  { freeBytes, totalBytes }: NonNullable<AlertFacts["disk"]>,
  runs: readonly RunFacts[],
  nowMs: number,
): Alert | null {
  const sizes = runs
    .filter(({ state }) => state === "running")
    .map((run) => run.checkpointBytes ?? 0);
  const neededBytes = roomForCheckpoints * Math.max(0, ...sizes);
  const isShort = freeBytes < neededBytes;
  if (
    !isShort &&
    freeBytes >= lowBytes &&
    (totalBytes === null || freeBytes >= lowShare * totalBytes)
  )
    return null;
  const free = `${(freeBytes / 2 ** 30).toFixed(1)} GiB`;
  return {
    kind: "disk_low",
    severity: isShort ? "critical" : "warning",
    subject: "",
    message: isShort
      ? `Only ${free} of the disk is free: fewer than ${roomForCheckpoints} checkpoints of the run that trains.`
      : `Only ${free} of the disk is free.`,
    hint: "Free some space; a checkpoint that finds no room is left out and tried again.",
    sinceMs: nowMs,
  };
}
