import { join } from "node:path";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { fileCountMaximum, pathLengthMaximum } from "./manifest.ts";
import { pathFault } from "./artifact-path.ts";

/** A file that becomes content of an artifact. */
export interface SourceFile {
  readonly location: string;
  /** Its path in the folder; null where the artifact is this one file. */
  readonly path: string | null;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface Source {
  readonly isFolder: boolean;
  readonly files: readonly SourceFile[];
}

/**
 * What an artifact would be made from: a file, or all files of a folder sorted by path. Empty folders do
 * not travel. Refusals: `not_found`, `artifact_source_wrong` for links, devices and names that cannot travel.
 */
export async function readSource(disk: Disk, location: string): Promise<Source> {
  const status = await disk.stat(location);
  if (status === null)
    throw new Refusal("not_found", `${location} does not exist`, "check the path", {
      path: location,
    });
  if (status.kind === "file") {
    const { sizeBytes, modifiedMs } = status;
    return { isFolder: false, files: [{ location, path: null, sizeBytes, modifiedMs }] };
  }
  if (status.kind === "other") throw sourceWrong(location, "is neither a file nor a folder");
  const files: (SourceFile & { readonly path: string })[] = [];
  await walk(disk, location, "", files);
  files.sort((one, other) => (one.path < other.path ? -1 : 1));
  return { isFolder: true, files };
}

async function walk(
  disk: Disk,
  root: string,
  folder: string,
  into: (SourceFile & { readonly path: string })[],
): Promise<void> {
  for (const entry of await disk.list(join(root, folder))) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    const location = join(root, path);
    if (path.length > pathLengthMaximum) throw sourceWrong(location, "has too long a path");
    const fault = pathFault(path);
    if (fault !== null) throw sourceWrong(location, fault);
    if ((await disk.isLink?.(location)) !== false) throw sourceWrong(location, "is a link");
    if (entry.kind === "other") throw sourceWrong(location, "is neither a file nor a folder");
    if (entry.kind === "directory") await walk(disk, root, path, into);
    else into.push({ location, path, sizeBytes: entry.sizeBytes, modifiedMs: entry.modifiedMs });
    if (into.length > fileCountMaximum)
      throw sourceWrong(root, `has more than ${fileCountMaximum} files`);
  }
}

export function sourceWrong(location: string, fault: string): Refusal {
  return new Refusal(
    "artifact_source_wrong",
    `${location} ${fault}`,
    "take it out of the folder, or pack the folder into one file first",
    { path: location, fault },
  );
}
