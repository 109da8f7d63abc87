import type { DaemonFile } from "./daemon-file.ts";

/** What commands of a daemon know of it and may ask of it. */
export interface DaemonControl {
  readonly file: DaemonFile;
  readonly nodeId: string;
  readonly epoch: number;
  /** Begins to stop in order; returns at once. A second call changes nothing. */
  stop(drainMs: number): void;
  /** Lets one running call stop in order, by the id its caller gave it; false where there is none. */
  stopCall(id: string): boolean;
}

declare module "#src/command/define.ts" {
  interface Services {
    /** The daemon this process is; null in any other. */
    readonly daemon: DaemonControl | null;
  }
}
