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
 * A stream with a bound: what a client has not read waits here. Where more than `maximumBytes` waits
 * when another piece comes, the client is dropped, so that nobody makes the node hold memory for him.
 * The heartbeat goes out after so much silence that nothing between cuts the connection; a client
 * that does not read gets none, and the server's own time limit ends it.
 */
export function openStream(
  maximumBytes: number,
  heartbeat: { readonly piece: string; readonly everyMs: number },
): StreamWriter {
  const gone = new AbortController();
  let controller: ReadableStreamDefaultController<Uint8Array>;
  let isOpen = true;
  let wake: (() => void) | null = null;
  let lastWriteMs = performance.now();
  const body = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given;
      },
      pull() {
        wake?.();
      },
      cancel: () => close(true),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 1 }),
  );
  const waitingBytes = () => Math.max(0, 1 - (controller.desiredSize ?? 1));
  const close = (isGone: boolean) => {
    if (!isOpen) return;
    isOpen = false;
    clearInterval(timer);
    if (isGone) gone.abort(clientGone);
    wake?.();
  };
  const write = (piece: string | Uint8Array) => {
    if (!isOpen) return;
    const bytes = typeof piece === "string" ? encoder.encode(piece) : piece;
    if (waitingBytes() > maximumBytes) {
      controller.error(clientGone);
      return close(true);
    }
    lastWriteMs = performance.now();
    controller.enqueue(bytes);
  };
  const timer = setInterval(() => {
    if (performance.now() - lastWriteMs >= heartbeat.everyMs && waitingBytes() === 0)
      write(heartbeat.piece);
  }, heartbeat.everyMs / 2);
  return {
    body,
    gone: gone.signal,
    write,
    waitingBytes,
    async drained() {
      while (isOpen && waitingBytes() > 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    },
    end() {
      if (!isOpen) return;
      close(false);
      controller.close();
    },
  };
}
