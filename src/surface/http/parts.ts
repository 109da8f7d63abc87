import type { Services } from "#src/command/define.ts";
import type { Isolate } from "#src/command/dispatch.ts";
import type { Registry } from "#src/command/registry.ts";
import type { RunningCalls } from "#src/command/running-calls.ts";
import type { HttpLimits } from "./limits.ts";

/** A file of the page, embedded in the executable. */
export interface Asset {
  /** Its media type, with the character set. */
  readonly type: string;
  readonly body: Uint8Array | string;
  /** A digest of the body, without quotation marks. */
  readonly etag: string;
}

/** One value of a metric, with the labels that tell it from the others. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric as the node gives it at a scrape; `name` carries its unit as the last word. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly kind: "gauge" | "counter";
  readonly samples: readonly MetricSample[];
}

/**
 * Answers one sealed call of a peer (src/surface/peer/door.ts): sends its frames as they are made and ends
 * when the answer is complete. The HTTP door writes each frame's length before it.
 */
export type AnswerPeer = (
  envelope: Uint8Array,
  send: (frame: Uint8Array) => void,
  signal: AbortSignal,
) => Promise<void>;

/** What the HTTP door is given when the node composes. */
export interface HttpParts {
  readonly registry: Registry;
  readonly services: Services;
  /** Where commands that compute run; without it, in this process. */
  readonly isolate?: Isolate;
  /** Version of the program. */
  readonly version: string;
  /** The operator's token (src/surface/http/operator-token.ts). */
  readonly token: string;
  /** The page's files by path: `/` is the page itself, the others `/name.ext`. */
  readonly assets: ReadonlyMap<string, Asset>;
  /**
   * Kept once the node has everything behind its doors; before that requests wait, for half of a node answers what is
   * not so. Without it, the door answers at once.
   */
  readonly opened?: Promise<void>;
  /** True once the daemon stops: new calls are refused with `daemon_stopping`. */
  draining(): boolean;
  /** Why the node cannot do its work now; empty when it can. */
  ready(): Promise<readonly string[]>;
  /** What the node knows of itself, read at each scrape of `/metrics`. */
  collectMetrics(): Promise<readonly MetricFamily[]>;
  /** Answers peers on the socket; without it, no envelopes are taken. */
  readonly answerPeer?: AnswerPeer;
  /** Asks the token of whoever scrapes `/metrics`; by default only off the loopback. */
  readonly metricsNeedToken?: boolean;
  /** The calls under way, for a daemon that lets them stop in order; without it the door keeps its own. */
  readonly runningCalls?: RunningCalls;
  /** Tighter limits, for tests. */
  readonly limits?: Partial<HttpLimits>;
}

/** How a request reached the door. */
export interface Arrival {
  /** Whoever reaches the socket owns the node by locality; TCP needs the token. */
  readonly via: "socket" | "tcp";
  /** Host headers that name this door, in lower case; on the socket any will do. */
  readonly hosts: ReadonlySet<string>;
  /**
   * The port of a door bound to every address of the machine: any address with it names the door. A name
   * does not, for a name can be made to point here.
   */
  readonly everyAddressPort?: number;
  /** True when only this machine reaches the door. */
  readonly isLoopback: boolean;
  /** Aborted when the listener begins to stop: what only watches ends. */
  readonly closing: AbortSignal;
  /** Aborted when the listener stops and its drain time is over: what still runs is stopped. */
  readonly stopping: AbortSignal;
  /** Lifts the server's own time limit from a request that now waits for its answer. */
  hold(request: Request): void;
}
