import * as v from "valibot";
import { codes } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { LinkReason } from "./health.ts";
import { callIdShape } from "./shapes.ts";
import { malformed, type JsonObject } from "./signed-document.ts";

/**
 * The first messages of a link: each end says which start of which process it is, and takes the other's
 * word or refuses with a reason. Of one node only one process may speak.
 */

/** Version of what is said over links. */
export const linkVersion = 1;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const meetSchema = v.strictObject({
  version: count,
  /** Which start of the node this is. */
  epoch: count,
  /** Drawn by the process when it started: tells a copy of a home from the home. */
  instance: callIdShape,
  /** The sender takes messages of the other end whose counter is higher than this. */
  ceiling: count,
});
export type Meet = v.InferOutput<typeof meetSchema>;

const refuseSchema = v.strictObject({
  code: v.pipe(v.string(), v.regex(/^[a-z_]{1,60}$/)),
  message: v.pipe(v.string(), v.maxLength(2_000)),
  hint: v.pipe(v.string(), v.maxLength(2_000)),
});

/** Reads who meets. Refusals: `peer_version`, `envelope_malformed`. */
export function readMeet(body: JsonObject): Meet {
  if (body["version"] !== linkVersion) {
    const theirs = String(body["version"]).slice(0, 20);
    throw new Refusal(
      "peer_version",
      `the other node speaks version ${theirs} of what is said over links, this program ${linkVersion}`,
      "bring both machines to the same version of psionic",
      { theirs, ours: linkVersion },
    );
  }
  const parsed = v.safeParse(meetSchema, body);
  if (!parsed.success) throw malformed(parsed.issues[0].message);
  return parsed.output;
}

/** Reads why the other end refused. A code this version does not know becomes `peer_refused`. */
export function readRefuse(body: JsonObject): LinkReason {
  const parsed = v.safeParse(refuseSchema, body);
  if (!parsed.success) throw malformed(parsed.issues[0].message);
  const { code } = parsed.output;
  // It is shown in lists, where a line end would begin a line of the sender's own.
  const [message, hint] = [parsed.output.message, parsed.output.hint].map((text) =>
    text.replace(/\p{Cc}+/gu, " "),
  ) as [string, string];
  return { code: Object.hasOwn(codes, code) ? code : "peer_refused", message, hint };
}

/** What the other end is told of a refusal. */
export function refuseBody({ code, message, hint }: LinkReason): JsonObject {
  return { code, message: message.slice(0, 2_000), hint: hint.slice(0, 2_000) };
}

/** What is known of a node before it meets. */
export interface KnownStart {
  readonly node: string;
  /** The highest epoch that was seen of it. */
  readonly epoch: number;
  /** The process of it that was heard of late; null where none was. */
  readonly live: NodeProcess | null;
  /** The process whose place that one took, by a higher epoch; null where there was none. */
  readonly previous?: NodeProcess | null;
}

/** One start of a node. */
export interface NodeProcess {
  readonly epoch: number;
  readonly instance: string;
}

/**
 * Refuses who may not speak for a node: an earlier start than one that was seen (`epoch_stale`), or one of
 * two processes that live at the same time (`home_copied`). Those are another one of the same start, and one
 * that comes back after a later start took its place: a process that had ended would not have.
 */
export function judgeMeet({ epoch, instance }: Meet, known: KnownStart): void {
  const { node, live, previous = null } = known;
  if (epoch < known.epoch && live !== null && previous?.instance === instance)
    throw copied(node, [previous, live], live);
  if (epoch < known.epoch)
    throw new Refusal(
      "epoch_stale",
      `${node} came in epoch ${epoch}, and was seen in epoch ${known.epoch}${live === null ? "" : ` as the process ${shortOf(live.instance)}; this one is ${shortOf(instance)}`}`,
      "end the older process; a home that was restored from an old copy catches up by starting again",
      { node, epoch, seenEpoch: known.epoch, instance, live: live?.instance ?? null },
    );
  if (live === null || live.epoch !== epoch || live.instance === instance) return;
  throw copied(node, [live, { epoch, instance }], live);
}

/** The refusal of one of two processes, the earlier one named first; `live` is the one that is let speak. */
function copied(
  node: string,
  [earlier, later]: readonly [NodeProcess, NodeProcess],
  live: NodeProcess,
): Refusal {
  const nameOf = ({ epoch, instance }: NodeProcess) => `${shortOf(instance)} of epoch ${epoch}`;
  return new Refusal(
    "home_copied",
    `two processes speak as ${node}: ${nameOf(earlier)} was there first, ${nameOf(later)} came later; ${shortOf(live.instance)} is let speak`,
    "its home was copied: give the copy a home of its own (`psionic init --home …`, then join), or end it",
    { node, earlier: { ...earlier }, later: { ...later }, live: live.instance },
  );
}

/** As much of a process's number as tells it from another. */
const shortOf = (instance: string) => instance.slice(0, 8);
