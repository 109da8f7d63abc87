import type { Digest } from "#src/codec/digest.ts";
import type { Role } from "#src/log/state.ts";
import type { SeenNode } from "#src/peer/discovery.ts";
import type { LinkView } from "#src/peer/link.ts";
import type { PeerAddress } from "#src/peer/address.ts";
import type { Command, CommandOf, Contact, Scope } from "./event.ts";
import type { JoinToken } from "./join-token.ts";
import type { MeshState } from "./state.ts";

/** Where a command came to stand in the log. */
export interface Submitted {
  readonly index: number;
  readonly term: number;
}

/** This node's part of the agreement, as it is now. */
export interface ClusterStanding {
  readonly mesh: string;
  readonly node: string;
  readonly epoch: number;
  /** `member`; `joining` until the log says so; `out` after it left or was evicted. */
  readonly standing: "member" | "joining" | "out";
  readonly role: Role;
  /** Node id of the coordinator; null while nobody is known to lead. */
  readonly leader: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly snapshotIndex: number;
  /** Entries kept after the snapshot. */
  readonly entryCount: number;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  /** Voters that may be lost while the rest can still decide. */
  readonly spareCount: number;
  /** Of the whole state at `appliedIndex`, equal on every node there. */
  readonly digest: Digest;
}

export type Newcomer = Omit<CommandOf<"node-admitted">, "kind">;

/** What a member tells a node it has admitted: enough to take part. */
export interface Admission {
  readonly mesh: string;
  readonly founder: string;
  /** Where the admission stands in the log. */
  readonly index: number;
  readonly members: readonly { readonly node: string; readonly contact: Contact }[];
}

export interface Joined extends Admission {
  /** The member that was asked. */
  readonly host: string;
}

/** Nodes near this one that know of the mesh, members or not. */
export interface SeenNodes {
  readonly interfaceName: string;
  readonly nodes: readonly SeenNode[];
}

/** What recomputing the state from the log on the disk gave. */
export interface Recomputed {
  readonly index: number;
  readonly term: number;
  readonly digest: Digest;
  readonly fromSnapshotIndex: number;
  readonly entryCount: number;
  /** The digest of the state in memory at the same index. */
  readonly liveDigest: Digest;
}

/** The cluster as commands see it. Only a daemon has one. */
export interface ClusterService {
  standing(): ClusterStanding;
  /** This node's own copy of the state, which may be behind. */
  state(): MeshState;
  links(): readonly LinkView[];
  /** Who answered on the interface on which this node asks; null where it asks on none. */
  seen(): SeenNodes | null;
  /** Where this node says it is reached. */
  contact(): Contact;
  /**
   * Has a command of this node's written into the log and applied, whoever leads. Returns once it is
   * committed. Refusals: the reducer's own; `cluster_leaderless` where nobody leads within the patience and
   * nothing was written; `cluster_uncertain` where it may or may not be written; `cluster_busy`.
   */
  submit(scope: Scope, command: Command, signal: AbortSignal): Promise<Submitted>;
  /** Waits until this node's state holds everything that was acknowledged anywhere before the call. */
  sync(signal: AbortSignal): Promise<number>;
  /**
   * What a newcomer is told, asked for by `cluster/admit`. With `isProbe` nothing is written: the refusal
   * that would come, or nothing.
   */
  admit(newcomer: Newcomer, isProbe: boolean, signal: AbortSignal): Promise<Admission>;
  /** Takes this node into the mesh of a token. Refusals: those of dialling, of calls and of admission. */
  join(
    request: {
      readonly place: PeerAddress;
      readonly token: JoinToken;
      readonly roles?: Newcomer["roles"];
    },
    signal: AbortSignal,
  ): Promise<Joined>;
  /** Says farewell and goes back to a mesh of its own. Refused for the founder. */
  leave(signal: AbortSignal): Promise<void>;
  /** Reads the log back from the disk and folds it again. Refused with `log_damaged`. */
  recompute(): Promise<Recomputed>;
  /**
   * The digest of the whole state as it was at an index, folded from the log on the disk. Refused with
   * `cluster_index_unkept` where a snapshot has replaced that part of the log or it has not come so far.
   */
  digestAt(index: number): Promise<Digest>;
  /**
   * Calls a command of another member as this node, where and with which certificate the state says it is
   * reached. Refusals: `member_unknown`; those of dialling and of calls; the one the command gave there.
   */
  ask(
    node: string,
    name: string,
    parameters: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<unknown>;
}

declare module "#src/command/define.ts" {
  interface Services {
    /** Null outside of a daemon. */
    readonly cluster: ClusterService | null;
  }
}
