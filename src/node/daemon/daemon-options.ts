import * as v from "valibot";
import { claimsPolicies } from "#src/peer/link.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { drainParameter } from "./duration.ts";
import { logLevels } from "./log-record.ts";
import { isLoopback } from "./page-link.ts";

/** Where the door for other nodes is tried first, by a node that never had one. */
export const defaultPeerPort = 7420;

const port = (description: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535), v.description(description));
const address = (description: string) =>
  v.pipe(v.string(), v.nonEmpty(), v.maxLength(100), v.description(description));

/** How a daemon is started, by `up` and by `join`. */
export const daemonOptions = {
  host: v.optional(address("address of the page and the commands"), "127.0.0.1"),
  port: v.optional(port("port of the page and the commands; 0 for any free one"), 7421),
  peerHost: v.optional(
    address(
      "address at which other machines reach this node; 0.0.0.0 for all of this machine's; the last one or 127.0.0.1 if unsaid",
    ),
  ),
  peerPort: v.optional(
    port(
      "port for other nodes, encrypted; 0 for any free one; the last one, 7420 or a free one if unsaid",
    ),
  ),
  peers: v.optional(
    v.pipe(v.boolean(), v.description("answer other nodes; --no-peers opens no door for them")),
    true,
  ),
  discover: v.optional(
    v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(64),
      v.description("ask on this network interface who of the mesh is near, such as eth0"),
    ),
  ),
  claims: v.optional(
    v.pipe(
      v.picklist(claimsPolicies),
      v.description("what other members must say of the process they run before they are linked"),
    ),
    "best_effort",
  ),
  detach: v.optional(
    v.pipe(v.boolean(), v.description("return when the daemon answers, and leave it running")),
    false,
  ),
  drain: drainParameter,
  allowRemote: v.optional(
    v.pipe(v.boolean(), v.description("let --host be an address that other machines reach")),
    false,
  ),
  logLevel: v.optional(
    v.pipe(v.picklist(logLevels), v.description("the least level that is logged")),
    "info",
  ),
} as const;

const optionsSchema = v.strictObject(daemonOptions);
export type DaemonRequest = v.InferOutput<typeof optionsSchema>;

/** The same request as words, for the process that does it. */
export function wordsOf(request: DaemonRequest): string[] {
  const { host, port: pagePort, drain, allowRemote, logLevel } = request;
  const { peerHost, peerPort, peers, discover, claims } = request;
  return [
    ...["--host", host, "--port", String(pagePort), "--drain", drain, "--log-level", logLevel],
    ...["--claims", claims],
    ...(peerHost === undefined ? [] : ["--peer-host", peerHost]),
    ...(peerPort === undefined ? [] : ["--peer-port", String(peerPort)]),
    ...(peers ? [] : ["--no-peers"]),
    ...(discover === undefined ? [] : ["--discover", discover]),
    ...(allowRemote ? ["--allow-remote"] : []),
  ];
}

/**
 * Refuses to serve the page to other machines unless that was said, with `host_not_loopback`. The door for
 * nodes needs no such word: it is encrypted, and who names its address means it.
 */
export function checkHost({ host, allowRemote }: DaemonRequest): void {
  if (allowRemote || isLoopback(host)) return;
  throw new Refusal(
    "host_not_loopback",
    `${host} is no loopback address: other machines may reach it, whoever has the token then owns this node, and the token would travel unencrypted`,
    "keep 127.0.0.1 and reach it through `ssh -L 7421:127.0.0.1:7421 THIS-MACHINE`, or add --allow-remote on a network you trust",
    { host },
  );
}
