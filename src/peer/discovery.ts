import { createHmac, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import type { Random } from "#src/port/random.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { addressText, type PeerAddress } from "./address.ts";
import { Allowance } from "./allowance.ts";
import type { Signer } from "./envelope.ts";
import { callIdShape, digestShape, keyShape, nodeIdShape, signatureShape } from "./shapes.ts";
import { isSigned, readCanonical, signDocument, type JsonObject } from "./signed-document.ts";

/**
 * Who of the mesh is near, asked into the network by who was told to: a ping to all, a signed hello back.
 * It admits nobody. What it finds of members are further addresses to dial, where the certificate and key
 * must be those the mesh knows; others are shown and nothing else. Times are monotonic milliseconds.
 */

/** A datagram fits an Ethernet frame whole; what is larger is not read. */
export const datagramMaximumBytes = 1_200;

export interface DiscoveryLimits {
  /** A hello answers the pings of so long alone. */
  readonly patienceMs: number;
  /** Who was not heard for so long is not shown any more. */
  readonly forgetMs: number;
  /** Nodes that are remembered; the one heard least recently makes room. */
  readonly nodes: number;
  /** Addresses of one member that are remembered. */
  readonly places: number;
  /** Datagrams of the mesh that are looked at each second, and at once. */
  readonly perSecond: number;
  readonly burst: number;
}

export const discoveryLimits: DiscoveryLimits = {
  patienceMs: 5_000,
  forgetMs: 180_000,
  nodes: 256,
  places: 2,
  perSecond: 64,
  burst: 256,
};

const datagramSchema = v.strictObject({
  type: v.literal("psionic-discovery"),
  version: v.literal(1),
  kind: v.picklist(["ping", "hello"]),
  /** Of the mesh, for who knows its id: HMAC-SHA256, so that others do not learn which it is. */
  tag: digestShape,
  /** Drawn by who pings; the hello repeats it. */
  challenge: callIdShape,
  sender: nodeIdShape,
  key: keyShape,
  /** Where the sender answers nodes, on the address the datagram comes from; null where it does not there. */
  port: v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))),
  signature: signatureShape,
});
type Datagram = v.InferOutput<typeof datagramSchema>;

/** A node that answered, whether it belongs to the mesh or only knows of it. */
export interface SeenNode {
  readonly node: string;
  readonly key: string;
  /** `HOST:PORT`, the latest first; none for a node that answers no nodes there. */
  readonly places: readonly string[];
  readonly isMember: boolean;
  /** Milliseconds since it was heard. */
  readonly silentMs: number;
}

interface Seen {
  readonly key: string;
  places: readonly string[];
  atMs: number;
}

export interface DiscoveryParts {
  /** The node and the key it signs with now. */
  signer(): Signer;
  /** Of this mesh alone is anything said or heard. */
  mesh(): string;
  /** The port for nodes on the interface's address; null where none is open there. */
  port(): number | null;
  readonly random: Random;
  readonly limits?: Partial<DiscoveryLimits>;
}

/** What one node asks, answers and has seen. */
export class DiscoveryBook {
  readonly #limits: DiscoveryLimits;
  readonly #allowance: Allowance;
  /** Pings that may still be answered, by their challenge. */
  readonly #asked = new Map<string, number>();
  readonly #seen = new Map<string, Seen>();
  #memberKeys: ReadonlyMap<string, string> = new Map();

  constructor(
    private readonly parts: DiscoveryParts,
    nowMs: number,
  ) {
    this.#limits = { ...discoveryLimits, ...parts.limits };
    const { perSecond, burst } = this.#limits;
    const bytes = { perSecond: Infinity, burst: Infinity };
    this.#allowance = new Allowance({ perSecond, burst }, bytes, nowMs);
  }

