import { backOffPolicy, type BackOffPolicy } from "#src/peer/health.ts";
import type { Rate } from "#src/peer/allowance.ts";

/** Every time, size and number that bounds a link. */
export interface LinkTuning {
  /** Each end pings so often; the other answers at once. */
  readonly pingMs: number;
  /** A ping that waits longer for its answer counts as lost. */
  readonly pingPatienceMs: number;
  /** Who got messages and has nothing to say for so long sends a ping, so that the sender hears it lives. */
  readonly acknowledgeMs: number;
  /** A connection on which something was sent and nothing came back for so long is dropped. */
  readonly silentMs: number;
  /** A link from which nothing came for so long is degraded. */
  readonly staleMs: number;
  /** How long two ends may take to meet, once connected. */
  readonly meetMs: number;
  /** How long one address may take, from its name to the proof who is there. */
  readonly dialMs: number;
  /** The end with the greater id waits so much longer before it dials. */
  readonly graceMs: number;
  /** Of two connections the lesser one is closed so long after the better one stands. */
  readonly lingerMs: number;
  /** How often links are looked over. */
  readonly lookMs: number;
  /** A process that was heard within this time is alive, where another one says it is the same node. */
  readonly instanceMs: number;
  /** How long the view shows that another process came as a node that is linked. */
  readonly copyShownMs: number;
  /** Bytes that may wait on a link; messages beyond it are dropped. */
  readonly queueBytes: number;
  /** A message of more bytes goes in parts, so that on a slow line others pass between them. */
  readonly wholeBytes: number;
  /** Parts go out while fewer bytes than this wait. */
  readonly pacedBytes: number;
  /** Members that are dialled at the same time. */
  readonly dialMaximum: number;
  /** What one connection may send here; messages beyond it are dropped. */
  readonly messageRate: Rate;
  readonly byteRate: Rate;
  /** Padding of the first bandwidth probe, and of the next where that one shows a line for more. */
  readonly probeBytes: readonly [number, number];
  /** A line of at least so many bytes a second is probed with the larger one. */
  readonly probeLineBytes: number;
  /** A link is probed so long after it came up, and so long after the last time at the earliest. */
  readonly probeDelayMs: number;
  readonly probeMs: number;
  readonly backOff: BackOffPolicy;
}

/**
 * What an idle link costs, both directions together: 4 signed messages of some 465 bytes in 5 seconds, 372
 * bytes a second and 400 with TLS around them; a probe from each end in half an hour, 300 bytes a second;
 * some 100 of TCP and IP. The log's heartbeats come on top.
 */
export const linkTuning: LinkTuning = {
  pingMs: 5_000,
  pingPatienceMs: 2_000,
  acknowledgeMs: 750,
  silentMs: 3_000,
  staleMs: 15_000,
  meetMs: 5_000,
  dialMs: 10_000,
  graceMs: 500,
  lingerMs: 2_000,
  lookMs: 400,
  instanceMs: 30_000,
  copyShownMs: 60_000,
  queueBytes: 4 * 1024 * 1024,
  wholeBytes: 128 * 1024,
  pacedBytes: 1024 * 1024,
  dialMaximum: 16,
  messageRate: { perSecond: 4_096, burst: 8_192 },
  byteRate: { perSecond: 64 * 1024 * 1024, burst: 128 * 1024 * 1024 },
  probeBytes: [16 * 1024, 256 * 1024],
  probeLineBytes: 1024 * 1024,
  probeDelayMs: 2_000,
  probeMs: 1_800_000,
  backOff: backOffPolicy,
};
