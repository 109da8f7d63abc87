/** What the commands of the cluster answer, as far as the page reads it. */

export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface Claims {
  readonly policy: string;
  readonly result: string;
  readonly identityDigest: string | null;
  readonly manifestDigest: string | null;
  readonly profile: string | null;
  readonly proofPosture: string;
  readonly reason: string | null;
}

/** This node's link to another member, as it is now. */
export interface LinkRow {
  readonly node: string;
  readonly state: string;
  readonly path: string | null;
  readonly relay: string | null;
  readonly place: string | null;
  readonly reason: Reason | null;
  readonly epoch: number | null;
  readonly silentMs: number | null;
  readonly failureCount: number;
  readonly nextDialMs: number | null;
  readonly roundTripUs: number | null;
  readonly clockSkewMs: number | null;
  readonly bytesPerSecond: number | null;
  readonly lossPerMillion: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly claims: Claims | null;
}

/** What a node measured of itself. */
export interface Measured {
  readonly device: string;
  readonly memoryBytes: number;
  readonly loadPerMille: number;
  readonly exactTokensPerSecond: number;
  readonly fastTokensPerSecond: number;
  readonly isReady: boolean;
  readonly ageMs: number;
}

/** One member, of the answer of `nodes`. */
export interface NodeRow {
  readonly node: string;
  readonly shortId: string;
  readonly isSelf: boolean;
  readonly isFounder: boolean;
  readonly isOwner: boolean;
  readonly standing: string;
  readonly sinceMs: number;
  readonly part: string;
  readonly roles: readonly string[];
  readonly labels: readonly { readonly label: string; readonly value: string }[];
  readonly epoch: number;
  readonly places: readonly string[];
  readonly token: string | null;
  readonly leaseUntilMs: number | null;
  readonly facts: Measured | null;
  readonly clockSkewMs: number | null;
  readonly blobCount: number;
  readonly isSuspected: boolean;
  readonly link: LinkRow | null;
}

/** A link as one of its ends measured it and put into the log. */
export interface MeasuredLink {
  readonly from: string;
  readonly to: string;
  readonly roundTripUs: number;
  readonly bytesPerSecond: number;
  readonly lossPerMillion: number;
  readonly path: string;
  readonly class: string;
  readonly atMs: number;
}

export interface NodesAnswer {
  readonly nodes: readonly NodeRow[];
  /** Absent where the node is of an older version. */
  readonly links?: readonly MeasuredLink[];
}

export interface ShownNode extends NodeRow {
  readonly key: string;
  readonly certificate: string;
  readonly links: readonly MeasuredLink[];
  readonly provenance: {
    readonly author: string;
    readonly scope: string;
    readonly policy: string | null;
    readonly atMs: number;
  } | null;
}

interface Voter {
  readonly node: string;
  readonly shortId: string;
  readonly isSelf: boolean;
  readonly isHeard: boolean;
}

/** The answer of `cluster/status`. */
export interface MeshStatus {
  readonly mesh: string;
  readonly founder: string;
  readonly isFounder: boolean;
  /** Whose operators make tokens, evict and set what the mesh is; whether this node's does. */
  readonly owners: readonly string[];
  readonly isOwner: boolean;
  readonly posture: {
    readonly posture: string;
    readonly discovery: string;
    readonly claims: readonly string[];
  };
  readonly node: { readonly taking: string };
  readonly leader: string | null;
  readonly term: number;
  readonly log: {
    readonly commitIndex: number;
    readonly appliedIndex: number;
    readonly snapshotIndex: number;
    readonly entryCount: number;
  };
  readonly digest: string;
  readonly topologyDigest: string;
  readonly residencyDigest: string;
  readonly voters: readonly Voter[];
  readonly learners: readonly Voter[];
  readonly neededCount: number;
  readonly heardCount: number;
  readonly hasQuorum: boolean;
  /** Of those that decide, how many may be lost. */
  readonly spareCount: number;
  /** Voters that no other machine can dial, where there are several: they meet only through others. */
  readonly undialled: readonly Voter[];
  readonly survives: string;
  readonly memberCount: number;
  readonly manifest: { readonly digest: string; readonly nodeCount: number } | null;
  readonly drift: readonly { readonly node: string; readonly why: string }[];
  readonly configuration: Readonly<Record<string, number>>;
}

export interface MadeToken {
  readonly token: string;
  readonly line: string;
  readonly places: readonly string[];
  readonly roles: readonly string[];
  readonly isReusable: boolean;
  readonly expiryMs: number;
}

export interface ListedToken {
  readonly token: string;
  readonly state: string;
  readonly roles: readonly string[];
  readonly isReusable: boolean;
  readonly useCount: number;
  readonly expiryMs: number;
}