  /** Who belongs to the mesh, with the key it signs with, without this node. */
  setMembers(members: readonly { readonly node: string; readonly key: string }[]): void {
    this.#memberKeys = new Map(members.map(({ node, key }) => [node, key]));
    for (const [node, { key }] of this.#seen)
      if (!this.#isKeyOf(node, key)) this.#seen.delete(node);
  }

  /** A ping for everybody on the interface. */
  ping(nowMs: number): Uint8Array {
    for (const [challenge, atMs] of this.#asked)
      if (nowMs - atMs > this.#limits.patienceMs) this.#asked.delete(challenge);
    const challenge = Buffer.from(this.parts.random.bytes(16)).toString("hex");
    this.#asked.set(challenge, nowMs);
    return this.#sign("ping", challenge);
  }

  /**
   * Takes a datagram and gives the answer that is due, if any. Whatever is not signed, not of this mesh, not
   * asked for, or beyond the rate is dropped without a word.
   */
  hear(bytes: Uint8Array, from: PeerAddress, nowMs: number): Uint8Array | null {
    const datagram = this.#read(bytes, nowMs);
    if (datagram === null) return null;
    if (datagram.kind === "ping") return this.#sign("hello", datagram.challenge);
    const askedMs = this.#asked.get(datagram.challenge);
    if (askedMs !== undefined && nowMs - askedMs <= this.#limits.patienceMs)
      this.#remember(datagram, from, nowMs);
    return null;
  }

  /** Who was seen of late, members first, each by ascending node id. */
  seen(nowMs: number): SeenNode[] {
    this.#forget(nowMs);
    return [...this.#seen]
      .map(([node, { key, places, atMs }]) => ({
        ...{ node, key, places, isMember: this.#memberKeys.has(node) },
        silentMs: Math.round(nowMs - atMs),
      }))
      .toSorted((a, b) => Number(b.isMember) - Number(a.isMember) || (a.node < b.node ? -1 : 1));
  }

  /** Where a member was seen, to be dialled after the places it names itself. */
  placesOf(node: string, nowMs: number): readonly string[] {
    this.#forget(nowMs);
    return this.#memberKeys.has(node) ? (this.#seen.get(node)?.places ?? []) : [];
  }

  #remember({ sender, key, port }: Datagram, from: PeerAddress, nowMs: number): void {
    const known = this.#seen.get(sender);
    const place = port === null ? [] : [addressText({ host: from.host, port })];
    const earlier = known?.key === key ? known.places.filter((each) => each !== place[0]) : [];
    const places = [...place, ...earlier].slice(0, this.#limits.places);
    // Deleted first, so that the map's order is that of hearing.
    this.#seen.delete(sender);
    this.#seen.set(sender, { key, places, atMs: nowMs });
    if (this.#seen.size > this.#limits.nodes) this.#seen.delete(this.#leastWanted());
  }

  /** A stranger before any member, and of those the one that was silent longest. */
  #leastWanted(): string {
    for (const node of this.#seen.keys()) if (!this.#memberKeys.has(node)) return node;
    return this.#seen.keys().next().value!;
  }

  #forget(nowMs: number): void {
    for (const [node, { atMs }] of this.#seen)
      if (nowMs - atMs > this.#limits.forgetMs) this.#seen.delete(node);
  }

  #read(bytes: Uint8Array, nowMs: number): Datagram | null {
    if (bytes.length > datagramMaximumBytes) return null;
    const document = readQuietly(bytes);
    const parsed = v.safeParse(datagramSchema, document);
    if (document === null || !parsed.success) return null;
    const datagram = parsed.output;
    const { sender, key, tag, kind, challenge } = datagram;
    if (sender === this.parts.signer().nodeId) return null;
    if (!isEqual(tag, this.#tag(kind, challenge, sender))) return null;
    if (!this.#allowance.spend(0, nowMs) || !this.#isKeyOf(sender, key)) return null;
    return isSigned(document) ? datagram : null;
  }

  /** A member's key is the one the mesh knows; a stranger's must be the one its id was made of. */
  #isKeyOf(node: string, key: string): boolean {
    const known = this.#memberKeys.get(node);
    return known === undefined ? nodeIdOf(key) === node : known === key;
  }

  #sign(kind: Datagram["kind"], challenge: string): Uint8Array {
    const { nodeId: sender, key } = this.parts.signer();
    const tag = this.#tag(kind, challenge, sender);
    return signDocument(
      {
        ...{ type: "psionic-discovery", version: 1, kind, tag, challenge, sender },
        ...{ key: key.publicKey, port: this.parts.port() },
      },
      key,
    );
  }

  #tag(kind: string, challenge: string, sender: string): string {
    return createHmac("sha256", this.parts.mesh())
      .update(`psionic-discovery/1 ${kind} ${challenge} ${sender}`)
      .digest("hex");
  }
}

function readQuietly(bytes: Uint8Array): JsonObject | null {
  try {
    return readCanonical(bytes);
  } catch {
    return null;
  }
}

function isEqual(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a, "hex"), Buffer.from(b, "hex"));
}
