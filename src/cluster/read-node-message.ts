import * as v from "valibot";
import { bodyMaximum } from "#src/log/fold.ts";
import { requestMaximum } from "#src/log/replica.ts";
import { resultMaximum } from "#src/log/sessions.ts";
import { memberMaximum, nameMaximum, textMaximum } from "./bounds.ts";
import { requestSchema } from "./event.ts";
import type { NodeMessage } from "./node-message.ts";

/** The shapes of what members say to each other; the envelope says who said it. */

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A round that counts for nothing is -1. */
const round = v.pipe(v.number(), v.safeInteger(), v.minValue(-1));
const id = v.pipe(v.string(), v.maxLength(nameMaximum));
const ids = v.pipe(v.array(id), v.maxLength(memberMaximum));
const membership = v.strictObject({ voters: ids, learners: ids });
/** Entries in one message. */
const entryMaximum = requestMaximum;
/** A payload is a command's body as JSON text, which escapes, and the session around it. */
const payload = v.pipe(v.string(), v.maxLength(2 * bodyMaximum + 256));

const place = { index: count, term: count };
const entry = v.variant("kind", [
  v.strictObject({ ...place, kind: v.literal("event"), payload }),
  v.strictObject({ ...place, kind: v.literal("membership"), membership }),
  v.strictObject({ ...place, kind: v.literal("empty") }),
]);
const head = { from: id, to: id, term: count };
const last = { lastIndex: count, lastTerm: count };
const granted = v.boolean();
const logMessage = v.variant("kind", [
  v.strictObject({ ...head, kind: v.literal("pre-vote"), ...last }),
  v.strictObject({ ...head, kind: v.literal("pre-vote-reply"), granted }),
  v.strictObject({ ...head, kind: v.literal("vote"), ...last, transfer: v.boolean() }),
  v.strictObject({ ...head, kind: v.literal("vote-reply"), granted }),
  v.strictObject({
    ...{ ...head, kind: v.literal("append"), previousIndex: count, previousTerm: count },
    entries: v.pipe(v.array(entry), v.maxLength(entryMaximum)),
    ...{ commitIndex: count, round },
  }),
  v.strictObject({
    ...{ ...head, kind: v.literal("append-reply"), accepted: v.boolean() },
    ...{ index: count, indexTerm: count, round },
  }),
  v.strictObject({
    ...{ ...head, kind: v.literal("snapshot"), round },
    snapshot: v.strictObject({ ...place, membership, state: v.string() }),
  }),
  v.strictObject({ ...head, kind: v.literal("elect-now") }),
]);

const reply = v.pipe(v.string(), v.maxLength(textMaximum * 8));
const outcome = v.variant("kind", [
  v.strictObject({
    ...{ kind: v.literal("done"), index: count },
    result: v.pipe(v.string(), v.maxLength(resultMaximum)),
  }),
  v.strictObject({
    kind: v.literal("unapplied"),
    reason: v.picklist(["session_unknown", "out_of_order"]),
  }),
  v.strictObject({
    kind: v.literal("refused"),
    reason: v.picklist(["not_leader", "change_pending", "transferring", "no_change", "busy"]),
    leader: id,
  }),
  v.strictObject({ kind: v.literal("uncertain"), leader: id }),
  v.strictObject({ kind: v.literal("denied"), code: id, message: reply, hint: reply }),
]);

const session = v.nullable(v.strictObject({ id: count, number: count }));
const messageSchema = v.variant("kind", [
  v.strictObject({ kind: v.literal("log"), message: logMessage }),
  v.strictObject({
    ...{ kind: v.literal("submit"), ticket: count, session },
    request: v.nullable(requestSchema),
  }),
  v.strictObject({ kind: v.literal("read"), ticket: count }),
  v.strictObject({ kind: v.literal("outcome"), ticket: count, outcome }),
]);

/** What a message's kind and body say; null where they say nothing that a node says. */
export function readNodeMessage(
  kind: string,
  body: Readonly<Record<string, unknown>>,
): NodeMessage | null {
  const parsed = v.safeParse(messageSchema, { ...body, kind });
  return parsed.success ? parsed.output : null;
}

/** A message's body as an envelope carries it; its kind stands beside it. */
export function nodeMessageBody(message: NodeMessage): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(message).filter(([name]) => name !== "kind"));
}
