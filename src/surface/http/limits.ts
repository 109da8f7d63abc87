/** Everything the HTTP door bounds. Times in milliseconds, sizes in bytes. */
export interface HttpLimits {
  /** A command's parameters, or a peer's envelope. */
  readonly bodyBytes: number;
  /** From the request's headers to the last byte of its body, however slowly it drips. */
  readonly bodyTimeMs: number;
  /** Names and values of all headers together. */
  readonly headerBytes: number;
  readonly headerCount: number;
  /** Path and query. */
  readonly addressBytes: number;
  /** What may wait for a client that does not read its stream; beyond it the client is dropped. */
  readonly streamBytes: number;
  /** How long what waits may stand still; a client that reads nothing for so long is dropped. */
  readonly readerTimeMs: number;
  /** A comment or empty line goes out after so much silence, so that nothing between cuts a stream. */
  readonly heartbeatMs: number;
  /** A streamed answer waits so long for its first event, so that an early refusal has its status. */
  readonly commitMs: number;
  /** How often the journal is asked for entries that other processes wrote. */
  readonly journalPollMs: number;
  /** Journal entries read at a time. */
  readonly journalBatch: number;
  /** Commands that run at the same time through this door, for each kind of caller. */
  readonly calls: number;
  /** The same for callers without a token, who may only ask for what costs little. */
  readonly strangerCalls: number;
  /** Clients that follow `/events` at the same time. */
  readonly eventStreams: number;
  /** Requests of any kind that are open at the same time, on the socket and over TCP each. */
  readonly requests: number;
  /**
   * Seconds after which Bun itself cuts a TCP connection between requests, or whose client does not read;
   * it looks every four seconds. Headers that do not arrive are cut after twelve seconds whatever is said
   * here. A call that waits for its whole answer is exempt.
   */
  readonly idleTimeSeconds: number;
  /** How long a stopping door waits for open requests. */
  readonly drainMs: number;
}

export const httpLimits: HttpLimits = {
  bodyBytes: 1_048_576,
  bodyTimeMs: 8_000,
  headerBytes: 12_288,
  headerCount: 64,
  addressBytes: 2_048,
  streamBytes: 1_048_576,
  readerTimeMs: 15_000,
  heartbeatMs: 5_000,
  commitMs: 250,
  journalPollMs: 250,
  journalBatch: 200,
  calls: 64,
  strangerCalls: 16,
  eventStreams: 32,
  requests: 256,
  idleTimeSeconds: 10,
  drainMs: 2_000,
};
