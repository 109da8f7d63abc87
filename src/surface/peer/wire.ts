import type { ClaimsPath } from "#src/peer/claims.ts";

/** Who proved to be at the other end of a connection. */
export interface Proven {
  readonly node: string;
  readonly key: string;
  /** The keys it had before that one, as its rotations prove. */
  readonly earlierKeys: readonly string[];
}

/**
 * One way to another node over which documents go both ways, whoever opened it and whatever carries it:
 * what a link is put together from. A relay is another implementation of it.
 */
export interface Wire {
  /** Who is at the other end, as it proved when the wire was opened. */
  readonly node: string;
  /** The key it signs with: its messages are signed by no other. */
  readonly key: string;
  /** The keys it had before, as it proved: who comes with one of these alone is out of date, or a thief. */
  readonly earlierKeys: readonly string[];
  readonly path: "direct" | "relayed";
  /** The member that passes documents on, where the path is relayed. */
  readonly relay: string | null;
  /** The session of that relay, which claims name; null on a direct one. */
  readonly session: string | null;
  /** True where this node opened it. */
  readonly isDialled: boolean;
  /** The address that was dialled, where one was. */
  readonly place: string | null;
  /** Bytes that were given to it and have not left this machine. */
  readonly waitingBytes: number;
  /** Sends a document of at most a mebibyte; on a wire that has ended it is lost. */
  send(document: Uint8Array): void;
  /** Ends the wire after what waits has been sent; `reason` is for whoever reads traces. */
  close(code: number, reason: string): void;
  /** Ends it at once: the other end does not answer any more. */
  drop(): void;
}

/** Who takes what comes over a wire. */
export interface WireReceiver {
  take(document: Uint8Array): void;
  /** The wire has ended, whoever ended it; told once. */
  ended(): void;
}

/** Who takes over connections that turn out to be links: the door hands them in. */
export interface WireDoor {
  /** Members have places of their own at the door. `keys` are the one it came with and those before. */
  isMember(node: string, keys: readonly string[]): boolean;
  accept(wire: Wire): WireReceiver;
}

/** The way of a wire, as claims name it. */
export function claimsPath({ relay, session }: Wire): ClaimsPath {
  return relay === null ? { kind: "direct" } : { kind: "relay", relay, session: session ?? "" };
}
