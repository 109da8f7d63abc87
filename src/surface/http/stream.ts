import type { HttpLimits } from "./limits.ts";

/** Why a streamed answer ended early: its client is gone, or does not read it. */
export const clientGone = new Error("the client of a stream is gone");

/** A body that is written piece by piece, for a client that may be slow or leave. */
export interface StreamWriter {
  readonly body: ReadableStream<Uint8Array>;
  /** Aborted when the client is gone or was dropped. */
  readonly gone: AbortSignal;
  /** Queues a piece; drops the client where more than the bound waits for it. */
  write(piece: string | Uint8Array): void;
  /** What waits for the client, in bytes. */
  waitingBytes(): number;
  /** Resolves when the client has taken what waited, or is gone. */
  drained(): Promise<void>;
  end(): void;
}

const encoder = new TextEncoder();

/**
 * A stream with bounds: what a client has not read waits here. Where more than `streamBytes` waits when
 * another piece comes, or what waits has not moved for `readerTimeMs`, the client is dropped, so that
 * nobody makes the node hold memory for him. The heartbeat goes out after so much silence that nothing
 * between cuts the connection.
 */
export function openStream(
  limits: Pick<HttpLimits, "streamBytes" | "readerTimeMs" | "heartbeatMs">,
  heartbeat: string,
): StreamWriter {
  const gone = new AbortController();
  const state = { isOpen: true, lastWriteMs: performance.now(), lastReadMs: performance.now() };
  let controller: ReadableStreamDefaultController<Uint8Array>;
  let wake: (() => void) | null = null;
  const waitingBytes = () => Math.max(0, 1 - (controller.desiredSize ?? 1));
  const close = () => {
    state.isOpen = false;
    clearInterval(timer);
    wake?.();
  };
  const drop = () => {
    if (!state.isOpen) return;
    controller.error(clientGone);
    close();
    gone.abort(clientGone);
  };
  const write = (piece: string | Uint8Array) => {
    if (!state.isOpen || piece.length === 0) return;
    if (waitingBytes() > limits.streamBytes) return drop();
    // What waits is measured from when there began to be something.
    state.lastWriteMs = performance.now();
    if (waitingBytes() === 0) state.lastReadMs = state.lastWriteMs;
    controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given;
      },
      pull() {
        state.lastReadMs = performance.now();
        wake?.();
      },
      cancel() {
        if (!state.isOpen) return;
        close();
        gone.abort(clientGone);
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 1 }),
  );
  const timer = setInterval(
    () => {
      const nowMs = performance.now();
      if (waitingBytes() === 0) {
        if (nowMs - state.lastWriteMs >= limits.heartbeatMs) write(heartbeat);
      } else if (nowMs - state.lastReadMs >= limits.readerTimeMs) drop();
    },
    Math.min(limits.heartbeatMs, limits.readerTimeMs) / 2,
  );
  return {
    body,
    gone: gone.signal,
    write,
    waitingBytes,
    async drained() {
      while (state.isOpen && waitingBytes() > 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    },
    end() {
      if (!state.isOpen) return;
      close();
      controller.close();
    },
  };
}
