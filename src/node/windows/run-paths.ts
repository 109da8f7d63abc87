import { join } from "node:path";
import type { Digest } from "#src/codec/digest.ts";
import { checkpointDirectory } from "#src/train/checkpoint.ts";

/** Where what belongs to one run of the mesh lies in a home. */
export class RunPaths {
  constructor(
    readonly runsDirectory: string,
    readonly run: string,
  ) {}

  get root(): string {
    return join(this.runsDirectory, this.run);
  }

  /** The run's document as it came: `run.json` and, where it is text, its data. */
  get document(): string {
    return join(this.root, "document");
  }

  get checkpoints(): string {
    return join(this.root, "checkpoints");
  }

  /** A revision, among the run's checkpoints: whatever reads those reads it. */
  revision(number: number): string {
    return join(this.checkpoints, checkpointDirectory(number));
  }

  get artifacts(): string {
    return join(this.root, "artifacts");
  }

  /** An artifact as files. */
  artifact(digest: Digest): string {
    return join(this.artifacts, digest);
  }
}
