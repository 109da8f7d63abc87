import type { Services } from "#src/command/define.ts";
import { digestBytes } from "#src/codec/digest.ts";
import { addressText } from "#src/peer/address.ts";
import type { TlsIdentity } from "#src/peer/certificate.ts";
import {
  answerHello,
  askHello,
  checkChannel,
  isHelloQuestion,
  readHello,
} from "#src/peer/hello.ts";
import { keysBefore } from "#src/peer/key-in-use.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import { ReplyWriter, writeRefusal } from "#src/peer/reply.ts";
import { documentMaximumBytes, readCanonical } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type BlobDoor, blobsPath } from "./blobs.ts";
import { Guest, wireOfGuest, type GuestSocket } from "./guest.ts";
import { closeCodes, peerLimits, peerPath, type PeerLimits } from "./limits.ts";
import type { WireDoor } from "./wire.ts";

/** What the peers' door on the network is given when the node composes. */
export interface PeerListenerParts {
  readonly services: Services;
  readonly tls: TlsIdentity;
  /** Answers one sealed call, as on a pipe. */
  answer(
    envelope: Uint8Array,
    send: (frame: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** True once the node stops: new calls are refused with `daemon_stopping`. */
  draining(): boolean;
  onBug(error: unknown): void;
  readonly limits?: Partial<PeerLimits>;
  /** Who takes the connections of members that become links; null while nobody does. */
  links?(): WireDoor | null;
  /** Who gives members the blobs of this home; without it, nobody does. */
  readonly blobs?: BlobDoor;
}

export interface PeerListener {
  /** Where it listens, as `HOST:PORT`. */
  readonly address: string;
  readonly port: number;
  /** Takes no new connections, lets calls end, tells every caller, then closes. */
  stop(): Promise<void>;
}

/** How often connections are looked over for those that are overdue. */
const lookMs = 500;

/**
 * Opens the door for other nodes at one address: WebSocket over TLS, one document a message, answered
 * as on a pipe. Each end first signs the other's question together with the certificate of the
 * connection, so that neither talks through a stranger. Beside it members get blobs; anything else is
 * refused bare.
 *
 * Refusals: `port_taken`, `address_unavailable`.
 */
export function listenPeers(
  parts: PeerListenerParts,
  where: { readonly host: string; readonly port: number },
): PeerListener {
  const limits = { ...peerLimits, ...parts.limits };
  const door = new PeerDoor(parts, limits);
  const { certificate: cert, key } = parts.tls;
  const server = bind(where, () =>
    Bun.serve<Guest>({
      hostname: where.host,
      port: where.port,
      reusePort: false,
      development: false,
      tls: { cert, key },
      idleTimeout: limits.openSeconds,
      maxRequestBodySize: 1024,
      error: () => new Response(null, { status: 500 }),
      fetch(request, self) {
        const { pathname } = new URL(request.url);
        if (pathname.startsWith(blobsPath) && parts.blobs !== undefined)
          return parts.blobs.answer(request);
        if (pathname !== peerPath) return new Response(null, { status: 404 });
        if (self.upgrade(request, { data: door.guest() })) return;
        return new Response(null, { status: 426, headers: { upgrade: "websocket" } });
      },
      websocket: {
        maxPayloadLength: documentMaximumBytes,
        backpressureLimit: limits.queueBytes,
        closeOnBackpressureLimit: true,
        // Pings go out by themselves, so only an end that is gone is silent for so long.
        idleTimeout: 30,
        perMessageDeflate: false,
        open: (socket) => door.enter(socket.data, socket),
        message: (socket, message) => {
          if (typeof message === "string") socket.close(closeCodes.unproven, "binary only");
          else door.take(socket.data, message);
        },
        close: (socket) => door.leave(socket.data),
      },
    }),
  );
  const timer = setInterval(() => door.endOverdue(), lookMs);
  const port = server.port ?? 0;
  return {
    address: addressText({ host: where.host, port }),
    port,
    async stop() {
      clearInterval(timer);
      await door.stop();
      await server.stop(true);
    },
  };
}

/** The connections, and what is done with their documents. */
class PeerDoor {
  readonly #guests = new Set<Guest>();
  #isStopping = false;

  constructor(
    private readonly parts: PeerListenerParts,
    private readonly limits: PeerLimits,
  ) {}

  guest(): Guest {
    const { random, clock } = this.parts.services;
    return new Guest(Buffer.from(random.bytes(16)).toString("hex"), this.limits, clock);
  }

  /** Asks the other end who it is. The oldest that has not said so makes room for the newest. */
  enter(guest: Guest, socket: GuestSocket): void {
    guest.socket = socket;
    if (this.#isStopping) return socket.close(closeCodes.stopping, "the node is stopping");
    const unproven = [...this.#guests].filter(({ nodeId }) => nodeId === null);
    if (unproven.length >= this.limits.unproven) this.#cut(unproven[0]!, closeCodes.unproven);
    this.#guests.add(guest);
    guest.send(askHello({ bytes: () => Buffer.from(guest.challenge, "hex") }).bytes);
  }

  leave(guest: Guest): void {
    this.#guests.delete(guest);
    guest.socket = null;
    guest.receiver?.ended();
    guest.gone.abort(new Refusal("interrupted", "the caller went away", "call again"));
  }

  endOverdue(): void {
    for (const guest of this.#guests)
      if (guest.isOverdue())
        this.#cut(guest, guest.nodeId === null ? closeCodes.unproven : closeCodes.idle);
  }

  take(guest: Guest, document: Uint8Array): void {
    if (guest.receiver !== null) return guest.receiver.take(document);
    if (!guest.spendCall()) return this.#cut(guest, closeCodes.busy, "too many calls at once");
    void this.#answer(guest, document).catch((error: unknown) => {
      if (!(error instanceof Refusal)) this.parts.onBug(error);
      this.#cut(guest, closeCodes.unproven);
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#idle();
    const reason = new Refusal("interrupted", "the daemon is stopping", "call again later");
    for (const guest of this.#guests) guest.gone.abort(reason);
    await this.#idle();
    for (const guest of this.#guests) this.#cut(guest, closeCodes.stopping);
  }

  async #idle(): Promise<void> {
    const { clock } = this.parts.services;
    const deadlineMs = clock.monotonicMs() + this.limits.drainMs;
    const isBusy = () => [...this.#guests].some(({ callCount }) => callCount > 0);
    while (isBusy() && clock.monotonicMs() < deadlineMs) await clock.sleep(20);
  }

  async #answer(guest: Guest, document: Uint8Array): Promise<void> {
    const log = this.parts.services.receipts.opened();
    if (guest.nodeId === null) {
      const read = tryRead(document);
      if (read !== null && isHelloQuestion(read)) {
        const facts = { ...ownFacts(log), certificate: this.parts.tls.fingerprint };
        return guest.send(answerHello(read, log.author, facts));
      }
      return this.#meet(guest, document);
    }
    if (this.#becomesLink(guest, guest.nodeId, document)) return;
    const { limits } = this;
    const refuse = (refusal: Refusal) => {
      const call = { callId: null, sender: null, digest: digestBytes(document) };
      writeRefusal(new ReplyWriter(log.author, call, (frame) => guest.send(frame)), refusal);
    };
    if (this.#isStopping || this.parts.draining()) return refuse(stopping());
    if (guest.callCount >= limits.callsAtOnce) return refuse(busy(limits.callsAtOnce));
    guest.callCount++;
    try {
      await this.parts.answer(document, (frame) => guest.send(frame), guest.gone.signal);
    } finally {
      guest.callCount--;
    }
  }

  /** Hands a connection whose first document is a message between members to the links. */
  #becomesLink(guest: Guest, node: string, document: Uint8Array): boolean {
    if (guest.hasSpoken) return false;
    guest.hasSpoken = true;
    const links = this.parts.links?.() ?? null;
    if (links === null || tryRead(document)?.["type"] !== "psionic-message") return false;
    const { key, earlierKeys } = guest;
    guest.receiver = links.accept(wireOfGuest(guest, { node, key, earlierKeys }));
    guest.receiver.take(document);
    return true;
  }

  /** Reads who is there; throws, and the connection ends, where that is not proved. */
  #meet(guest: Guest, document: Uint8Array): void {
    const { trust, clock } = this.parts.services;
    const hello = readHello(document, guest.challenge, clock.wallMs(), trust);
    checkChannel(hello, this.parts.tls.fingerprint);
    const { nodeId, registered } = trust.lookup(hello.key, hello.rotations);
    const earlierKeys = keysBefore(hello);
    guest.isMember = this.parts.links?.()?.isMember(nodeId, [...earlierKeys, hello.key]) ?? false;
    guest.isStranger = registered === "provisional" && !guest.isMember;
    const own = [...this.#guests].filter((each) => each.isMember && each.nodeId === nodeId);
    if (own.length >= this.limits.connectionsEach) this.#cut(own[0]!, closeCodes.busy);
    if (this.#isFull(guest)) return this.#cut(guest, closeCodes.busy, "too many connections");
    guest.nodeId = nodeId;
    guest.key = hello.key;
    guest.earlierKeys = earlierKeys;
  }

  /** Whether there is no place for one who has proved who it is: members, known nodes and strangers have their own. */
  #isFull({ isMember, isStranger }: Guest): boolean {
    const { connections, strangerConnections, memberConnections } = this.limits;
    const proven = [...this.#guests].filter((each) => each.nodeId !== null);
    const members = proven.filter((each) => each.isMember);
    if (isMember) return members.length >= memberConnections;
    const strangers = proven.filter((each) => each.isStranger);
    const isStrangerTooMany = isStranger && strangers.length >= strangerConnections;
    return isStrangerTooMany || proven.length - members.length >= connections;
  }

  #cut(guest: Guest, code: number, reason = ""): void {
    this.#guests.delete(guest);
    guest.socket?.close(code, reason);
  }
}

function tryRead(document: Uint8Array) {
  try {
    return readCanonical(document);
  } catch {
    return null;
  }
}

function busy(maximum: number): Refusal {
  return new Refusal(
    "peer_busy",
    `${maximum} calls of this connection run already`,
    "wait for one of them to end",
    { maximum },
  );
}

function stopping(): Refusal {
  return new Refusal(
    "daemon_stopping",
    "the daemon is stopping and takes no new calls",
    "call again when it is up",
  );
}

function bind<T>(where: { readonly host: string; readonly port: number }, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code = "", message } = error as { code?: string; message: string };
    const place = addressText(where);
    if (code === "EADDRINUSE")
      throw new Refusal(
        "port_taken",
        `something else listens on ${place}`,
        "stop it, or choose another port with --peer-port",
        { place },
      );
    throw new Refusal(
      "address_unavailable",
      `this machine does not let psionic listen on ${place}: ${code || message}`,
      "choose another address with --peer-host or --peer-port",
      { place, code },
    );
  }
}
