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
  /**
   * The line that joins another machine, its token made or still good from before; null on a node that may
   * make none or has no door for others.
   */
  joinLine(signal: AbortSignal): Promise<JoinLine | null>;
}

/** What is typed on a machine that joins, and what there is to know of it. */
export interface JoinLine {
  readonly line: string;
  /** Where the line says that this node is reached. */
  readonly place: string;
  /** Addresses of this machine that others may reach. */
  readonly addresses: readonly string[];
}

declare module "#src/command/define.ts" {
  interface Services {
    /** The daemon this process is; null in any other. */
    readonly daemon: DaemonControl | null;
  }
}
