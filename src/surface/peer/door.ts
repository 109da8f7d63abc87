import type { Event, Services } from "#src/command/define.ts";
import { dispatch, type Isolate } from "#src/command/dispatch.ts";
import type { Registry } from "#src/command/registry.ts";
import type { Interaction } from "#src/command/services.ts";
import { digestBytes } from "#src/codec/digest.ts";
import { admitCall, readCall } from "#src/peer/envelope.ts";
import { answerHello, isHelloQuestion } from "#src/peer/hello.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import { ReplyWriter, writeRefusal } from "#src/peer/reply.ts";
import { plainJson, readCanonical } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { asMember } from "./member-caller.ts";

/** What the peer door is given when the node composes. */
export interface PeerDoorParts {
  readonly registry: Registry;
  readonly services: Services;
  /** Where commands that compute run; without it, in this process. */
  readonly isolate?: Isolate;
  /** Aborted when the caller goes away or the node stops. */
  readonly signal: AbortSignal;
  /** Told of a bug, which the caller only learns to have happened. */
  onBug?(error: unknown): void;
}

/**
 * Answers one document of another node: a question who is there, or a call. A call is opened, judged
 * by the gate under the key that signed it, run, and every event and its end sent as signed frames.
 * Whatever arrives, the answer is a frame; a bug is told as such, without a word about the inside.
 *
 * Refused, without a frame, only where this node has no key to sign with (`identity_absent`).
 */
export async function answerPeer(
  bytes: Uint8Array,
  parts: PeerDoorParts,
  send: (frame: Uint8Array) => void,
): Promise<void> {
  // The gate writes receipts without waiting, so the log is opened before anybody is judged.
  const log = await parts.services.receipts.open();
  const { author } = log;
  let replies = new ReplyWriter(author, unattributed(bytes), send);
  try {
    const document = readCanonical(bytes);
    if (isHelloQuestion(document)) return send(answerHello(document, author, ownFacts(log)));
    const call = readCall(bytes, author);
    const { callId, sender } = call.envelope;
    replies = new ReplyWriter(author, { callId, sender, digest: call.digest }, send);
    const { store, trust, clock } = parts.services;
    const opened = admitCall(call, { store, trust, nowMs: clock.wallMs() });
    const { name, parameters } = opened;
    const caller = asMember(opened.caller, parts.services);
    const emit = (event: Event) => replies.write("event", event);
    const services = withoutPerson(parts.services);
    replies.write("result", await dispatch({ ...parts, services, caller, emit }, name, parameters));
  } catch (error) {
    const refusal = asRefusal(error, parts.signal);
    if (refusal !== null)
      return writeRefusal(replies, withoutPlaces(refusal, parts.services.home.root));
    parts.onBug?.(error);
    replies.write("bug", { message: "a bug; the owner of the node is told what it was" });
  }
}

/** A peer's command can ask nobody here, nor read what this process reads. */
function withoutPerson(services: Services): Services {
  const interaction: Interaction = {
    canAsk: false,
    verbose: false,
    readLine: async () => null,
    async askSecret(question) {
      throw new Refusal("input_needed", `an answer is needed: ${question}`, "ask its owner");
    },
  };
  // Services open when they are first asked for, so they are inherited rather than copied.
  return Object.create(services, {
    interaction: { value: interaction, enumerable: true },
  }) as Services;
}

/** What a refusal tells the owner of files is not for others: paths of the home begin with its name only. */
function withoutPlaces(refusal: Refusal, home: string): Refusal {
  const bare = (text: string) => text.replaceAll(home, "HOME");
  const { code, message, hint, details } = refusal;
  const facts = JSON.stringify(plainJson(details));
  const told = facts.replaceAll(JSON.stringify(home).slice(1, -1), "HOME");
  return new Refusal(
    ...([code, bare(message), bare(hint)] as const),
    JSON.parse(told) as Record<string, unknown>,
  );
}

const unattributed = (bytes: Uint8Array) => ({
  callId: null,
  sender: null,
  digest: digestBytes(bytes),
});

/** What a caller is told; null for a bug. */
function asRefusal(error: unknown, signal: AbortSignal): Refusal | null {
  if (error instanceof Refusal) return error;
  if (signal.aborted && error === signal.reason)
    return new Refusal("interrupted", "the node stopped the command", "call again");
  return null;
}
