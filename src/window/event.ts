import * as v from "valibot";
import {
  contributionBytesMaximum,
  perMillion,
  reasonMaximum,
  segmentMaximum,
  slotMaximum,
  validatorMaximum,
  windowStepMaximum,
  workerMaximum,
} from "./bounds.ts";
import { codecNames, verdicts } from "./run.ts";
import { reasons } from "./reasons.ts";

/**
 * What can be asked of the runs of a mesh. The coordinator's orders have a fence, as all of its orders have; what a
 * node says of its own work is a statement that it signed.
 */

const whole = (least: number, most: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));
const natural = whole(0, Number.MAX_SAFE_INTEGER);
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const node = v.pipe(v.string(), v.maxLength(64), v.regex(/^[a-z0-9][a-z0-9-]*$/));
/** Ids of runs are eight characters of Crockford's base 32, as those of local runs. */
const run = v.pipe(v.string(), v.regex(/^[a-z0-9]{4,32}$/));
const runName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/));
const dayMs = 86_400_000;
const patience = whole(100, dayMs);
const fence = v.strictObject({ term: natural, index: natural, authority: digest });
const lane = v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,32}$/));

export const intervalSchema = v.strictObject({
  first: whole(0, slotMaximum),
  count: whole(1, slotMaximum),
});

export const specSchema = v.strictObject({
  seed: natural,
  slots: whole(1, slotMaximum),
  slotTokens: whole(1, 2 ** 31),
  scheduleSteps: whole(1, 2 ** 40),
  windowSteps: whole(1, windowStepMaximum),
  segmentSteps: whole(1, windowStepMaximum),
  codec: v.picklist(codecNames),
  pace: v.picklist(["measured", "even"]),
  participants: whole(1, workerMaximum),
  validators: whole(0, validatorMaximum),
  replayPerMillion: whole(0, perMillion),
  quorum: whole(1, workerMaximum),
  strikes: whole(1, 1_000),
  ...{ trainMs: patience, judgeMs: patience, mergeMs: patience, silenceMs: patience },
});

const create = v.strictObject({
  kind: v.literal("run-created"),
  ...{ run, name: runName, document: digest, spec: specSchema },
});
/** `run` goes on with what was paused. */
const wish = v.strictObject({
  kind: v.literal("run-wished"),
  ...{ run, wish: v.picklist(["run", "pause", "stop"]) },
});
const open = v.strictObject({ kind: v.literal("window-opened"), run, window: natural, fence });
const seal = v.strictObject({
  kind: v.literal("window-sealed"),
  ...{ run, window: natural, fence },
  /** Drawn after the last contribution came. */
  seed: digest,
});
/** Those drawn have not judged in time: others do. */
const redraw = v.strictObject({
  kind: v.literal("validators-redrawn"),
  ...{ run, window: natural, seed: digest, fence },
});
/** An accepted delta that nobody can have: it is left out, before anything was promoted. */
const lose = v.strictObject({
  kind: v.literal("contribution-lost"),
  ...{ run, window: natural, worker: node, fence },
});
/** The run cannot go on, and why; nobody has to wait for it. */
const fail = v.strictObject({
  kind: v.literal("run-failed"),
  ...{ run, reason: v.pipe(v.string(), v.maxLength(256), v.regex(/^\P{Cc}*$/u)), fence },
});

/** What a node states of itself in a run; see statement.ts for what is signed. */
export const sayings = v.variant("saying", [
  /** It has data, plan and the revision, and asks for work. */
  v.strictObject({
    saying: v.literal("ready"),
    ...{ revision: natural, digest, lane, rate: whole(0, 2 ** 40) },
  }),
  /** It asks for no more work. */
  v.strictObject({ saying: v.literal("gone"), reason: v.pipe(v.string(), v.maxLength(64)) }),
  v.strictObject({
    saying: v.literal("contribution"),
    ...{ window: whole(1, 2 ** 40), artifact: digest, commitments: digest },
    sizeBytes: whole(0, contributionBytesMaximum),
    segments: whole(1, segmentMaximum),
    ...{ private: digest, trainMs: natural },
  }),
  v.strictObject({
    saying: v.literal("verdict"),
    ...{ window: whole(1, 2 ** 40), worker: node, contribution: digest },
    verdict: v.picklist(verdicts),
    reasons: v.pipe(v.array(v.picklist(reasons)), v.maxLength(reasonMaximum)),
    segment: v.nullable(whole(0, segmentMaximum - 1)),
    /** State digests after the segment: the one committed to and the one recomputed; null where there is none. */
    ...{ committed: v.nullable(digest), recomputed: v.nullable(digest), tookMs: natural },
  }),
  v.strictObject({
    saying: v.literal("revision"),
    ...{ window: whole(1, 2 ** 40), revision: whole(1, 2 ** 40), digest, artifact: digest },
  }),
  v.strictObject({
    saying: v.literal("evaluation"),
    ...{ revision: natural, isFull: v.boolean() },
    /** Float32 bits of the mean nats per counted target. */
    lossBits: v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/)),
    ...{ targets: natural, rows: natural, matches: natural },
  }),
]);
export type Saying = v.InferOutput<typeof sayings>;
export type SayingKind = Saying["saying"];
export type SayingOf<K extends SayingKind> = Extract<Saying, { readonly saying: K }>;

export const statementSchema = v.strictObject({
  ...{ mesh: node, run, node },
  /** The node's statement of this run before; null for its first. */
  previous: v.nullable(digest),
  /**
   * The run's chain when the window's present stage began, which the statement vouches for with all before it;
   * null for what is said outside of a window.
   */
  anchor: v.nullable(digest),
  said: sayings,
  signature: v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/)),
});
export type Statement = v.InferOutput<typeof statementSchema>;

const state = v.strictObject({ kind: v.literal("run-stated"), node, statement: statementSchema });

/** The commands of runs among those of a mesh. */
export const runCommands = [create, wish, open, seal, redraw, lose, fail, state] as const;
const runCommand = v.variant("kind", [...runCommands]);
export type RunCommand = v.InferOutput<typeof runCommand>;
export type RunKind = RunCommand["kind"];
export type RunCommandOf<K extends RunKind> = Extract<RunCommand, { readonly kind: K }>;

export const shapes = { digest, node, run, runName, natural, whole, lane } as const;
