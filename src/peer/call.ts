import type { Event } from "#src/command/define.ts";
import { digestBytes } from "#src/codec/digest.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Random } from "#src/port/random.ts";
import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { sealCall, type PeerTrust, type Signer } from "./envelope.ts";
import { askHello, readHello, type Hello } from "./hello.ts";
import { ReplyReader, type Reply } from "./reply.ts";
import { isObject, type JsonObject } from "./signed-document.ts";

/** Documents to another node and from it, in order. */
export interface PeerLine {
  send(document: Uint8Array): Promise<void>;
  /** The next document; null when the other end has closed. */
  receive(): Promise<Uint8Array | null>;
}

/** How long a node may take to say who it is: a person may type a passphrase meanwhile. */
export const helloPatienceMs = 120_000;

/** What the caller needs of its own node. */
export interface CallerParts {
  readonly identity: Signer;
  readonly rotations: readonly Receipt[];
  readonly random: Random;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly trust: Pick<PeerTrust, "find">;
}

/**
 * Learns who is at the other end of a line. With `expected`, any other node is refused with
 * `peer_unexpected`. Refusals: `peer_unreachable`, `hello_forged`.
 */
export async function meetPeer(
  line: PeerLine,
  parts: Pick<CallerParts, "random" | "clock" | "signal" | "trust">,
  expected?: string,
): Promise<Hello> {
  const { bytes, challenge } = askHello(parts.random);
  // A program that ended before it read may still have said why: that is the better refusal.
  await line.send(bytes).catch((error: unknown) => {
    if (!(error instanceof Refusal)) throw error;
  });
  const waiting = new AbortController();
  const signal = AbortSignal.any([parts.signal, waiting.signal]);
  const late = parts.clock.sleep(helloPatienceMs, signal).then(() => null);
  try {
    const answer = await Promise.race([line.receive(), late]);
    if (answer === null) throw unreachable();
    const hello = readHello(answer, challenge, parts.clock.wallMs(), parts.trust);
    if (expected === undefined || hello.sender === expected) return hello;
    throw new Refusal(
      "peer_unexpected",
      `${hello.sender} answered, not ${expected}`,
      "check the command line after --via, or the node id after --to",
      { expected, found: hello.sender },
    );
  } finally {
    waiting.abort(new Error("nobody waits any more"));
    late.catch(() => {});
  }
}

function unreachable(): Refusal {
  return new Refusal(
    "peer_unreachable",
    "no node answered at the other end",
    "run the command line after --via by itself and read what it says",
  );
}

/**
 * Calls a command of a node that was met, passes its events on and gives its result. Every reply must
 * be signed by that node and follow the one before; the grant goes along as it was presented.
 *
 * Refusals: the one the node gave; `peer_refused` for a code this version does not know, `peer_failed`
 * where the node met a bug; `reply_forged`, `reply_broken`, `message_too_large`.
 */
export async function callPeer(
  line: PeerLine,
  peer: Pick<Hello, "sender" | "key">,
  call: {
    readonly name: string;
    readonly parameters: JsonObject;
    readonly grant: JsonObject | null;
  },
  parts: CallerParts & { emit(event: Event): void },
): Promise<unknown> {
  const { identity, rotations, random, clock, signal, emit } = parts;
  const envelope = sealCall(identity, {
    ...call,
    ...{ rotations, random, recipient: peer.sender, nowMs: clock.wallMs() },
  });
  const callId = callIdOf(envelope);
  const replies = new ReplyReader(
    { nodeId: peer.sender, key: peer.key },
    { callId, sender: identity.nodeId, digest: digestBytes(envelope) },
  );
  await line.send(envelope);
  while (!replies.isComplete) {
    signal.throwIfAborted();
    const frame = await line.receive();
    if (frame === null) throw replies.truncated();
    const reply = replies.take(frame);
    if (reply.kind === "result") return reply.body;
    if (reply.kind === "event") emit(asEvent(reply.body));
    else throw failureOf(reply, peer.sender);
  }
  throw replies.truncated();
}

function callIdOf(envelope: Uint8Array): string {
  return (JSON.parse(new TextDecoder().decode(envelope)) as { callId: string }).callId;
}

function asEvent(body: unknown): Event {
  if (isObject(body) && typeof body["type"] === "string") return body as Event;
  return { type: "event", value: body };
}

/** The refusal a node gave, as this node would have given it. */
function failureOf(reply: Reply, nodeId: string): Refusal {
  const body = isObject(reply.body) ? reply.body : {};
  const text = (name: string) => (typeof body[name] === "string" ? body[name] : "");
  if (reply.kind === "bug")
    return new Refusal(
      "peer_failed",
      `${nodeId} met a bug while it ran the command`,
      "its owner finds the bug in that node's log",
      { nodeId },
    );
  const details = isObject(body["details"]) ? body["details"] : {};
  const code = text("code");
  if (Object.hasOwn(codes, code))
    return new Refusal(code as RefusalCode, text("message"), text("hint"), details);
  return new Refusal("peer_refused", text("message"), text("hint"), { code, nodeId, details });
}
