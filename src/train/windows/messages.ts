/** What the worker process and its parent say to each other; both ends check every message. */
import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import { isaNames } from "../isa.ts";
import { maximumRecords, refusalSchema } from "../messages.ts";
import { stepRecordSchema } from "../record-schemas.ts";
import { resultSchema, taskSchema } from "./tasks.ts";

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const path = v.pipe(v.string(), v.minLength(1), v.maxLength(4_096));

export const openSchema = v.strictObject({
  type: v.literal("open"),
  /** The run's id. */
  run: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  /** The run's directory; what this process keeps lies in `windows` and `private` below it. */
  directory: path,
  /** Where the run's document lies: its `run.json` and the prepared data. */
  document: path,
  threads: v.nullable(v.pipe(natural, v.minValue(1))),
  isa: v.nullable(v.picklist(isaNames)),
  /** Bytes that the kept states of one window may take; beyond, every k-th is kept. */
  keepBytes: natural,
});
export type Open = v.InferOutput<typeof openSchema>;

const toWorkerSchema = v.variant("type", [
  openSchema,
  /** One at a time: the next comes after the answer to this one. */
  v.strictObject({ type: v.literal("task"), id: natural, task: taskSchema }),
  /** The task is given up as soon as possible and answered with the refusal `interrupted`. */
  v.strictObject({ type: v.literal("cancel"), id: natural }),
  /** All messages have arrived: end the process. */
  v.strictObject({ type: v.literal("end") }),
]);
export type ToWorker = v.InferOutput<typeof toWorkerSchema>;

/** Steps of `train` as they are taken; `step` counts within the window, from 1. */
const windowStepSchema = v.strictObject({
  ...stepRecordSchema.entries,
  slot: natural,
  /** Of the schedule. */
  scheduleStep: natural,
});
export type WindowStep = v.InferOutput<typeof windowStepSchema>;

const openedSchema = v.strictObject({
  type: v.literal("opened"),
  /** `cpu/avx2`, `reference`… */
  backend: v.pipe(v.string(), v.maxLength(64)),
  lane: v.pipe(v.string(), v.maxLength(32)),
  threads: natural,
  plannedBytes: natural,
  /** Of one training state on the disk, about. */
  stateBytes: natural,
});
export type Opened = v.InferOutput<typeof openedSchema>;

const fromWorkerSchema = v.variant("type", [
  openedSchema,
  /** Said now and then by a process that can still listen; `id` is the task under way. */
  v.strictObject({ type: v.literal("alive"), id: v.nullable(natural) }),
  /**
   * Steps of a `train` task. After a restart the steps since the last commitment come again, with the same bits.
   */
  v.strictObject({
    type: v.literal("steps"),
    id: natural,
    window: natural,
    records: v.pipe(v.array(windowStepSchema), v.maxLength(maximumRecords)),
  }),
  /** The state after `step` local steps is durable. */
  v.strictObject({
    type: v.literal("committed"),
    ...{ id: natural, window: natural, index: natural, step: natural, steps: natural },
    digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  }),
  v.strictObject({ type: v.literal("done"), id: natural, result: resultSchema }),
  /** `id` is null where the run itself could not be opened. */
  v.strictObject({ type: v.literal("refused"), id: v.nullable(natural), refusal: refusalSchema }),
]);
export type FromWorker = v.InferOutput<typeof fromWorkerSchema>;
export type Progress = Extract<FromWorker, { type: "steps" | "committed" }>;

/** Checks a message from the worker. Refuses with `trainer_protocol`. */
export function readFromWorker(message: unknown): FromWorker {
  return read(fromWorkerSchema, message);
}

/** Checks a message from the parent. Refuses with `trainer_protocol`. */
export function readToWorker(message: unknown): ToWorker {
  return read(toWorkerSchema, message);
}

function read<Schema extends v.GenericSchema>(
  schema: Schema,
  message: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, message);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new Refusal(
    "trainer_protocol",
    `A message of the worker process was not understood: ${v.getDotPath(issue) ?? "message"}: ${issue.message}.`,
    "Stop all psionic processes of this home and start again with one version.",
  );
}
