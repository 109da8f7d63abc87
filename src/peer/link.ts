import type { Digest } from "#src/codec/digest.ts";
import type { JsonObject } from "./signed-document.ts";

/**
 * A lasting way between two members of a mesh, over which signed messages go both ways. The sockets
 * behind it are `surface`'s; what the messages mean is `cluster`'s.
 */

/** Where a member is reached, as the mesh's state says. */
export interface LinkMember {
  readonly node: string;
  /** `HOST:PORT`, the likeliest first; none for a node that only dials others. */
  readonly places: readonly string[];
  /** SHA-256 of the TLS certificate it shows. */
  readonly certificate: Digest;
  /** Its X25519 key, hexadecimal: what passes through others is encrypted to it. */
  readonly box: string;
  /**
   * The key it signs with, as it said at its last start: what comes through others must be signed by it.
   * Without one, as before the state has been read, nothing that comes through others is taken.
   */
  readonly key?: string;
  /** The highest epoch the mesh has seen of it; a lower one is refused. */
  readonly epoch: number;
}

export const proofPostures = ["none", "best_effort", "proof_bearing"] as const;
export type ProofPosture = (typeof proofPostures)[number];

/** What this node asks of the claims of others (I-4). */
export const claimsPolicies = ["none", "best_effort", "required"] as const;
export type ClaimsPolicy = (typeof claimsPolicies)[number];

/** What is known of the other end's claims (I-5). */
export interface ClaimsStanding {
  readonly policy: ClaimsPolicy;
  /** `unavailable`: none came, and the policy lets that pass. */
  readonly result: "verified" | "unavailable" | "refused";
  readonly identityDigest: Digest | null;
  readonly manifestDigest: Digest | null;
  /** The claims profile the other end names, such as `runtime/1`. */
  readonly profile: string | null;
  readonly proofPosture: ProofPosture;
  /** Why it is not better; null where nothing is amiss. */
  readonly reason: string | null;
}

/** `refused`: the other end answered and one of the two refused to go on; the reason says why. */
export const linkStates = [
  "connecting",
  "connected",
  "degraded",
  "unreachable",
  "refused",
] as const;
export type LinkState = (typeof linkStates)[number];

/** One link as it is now, for people, metrics and measurements. */
export interface LinkView {
  readonly node: string;
  readonly state: LinkState;
  readonly path: "direct" | "relayed" | null;
  /** The member that passes messages on, where the path is relayed. */
  readonly relay: string | null;
  /** The address in use, or the last one tried. */
  readonly place: string | null;
  /**
   * Why it is not `connected`, as the refusal that came of the last attempt; also on a link that is up
   * while another process says it is that node (`home_copied`, `epoch_stale`).
   */
  readonly reason: {
    readonly code: string;
    readonly message: string;
    readonly hint: string;
  } | null;
  /** The other end's epoch, once it has said so. */
  readonly epoch: number | null;
  /** Milliseconds since anything signed came from it; null before the first. */
  readonly silentMs: number | null;
  /** Dials that failed since the last that did not. */
  readonly failureCount: number;
  /** Milliseconds until the next dial, 0 while one is under way; null where none is wanted. */
  readonly nextDialMs: number | null;
  /** Medians of the latest pings; null before the first. */
  readonly roundTripUs: number | null;
  readonly clockSkewMs: number | null;
  readonly bytesPerSecond: number | null;
  /** Pings of the latest hundred that were not answered in time. */
  readonly lossPerMillion: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly claims: ClaimsStanding | null;
}

/** Who sent a message: proven by its signature, whichever way it came. */
export interface LinkSender {
  readonly node: string;
  readonly epoch: number;
  readonly path: "direct" | "relayed";
}

export interface LinkHandlers {
  /** A message that was admitted: signed by a member, for this node and mesh, of its newest epoch, once. */
  message(from: LinkSender, kind: string, body: JsonObject): void;
  /** A link became usable or stopped being so. */
  reached(node: string, isReached: boolean): void;
}

/** The links of this node. */
export interface Links {
  /** Who belongs to the mesh now, without this node; links to others end. */
  setMembers(members: readonly LinkMember[]): void;
  /** False where no way is open now; the message is dropped then, as a network drops it. */
  send(to: string, kind: string, body: JsonObject): boolean;
  views(): readonly LinkView[];
  /** How often what came or was to go was refused or dropped since the start, by code. */
  refusals(): Readonly<Record<string, number>>;
  /** Says farewell, so that the others know at once, and ends all links. */
  stop(): Promise<void>;
}
