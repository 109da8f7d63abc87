import type { StandardPipe } from "#src/command/services.ts";
import type { Signer } from "#src/peer/envelope.ts";
import { frameOf, readFrames } from "#src/peer/framing.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { refuseStream } from "./door.ts";

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
  const { self, signal, answer } = parts;
  const send = (document: Uint8Array) => pipe.write(frameOf(document));
  const frames = readFrames(pipe.input);
  let answered = 0;
  try {
    for (;;) {
      const next = await orAborted(frames.next(), signal);
      if (next === null || next.done === true) return answered;
      await answer(next.value, send);
      answered++;
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refuseStream(error, self, send);
    throw error;
  }
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
