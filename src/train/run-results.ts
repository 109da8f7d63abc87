/** The shapes of what the commands about runs answer, for doors that publish them. */
import * as v from "valibot";
import { evaluationSchema, stepRecordSchema } from "./record-schemas.ts";
import { runManifestSchema } from "./run-manifest.ts";

const text = v.string();
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const orNull = <Schema extends v.GenericSchema>(schema: Schema) => v.nullable(schema);
/** Figures for people; null where there is none. */
const figure = orNull(v.number());

export const namedRunResult = v.strictObject({ run: text, name: text });
export const stoppedRunResult = v.strictObject({ run: text, name: text, state: text });

export const trainResult = v.strictObject({
  type: v.picklist(["done", "interrupted"]),
  run: text,
  name: text,
  steps: natural,
  tokens: natural,
  loss: figure,
  valLoss: figure,
  bitsPerByte: v.optional(v.number()),
  exactMatch: v.optional(v.number()),
  /** State digest after the last step. */
  digest: text,
  tokensPerSecond: v.number(),
  percentOfPeak: figure,
  seconds: v.number(),
  resume: v.optional(text),
});

export const runsResult = v.strictObject({
  runs: v.array(
    v.strictObject({
      run: text,
      name: text,
      state: text,
      size: text,
      task: v.picklist(["text", "addition"]),
      step: natural,
      steps: natural,
      loss: figure,
      valLoss: figure,
      bitsPerByte: figure,
      exactMatch: figure,
      tokensPerSecond: figure,
      percentOfPeak: figure,
      createdMs: natural,
    }),
  ),
});

const sample = v.strictObject({ step: natural, atMs: natural, prompt: text, text });
export const samplesResult = v.strictObject({ samples: v.array(sample) });

export const alertResult = v.strictObject({
  kind: v.picklist(["not_finite", "failed", "trainer_crashed", "stalled", "disk_low"]),
  severity: v.picklist(["warning", "critical"]),
  /** A run's id; empty for the node itself. */
  subject: text,
  message: text,
  hint: text,
  sinceMs: natural,
});

export const runStatusResult = v.strictObject({
  run: text,
  name: text,
  state: text,
  createdMs: natural,
  step: natural,
  steps: natural,
  last: orNull(stepRecordSchema),
  percentOfPeak: figure,
  evaluations: v.array(evaluationSchema),
  checkpoints: v.array(
    v.strictObject({
      step: natural,
      stateDigest: text,
      manifestDigest: text,
      /** Digest of the checkpoint's predecessor; null for the first, and where the files are gone. */
      parent: orNull(text),
      sizeBytes: orNull(natural),
      isKept: v.boolean(),
      isBest: v.boolean(),
    }),
  ),
  events: v.array(v.strictObject({ atMs: natural, type: text, body: v.unknown() })),
  losses: v.array(v.number()),
  alerts: v.array(alertResult),
  samples: v.array(sample),
  plan: v.strictObject({
    digest: text,
    parameters: natural,
    flopsPerToken: v.number(),
    tokensPerStep: natural,
    /** Null while a time budget has not fixed the steps. */
    tokens: orNull(natural),
    plannedBytes: orNull(natural),
    backend: orNull(text),
    threads: orNull(natural),
    peakFlops: figure,
  }),
  /** Identity digest of the runtime that computed last; null for runs of earlier versions. */
  runtimeDigest: orNull(text),
  summary: orNull(v.record(text, v.unknown())),
  manifest: runManifestSchema,
  digest: text,
});

const numbers = v.array(v.number());
const figures = v.array(figure);
export const runSeriesResult = v.strictObject({
  run: text,
  /** The first and the last recorded step; 0 where there is none. */
  first: natural,
  last: natural,
  steps: v.strictObject({
    step: numbers,
    loss: numbers,
    gradientNorm: numbers,
    learningRate: numbers,
    tokensPerSecond: numbers,
    percentOfPeak: figures,
    /** Seconds of each step by what they were spent on. */
    split: v.strictObject({
      data: figures,
      gradient: figures,
      norm: figures,
      update: figures,
      evaluate: figures,
      checkpoint: figures,
    }),
  }),
  evaluations: v.strictObject({
    step: numbers,
    loss: numbers,
    bitsPerByte: figures,
    exactMatch: numbers,
  }),
});
