import { canonicalText, digestBytes, digestJson, type Digest } from "#src/codec/digest.ts";
import type { Run } from "#src/window/run.ts";
import type { CommandOf, Configuration, Contact, Event, Fence } from "./event.ts";

export type MemberStanding = "joining" | "ready" | "draining" | "offline" | "left" | "evicted";

export interface Label {
  readonly label: string;
  readonly value: string;
}

export interface Member {
  readonly node: string;
  /** The key it signs with, as it said at its last start. */
  readonly key: Digest;
  readonly contact: Contact;
  /** By ascending name. */
  readonly labels: readonly Label[];
  readonly roles: CommandOf<"node-admitted">["roles"];
  readonly standing: MemberStanding;
  /** The highest epoch seen of it; never goes back, not even over an eviction. */
  readonly epoch: number;
  /** With which token it came; null for the founder. */
  readonly token: string | null;
  /** Since when it stands so. */
  readonly sinceMs: number;
}

export interface Token {
  readonly token: string;
  /** The public half of the key that the secret makes: the state goes to every node, the secret to nobody. */
  readonly secret: Digest;
  readonly roles: Member["roles"];
  readonly isReusable: boolean;
  readonly isRevoked: boolean;
  readonly expiryMs: number;
  readonly useCount: number;
}

/** A ready member's promise to be there until a time. */
export interface Lease {
  readonly node: string;
  readonly untilMs: number;
}

export interface Order {
  readonly order: string;
  readonly node: string;
  readonly what: string;
  readonly author: string;
  readonly fence: Fence;
}

export type Link = CommandOf<"link-measured"> & { readonly atMs: number };
export type NodeFacts = CommandOf<"node-measured"> & { readonly atMs: number };

export interface Blob {
  readonly blob: Digest;
  /** Node ids in ascending order. */
  readonly holders: readonly string[];
}

/** Who decided last on a thing, and by what right. */
export interface Provenance extends Pick<Event, "author" | "scope" | "policy"> {
  /** Such as `member b` or `posture`. */
  readonly subject: string;
  readonly atMs: number;
}

export type Manifest = CommandOf<"manifest-set">["manifest"] & { readonly digest: Digest };
export type Posture = Omit<CommandOf<"posture-set">, "kind">;

/** All that a mesh knows of itself: what the events add up to. Plain data, integers only. */
export interface MeshState {
  /** Empty before the founding. */
  readonly mesh: string;
  /** The node after which the mesh is named, and which of its meshes this is; see `meshIdOf`. */
  readonly founder: string;
  readonly founding: number;
  /** The members whose owners answer for the mesh, the founder first of all: ascending, never none. */
  readonly owners: readonly string[];
  /** The version of the founder's program that newcomers must match. */
  readonly version: number;
  /** The latest time and term any event had. Neither goes back, whatever a new leader's clock says. */
  readonly timeMs: number;
  readonly term: number;
  /** All lists but the orders ascend by their names, so that equal states have one text. */
  readonly members: readonly Member[];
  readonly tokens: readonly Token[];
  readonly leases: readonly Lease[];
  /** The newest an order had; null before the first. */
  readonly fence: Fence | null;
  /** The latest ones, in the order in which they were given. */
  readonly orders: readonly Order[];
  readonly links: readonly Link[];
  readonly nodes: readonly NodeFacts[];
  readonly residency: readonly Blob[];
  readonly configuration: Configuration;
  readonly manifest: Manifest | null;
  readonly posture: Posture;
  readonly provenance: readonly Provenance[];
  /** By ascending id: those at work, and the latest that ended. */
  readonly runs: readonly Run[];
}

export const defaultConfiguration: Configuration = {
  intervalMs: 5_000,
  staleMs: 15_000,
  expiryMs: 30_000,
  leaseMs: 60_000,
  drainMs: 15_000,
  skewMs: 60_000,
};

export const emptyMesh: MeshState = {
  ...{ mesh: "", founder: "", founding: 0, owners: [], version: 0, timeMs: 0, term: 0 },
  ...{ members: [], tokens: [], leases: [], fence: null, orders: [] },
  ...{ links: [], nodes: [], residency: [] },
  configuration: defaultConfiguration,
  manifest: null,
  posture: { posture: "trusted-lan", discovery: "off", claims: [] },
  provenance: [],
  runs: [],
};

/** Texts of lists and other parts: an event changes few of them, and the rest are the same objects. */
const partTexts = new WeakMap<object, string>();

function partText(part: MeshState[keyof MeshState]): string {
  if (typeof part !== "object" || part === null) return canonicalText(part);
  const known = partTexts.get(part) ?? canonicalText(part);
  partTexts.set(part, known);
  return known;
}

const partNames = (Object.keys(emptyMesh) as (keyof MeshState)[]).toSorted();

/** The one text of a state, from which it can be restored: canonical JSON. */
export function stateText(state: MeshState): string {
  return `{${partNames.map((name) => `"${name}":${partText(state[name])}`).join(",")}}`;
}

export function stateDigest(state: MeshState): Digest {
  return digestBytes(stateText(state));
}

/** Who is there and how well they reach each other; does not move when blobs do. */
export function topologyDigest({ members, links, nodes }: MeshState): Digest {
  return digestJson({ members, links, nodes });
}

/** Which node holds which blob. */
export function residencyDigest({ residency }: MeshState): Digest {
  return digestJson(residency);
}

/** Who may give orders here and by what: part of every fence, so that a change makes old orders stale. */
export function authorityDigest({ mesh, owners, manifest, members }: MeshState): Digest {
  const coordinators = members
    .filter((member) => isLive(member) && member.roles.includes("coordinator"))
    .map(({ node, key }) => ({ node, key }));
  return digestJson({ mesh, owners, manifest: manifest?.digest ?? null, coordinators });
}

/** Whether a member still belongs to the mesh, reachable or not. */
export function isLive({ standing }: Member): boolean {
  return standing !== "left" && standing !== "evicted";
}
