import * as v from "valibot";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Signer } from "./envelope.ts";
import { callIdShape, digestShape, keyShape, nodeIdShape, signatureShape } from "./shapes.ts";
import { isSigned, plainJson, readCanonical, signDocument } from "./signed-document.ts";

const replySchema = v.strictObject({
  type: v.literal("psionic-reply"),
  version: v.literal(1),
  /** Null where the call could not be attributed to anyone. */
  callId: v.nullable(callIdShape),
  /** Node id of who answers. */
  sender: nodeIdShape,
  key: keyShape,
  /** Who called; null where the call could not be attributed. */
  recipient: v.nullable(nodeIdShape),
  /** Place among the replies to this call, from 0. */
  index: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  last: v.boolean(),
  kind: v.picklist(["event", "result", "refusal", "bug"]),
  body: v.unknown(),
  /** SHA-256 of the reply before as it travelled; of the call before the first. */
  previous: digestShape,
  signature: signatureShape,
});

/** One frame of an answer, as it travels (docs/FORMATS.md, Calls between nodes). */
export type Reply = v.InferOutput<typeof replySchema>;

/** The call that replies are bound to. */
export interface AnsweredCall {
  readonly callId: string | null;
  /** Node id of who called. */
  readonly sender: string | null;
  /** SHA-256 of the bytes of the call. */
  readonly digest: Digest;
}

/** Signs the replies to one call, each naming the one before, and sends them. */
export class ReplyWriter {
  #index = 0;
  #previous: Digest;

  constructor(
    private readonly self: Signer,
    private readonly call: AnsweredCall,
    private readonly send: (frame: Uint8Array) => void,
  ) {
    this.#previous = call.digest;
  }

  /** Sends a reply; refused with `message_too_large`, and nothing is sent, where it does not fit. */
  write(kind: Reply["kind"], body: unknown): void {
    const frame = signDocument(
      {
        ...{ type: "psionic-reply", version: 1, kind, last: kind !== "event" },
        callId: this.call.callId,
        sender: this.self.nodeId,
        key: this.self.key.publicKey,
        recipient: this.call.sender,
        index: this.#index,
        body: plainJson(body),
        previous: this.#previous,
      },
      this.self.key,
    );
    this.#index++;
    this.#previous = digestBytes(frame);
    this.send(frame);
  }
}

/** Longest message and hint, and details in JSON, that a refusal takes to another node. */
const messageMaximum = 4_000;
const detailsMaximum = 65_536;

/** Writes a refusal so that it fits a reply: it may quote all of a call's parameters. */
export function writeRefusal(replies: ReplyWriter, refusal: Refusal): void {
  const { code, retryable } = refusal;
  const isLong = JSON.stringify(refusal.details).length > detailsMaximum;
  replies.write("refusal", {
    ...{ code, retryable },
    message: refusal.message.slice(0, messageMaximum).toWellFormed(),
    hint: refusal.hint.slice(0, messageMaximum).toWellFormed(),
    details: isLong ? {} : refusal.details,
  });
}

/** Checks the replies to one call as they come: nothing is changed, lost, moved or added. */
export class ReplyReader {
  #index = 0;
  #previous: Digest;
  #isComplete = false;

  constructor(
    /** The node that was called, by the key it proved to have. */
    private readonly peer: { readonly nodeId: string; readonly key: string },
    private readonly call: AnsweredCall,
  ) {
    this.#previous = call.digest;
  }

  /** True after the last reply. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * The next reply. Refused with `reply_forged` where the node that was called did not sign it, with
   * `reply_broken` where it is not the next reply to this call.
   */
  take(frame: Uint8Array): Reply {
    const document = readReply(frame);
    const parsed = v.safeParse(replySchema, document);
    if (!parsed.success) throw this.#forged("its members are wrong");
    const reply = parsed.output;
    if (reply.key !== this.peer.key || reply.sender !== this.peer.nodeId)
      throw this.#forged("another key signed it");
    if (!isSigned(document)) throw this.#forged("its signature is wrong");
    this.#expectNext(reply);
    this.#index++;
    this.#previous = digestBytes(frame);
    this.#isComplete = reply.last;
    return reply;
  }

  /** The refusal of an answer that ended early. */
  truncated(): Refusal {
    return broken(`it ended after ${this.#index} replies, before the last`, this.call);
  }

  #expectNext(reply: Reply): void {
    if (this.#isComplete) throw broken("a reply came after the last", this.call);
    // A call nobody could read is refused without its id; the digest still says which one it was.
    const isUnattributed = reply.callId === null && reply.recipient === null;
    const isOurs = reply.callId === this.call.callId && reply.recipient === this.call.sender;
    if (!isOurs && !(isUnattributed && reply.kind === "refusal" && reply.index === 0))
      throw broken("it answers another call", this.call);
    if (reply.index !== this.#index || reply.previous !== this.#previous)
      throw broken(`reply ${this.#index} is missing, moved or answers another call`, this.call);
    if (reply.last !== (reply.kind !== "event"))
      throw broken("it says wrongly whether it is the last", this.call);
  }

  #forged(why: string): Refusal {
    return new Refusal(
      "reply_forged",
      `a reply is not what ${this.peer.nodeId} signed: ${why}`,
      "call again over a line that changes nothing; the command may have run",
      { nodeId: this.peer.nodeId, callId: this.call.callId, index: this.#index },
    );
  }
}

/** A frame that is no canonical document at all is one that somebody changed. */
function readReply(frame: Uint8Array) {
  try {
    return readCanonical(frame);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal("reply_forged", `a reply cannot be read: ${error.message}`, error.hint);
  }
}

function broken(why: string, { callId }: AnsweredCall): Refusal {
  return new Refusal(
    "reply_broken",
    `the answer to the call ${callId ?? ""} is not whole: ${why}`,
    "call again; the command may have run, so look at the peer first",
    { callId },
  );
}
