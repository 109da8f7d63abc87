/**
 * The prepared data of a run. Its manifest names the data by its place below the home and not by
 * the home's own, so that the same run has the same digest on every machine and a home can move.
 */
import type { Dataset, DatasetReference } from "#src/dataset/dataset.ts";
import { reopenDataset } from "#src/dataset/open.ts";
import type { Disk } from "#src/port/disk.ts";
import type { RunManifest } from "./run-manifest.ts";

/** Where the prepared datasets of a home lie. */
export const datasetsDirectory = (homeRoot: string) => `${homeRoot}/datasets`;

/** A dataset's reference as a manifest pins it. */
export function pinnedReference(reference: DatasetReference): DatasetReference {
  if (reference.task === "addition") return { ...reference };
  const { directory } = reference;
  return { task: "text", directory: directory.slice(directory.lastIndexOf("/") + 1) };
}

/** Opens the data a run was planned on. Refuses with `not_found`, `dataset_damaged`. */
export function reopenRunData(
  { data: { reference } }: RunManifest,
  disk: Disk,
  homeRoot: string,
): Promise<Dataset> {
  if (reference.task === "addition") return reopenDataset(reference, disk);
  const directory = `${datasetsDirectory(homeRoot)}/${reference.directory}`;
  return reopenDataset({ task: "text", directory }, disk);
}
