import { digestBytes } from "#src/codec/digest.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import type { PeerLine } from "#src/peer/call.ts";
import { Inbox } from "#src/peer/inbox.ts";
import { isObject, type JsonObject } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { closeCodes, peerPath } from "./limits.ts";
import { type SeenCertificate, stepPatienceMs } from "./reach.ts";
import type { Proven, Wire, WireReceiver } from "./wire.ts";

/** A ping goes out so often; an end that answers none for three of them is gone. */
const pingMs = 10_000;
const pingsMissedMaximum = 3;
/** How long a connection that is finished may take to send what waits. */
const finishMs = 1_000;

/**
 * A connection to another node's door. Only the certificate that was seen before is accepted. Several
 * calls share it, each on a line of its own.
 */
export class PeerConnection {
  /** What is no reply to a call: the hellos. */
  readonly greetings = new Inbox();
  /** Lines by the id of their call, and by the digest of what they sent. */
  readonly #lines = new Map<string, Inbox>();
  /** Takes everything that comes, once the connection is a link. */
  #receiver: WireReceiver | null = null;
  #hasEnded = false;
  #timer: ReturnType<typeof setInterval> | null = null;
  #unanswered = 0;

  private constructor(private readonly socket: WebSocket & { ping(): void }) {
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }: MessageEvent) => {
      this.#unanswered = 0;
      if (data instanceof ArrayBuffer) this.#route(new Uint8Array(data));
    });
    socket.addEventListener("pong", () => (this.#unanswered = 0));
    socket.addEventListener("close", ({ code }: CloseEvent) => this.#end(code));
    this.#timer = setInterval(() => {
      if (++this.#unanswered > pingsMissedMaximum) return this.close();
      if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, pingMs);
  }

  /** Refused with `peer_not_psionic` where no WebSocket opens, `certificate_changed` where another certificate shows. */
  static async open(place: PeerAddress, seen: SeenCertificate): Promise<PeerConnection> {
    const url = `wss://${addressText({ host: seen.address, port: place.port })}${peerPath}`;
    const tls = { ca: seen.pem, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    const socket = new WebSocket(url, { tls }) as WebSocket & {
      ping(): void;
    };
    const connection = new PeerConnection(socket);
    const { promise, resolve, reject } = Promise.withResolvers<PeerConnection>();
    const late = setTimeout(() => reject(notPsionic(place)), stepPatienceMs);
    socket.addEventListener("open", () => resolve(connection));
    socket.addEventListener("error", (event) => {
      const { message } = event;
      reject(/certificate|TLS/i.test(message) ? certificateMoved(place) : notPsionic(place));
    });
    socket.addEventListener("close", () => reject(notPsionic(place)));
    try {
      return await promise;
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  send(document: Uint8Array): void {
    if (this.socket.readyState === WebSocket.OPEN) return this.socket.send(document);
    throw new Refusal(
      "peer_unreachable",
      "the connection to the other node has ended",
      "call again",
    );
  }

  /** As `send`, but what a connection that has ended is given is lost. */
  trySend(document: Uint8Array): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(document);
  }

  /** Bytes that wait to be sent. */
  get waitingBytes(): number {
    return this.socket.bufferedAmount;
  }

  /** Gives everything that comes from now on to a receiver: the connection is a link. */
  handOver(receiver: WireReceiver): void {
    this.#receiver = receiver;
    if (this.#hasEnded) receiver.ended();
  }

  /** Closes after what waits has been sent, or a second later. */
  finish(code: number, reason: string): void {
    this.socket.close(code, reason);
    const late = setTimeout(() => this.close(), finishMs);
    this.socket.addEventListener("close", () => clearTimeout(late));
  }

  /** A line for one call; its replies are told from those of others by the call they answer. */
  openLine(): PeerLine {
    const inbox = new Inbox();
    return {
      send: async (document) => {
        const callId = (JSON.parse(new TextDecoder().decode(document)) as JsonObject)["callId"];
        if (typeof callId === "string") this.#lines.set(callId, inbox);
        this.#lines.set(digestBytes(document), inbox);
        this.send(document);
      },
      receive: () => inbox.next(),
    };
  }

  close(): void {
    this.socket.close();
    this.socket.terminate();
    this.#end(1000);
  }

  #route(document: Uint8Array): void {
    if (this.#receiver !== null) return this.#receiver.take(document);
    const { callId, previous } = headOf(document);
    const line = this.#lines.get(callId) ?? this.#lines.get(previous);
    (line ?? this.greetings).push(document);
  }

  #end(code: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#receiver?.ended();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    const failure = code === closeCodes.busy ? tooMany() : null;
    for (const inbox of [this.greetings, ...this.#lines.values()]) inbox.end(failure);
    this.#lines.clear();
  }
}

/** A connection that this node dialled, as a wire. */
export function wireOfConnection(
  connection: PeerConnection,
  { node, key, earlierKeys }: Proven,
  place: string,
): Wire {
  return {
    earlierKeys,
    ...{ node, key, place, path: "direct", relay: null, session: null, isDialled: true },
    get waitingBytes() {
      return connection.waitingBytes;
    },
    send: (document) => connection.trySend(document),
    close: (code, reason) => connection.finish(code, reason),
    drop: () => connection.close(),
  };
}

/** Whom a document is for; whether it is true is for its reader to find out. */
function headOf(document: Uint8Array): { readonly callId: string; readonly previous: string } {
  let value: unknown = null;
  try {
    value = JSON.parse(new TextDecoder().decode(document));
  } catch {
    // Nobody's.
  }
  const { callId, previous } = isObject(value) ? value : {};
  return { callId: String(callId), previous: String(previous) };
}

function notPsionic(place: PeerAddress): Refusal {
  return new Refusal(
    "peer_not_psionic",
    `what listens on ${addressText(place)} speaks TLS and is no node`,
    "`psionic status` on that machine shows the address for peers",
    { ...place },
  );
}

function certificateMoved(place: PeerAddress): Refusal {
  return new Refusal(
    "certificate_changed",
    `${addressText(place)} showed another certificate the second time`,
    "find out what stands in between; several machines may share that address",
    { ...place },
  );
}

function tooMany(): Refusal {
  return new Refusal(
    "peer_busy",
    "the other node has too many connections or calls of this one",
    "try again in a minute",
  );
}
