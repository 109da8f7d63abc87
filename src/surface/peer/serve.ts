import { digestBytes } from "#src/codec/digest.ts";
import type { StandardPipe } from "#src/command/services.ts";
import type { Signer } from "#src/peer/envelope.ts";
import { frameOf, readFrames } from "#src/peer/framing.ts";
import { ReplyWriter, writeRefusal } from "#src/peer/reply.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Answers one document with documents; resolves when the answer is complete. */
export type Answer = (document: Uint8Array, send: (reply: Uint8Array) => void) => Promise<void>;

/**
 * Answers the documents on a pipe, one after the other, until the end of input or until the signal
 * aborts. What cannot be cut into frames is answered with one refusal and ends it, since nobody
 * knows where the next frame would begin. Gives the number of documents answered.
 */
export async function servePipe(
  pipe: StandardPipe,
  parts: { readonly self: Signer; readonly signal: AbortSignal; readonly answer: Answer },
): Promise<number> {
  const { self, signal } = parts;
  const frames = readFrames(pipe.input);
  let answered = 0;
  for (;;) {
    const next = await orAborted(nextFrame(frames), signal);
    if (next === null) return answered;
    if (next instanceof Refusal) {
      refuse(pipe, self, new Uint8Array(), next);
      throw next;
    }
    await answerOne(pipe, parts, next);
    answered++;
  }
}

/** The next document, null at the end, or why the stream cannot be read. */
async function nextFrame(frames: AsyncGenerator<Uint8Array>): Promise<Uint8Array | Refusal | null> {
  try {
    const next = await frames.next();
    return next.done === true ? null : next.value;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** What refuses before the first reply (a daemon that stops) is told to the caller in its place. */
async function answerOne(
  pipe: StandardPipe,
  { self, answer }: { readonly self: Signer; readonly answer: Answer },
  document: Uint8Array,
): Promise<void> {
  let isBegun = false;
  try {
    await answer(document, (reply) => {
      isBegun = true;
      pipe.write(frameOf(reply));
    });
  } catch (error) {
    if (isBegun || !(error instanceof Refusal)) throw error;
    refuse(pipe, self, document, error);
  }
}

/** Refuses a document that was not opened; the digest tells its sender which one it was. */
function refuse(pipe: StandardPipe, self: Signer, document: Uint8Array, refusal: Refusal): void {
  const unopened = { callId: null, sender: null, digest: digestBytes(document) };
  const replies = new ReplyWriter(self, unopened, (reply) => pipe.write(frameOf(reply)));
  writeRefusal(replies, refusal);
}

/** What comes first: the value, or null when the signal aborts. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null;
  const { promise, resolve } = Promise.withResolvers<null>();
  const stop = () => resolve(null);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
