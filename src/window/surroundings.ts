import type { Digest } from "#src/codec/digest.ts";

/** A member of the mesh as the rules of runs see it. */
export interface RunMember {
  readonly node: string;
  readonly key: Digest;
  readonly isReady: boolean;
  readonly isTrainer: boolean;
  readonly isValidator: boolean;
  /** May begin and end runs: a host, or an owner of the mesh. */
  readonly isHost: boolean;
}

/** What of the mesh's state decides about runs. */
export interface Surroundings {
  readonly mesh: string;
  /** The mesh's clock: the latest time any event had. */
  readonly nowMs: number;
  readonly term: number;
  /** Live ones, by ascending node. */
  readonly members: readonly RunMember[];
}

/** What a coordinator sees beside the state, with its own ears and clock. */
export interface Hearing {
  readonly nowMs: number;
  /** Since when it leads. */
  readonly ledSinceMs: number;
  /**
   * When each node last answered it, by its clock; who is not in it did not since it leads. It hears itself.
   */
  readonly heardMs: ReadonlyMap<string, number>;
}
