/** Everything the peers' door on the network bounds. Times in milliseconds, sizes in bytes. */
export interface PeerLimits {
  /** Connections of nodes that have said who they are. */
  readonly connections: number;
  /** Of those, what nodes nobody entered may take: strangers shut no known node out. */
  readonly strangerConnections: number;
  /** Connections of members of the mesh, which have places of their own. */
  readonly memberConnections: number;
  /** Of those, what one member may have; a new one ends its oldest. */
  readonly connectionsEach: number;
  /** Connections whose other end has not yet said who it is; a new one ends the oldest. */
  readonly unproven: number;
  /** How long the other end may take to say who it is. */
  readonly handshakeMs: number;
  /** A connection without a call for so long is ended. */
  readonly idleMs: number;
  /** Calls of one connection that run at the same time; further ones are refused as busy. */
  readonly callsAtOnce: number;
  /** Calls one connection may send at once, and each second after that. */
  readonly callBurst: number;
  readonly callsPerSecond: number;
  /** Replies that may wait for a caller that does not read; beyond it the connection is cut. */
  readonly queueBytes: number;
  /** Seconds after which a connection that is no WebSocket yet is cut. */
  readonly openSeconds: number;
  /** How long a stopping door waits for calls, and then for their last words. */
  readonly drainMs: number;
}

export const peerLimits: PeerLimits = {
  connections: 256,
  strangerConnections: 128,
  memberConnections: 512,
  connectionsEach: 8,
  unproven: 64,
  handshakeMs: 10_000,
  idleMs: 300_000,
  callsAtOnce: 16,
  callBurst: 256,
  callsPerSecond: 64,
  // Above what a link lets wait, so that a link drops messages and is not cut.
  queueBytes: 6 * 1024 * 1024,
  openSeconds: 10,
  drainMs: 2_000,
};

/** Why a connection was ended, as the WebSocket close code that says so. */
export const closeCodes = {
  stopping: 1001,
  unproven: 4001,
  idle: 4002,
  busy: 4008,
  /** A link that one of the two refused; the message before says why. */
  refused: 4010,
  /** A link that another connection of the same two nodes took the place of. */
  superseded: 4011,
  /** A link whose other end stops. */
  farewell: 4012,
} as const;

/** The path that becomes a WebSocket; the version of the exchange stands in its first document. */
export const peerPath = "/peer";
