import * as v from "valibot";
import {
  intervalMaximum,
  redrawMaximum,
  runMaximum,
  reasonMaximum,
  validatorMaximum,
  workerMaximum,
} from "./bounds.ts";
import { intervalSchema, shapes, specSchema } from "./event.ts";
import { reasons } from "./reasons.ts";
import { verdicts, type Run } from "./run.ts";

/** The shape of the runs in a mesh's state, as a member sends it: nothing of it is believed before it has it. */

const { digest, node, run, runName, natural } = shapes;
const listOf = <Schema extends v.GenericSchema>(schema: Schema, maximum: number) =>
  v.pipe(v.array(schema), v.maxLength(maximum));
const reason = v.pipe(v.string(), v.maxLength(256));
const laneOrNone = v.union([v.literal(""), shapes.lane]);
const intervals = listOf(intervalSchema, intervalMaximum);

const worker = v.strictObject({
  ...{ node, revision: v.nullable(natural), lane: laneOrNone, rate: natural, strikes: natural },
  ...{ isQuarantined: v.boolean(), private: v.nullable(digest), statement: v.nullable(digest) },
  ...{ acceptedSlots: natural, acceptedCount: natural },
  ...{ rejectedCount: natural, missedCount: natural },
});
const task = v.strictObject({ worker: node, slices: intervals, steps: natural });
const contribution = v.strictObject({
  ...{ worker: node, statement: digest, artifact: digest, sizeBytes: natural },
  ...{ commitments: digest, segments: natural, private: digest, trainMs: natural },
});
const verdict = v.strictObject({
  ...{ worker: node, validator: node, verdict: v.picklist(verdicts) },
  reasons: listOf(v.picklist(reasons), reasonMaximum),
  ...{ segment: v.nullable(natural), statement: digest },
});
const draw = v.strictObject({
  ...{ worker: node, validators: listOf(node, validatorMaximum), segment: v.nullable(natural) },
});
const computed = v.strictObject({ node, digest, artifact: digest, statement: digest });
const window = v.strictObject({
  ...{ number: natural, stage: v.picklist(["active", "sealed", "scored"]), revision: natural },
  ...{ progress: natural, sinceMs: natural, openedMs: natural },
  tasks: listOf(task, workerMaximum),
  contributions: listOf(contribution, workerMaximum),
  seed: digest,
  redraws: v.pipe(natural, v.maxValue(redrawMaximum)),
  draws: listOf(draw, workerMaximum),
  verdicts: listOf(verdict, workerMaximum * validatorMaximum * (redrawMaximum + 1)),
  accepted: listOf(node, workerMaximum),
  computed: listOf(computed, workerMaximum),
  anchor: digest,
});
const past = v.strictObject({
  ...{ number: natural, outcome: v.picklist(["promoted", "held"]), reason, revision: natural },
  ...{ acceptedSlots: natural, sizeBytes: natural, tookMs: natural, endedMs: natural },
  anchor: digest,
});

export const runsSchema: v.GenericSchema<unknown, readonly Run[]> = listOf(
  v.strictObject({
    ...{ run, name: runName, author: node, document: digest, spec: specSchema },
    phase: v.picklist([
      ...(["planned", "initializing", "active", "recovering"] as const),
      ...(["paused", "completed", "stopped", "failed"] as const),
    ]),
    ...{ reason, wish: v.picklist(["run", "pause", "stop"]) },
    ...{ createdMs: natural, sinceMs: natural },
    revision: v.strictObject({
      ...{ number: natural, digest: v.nullable(digest), artifact: v.nullable(digest) },
    }),
    ...{ pool: intervals, acceptedSlots: natural, workers: listOf(worker, workerMaximum) },
    ...{ windowCount: natural, window: v.nullable(window), past: v.nullable(past) },
    heldCount: natural,
    evaluated: v.nullable(v.strictObject({ revision: natural, isFull: v.boolean() })),
    chain: digest,
  }),
  runMaximum,
);
