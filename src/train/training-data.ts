/** A dataset as the training loop reads it: whole steps, and two views of the held-out part. */
import type { Assignment, Dataset } from "#src/dataset/dataset.ts";
import type { RunManifest } from "./run-manifest.ts";
import type { HeldOut, TrainingData } from "./trainer.ts";

/** Refuses with `data_too_small` when the text cannot fill one context on either side. */
export function assignTrainingData(dataset: Dataset, manifest: RunManifest): TrainingData {
  const { seed, contextLength, batchSize, microBatches, evaluateBatchSize, evaluation } = manifest;
  const common = { seed, contextLength, policy: manifest.data.policy };
  const training = dataset.assign({ ...common, batchSize: batchSize * microBatches });
  const validationRowMaximum = evaluation.batches * evaluateBatchSize;
  const sample = dataset.assign({ ...common, batchSize: evaluateBatchSize, validationRowMaximum });
  const full = dataset.assign({ ...common, batchSize: evaluateBatchSize });
  return {
    batch: (step) => training.batch(step, 0),
    sample: heldOut(dataset, sample),
    full: heldOut(dataset, full),
  };
}

function heldOut(dataset: Dataset, { validation }: Assignment): HeldOut {
  const { batchCount, targetBytes, targetCount } = validation;
  return {
    batchCount,
    batch: (index) => validation.batch(index),
    bytesPerTarget: dataset.task === "text" && targetCount > 0 ? targetBytes / targetCount : null,
  };
}
