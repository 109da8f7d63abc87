import type { ModelConfiguration } from "#src/model/configuration.ts";
import { parameterCount } from "#src/model/cost.ts";
import type { KeptKind } from "./run-artifacts.ts";

/** Beside the numbers themselves: manifests, commitments, heads. */
const besideBytes = 4 * 1024 * 1024;
/**
 * Bytes per parameter of the largest honest one, and half of that to spare. A delta has four, or of tensors of a
 * few elements eleven; a revision eight; a state sixteen.
 */
const bytesPerParameter = { contribution: 16, revision: 12, state: 24 } as const;

/** A document holds the run's prepared data, which is laid out in a second place: half of the disk stays free. */
const documentShare = 0.25;
const documentMostBytes = 64 * 1024 ** 3;

/** Bytes that an artifact of a run can have at most: larger ones are no work of an honest member. */
export function artifactBytesMaximum(kind: KeptKind, model: ModelConfiguration): number | null {
  if (kind === "document") return null;
  return bytesPerParameter[kind] * parameterCount(model) + besideBytes;
}

/** Bytes that a run's document may have on a disk with so many free. */
export function documentBytesMaximum(freeBytes: number): number {
  return Math.min(documentMostBytes, Math.floor(freeBytes * documentShare));
}
