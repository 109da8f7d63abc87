import * as v from "valibot";
import type { LogCore } from "./core.ts";
import { nobody, type Entry, type Membership } from "./entry.ts";
import { bodyMaximum } from "./fold.ts";
import type { Message, MessageOf } from "./message.ts";

/** No honest log comes to more terms: an election every millisecond takes 8,900 years to. */
export const termMaximum = 2 ** 48;
/**
 * By how much the term of a message may be ahead of this node's, which missed no more elections: half a year of
 * one a second. Who leaps uses the numbers up. A node that begins knows no term and takes any.
 */
export const termLeapMaximum = 2 ** 24;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const payloadSchema = v.variant("kind", [
  v.strictObject({ kind: v.literal("open") }),
  v.strictObject({
    ...{ kind: v.literal("command"), session: count, number: count },
    body: v.pipe(v.string(), v.maxLength(bodyMaximum)),
  }),
]);

/**
 * Whether a node that keeps to the protocol could have sent this message, as far as its reader can tell from what
 * it holds itself. What is not sound is not taken: the log's own assertions are for mistakes of this program,
 * and no member brings them about.
 */
export function isSound(core: LogCore, message: Message): boolean {
  if (message.term > termMaximum) return false;
  if (core.term > 0 && message.term - core.term > termLeapMaximum) return false;
  switch (message.kind) {
    case "append":
      return mayLeadTerm(core, message) && isAppendSound(core, message);
    case "snapshot":
      return mayLeadTerm(core, message) && isSnapshotSound(core, message);
    case "append-reply":
      // Nobody has more of a leader's log than the leader.
      return !(message.accepted && message.term === core.term && message.index > core.lastIndex);
    case "elect-now":
      return message.term === core.term && message.from === core.leader;
    case "pre-vote":
    case "pre-vote-reply":
    case "vote":
    case "vote-reply":
      return true;
  }
}

/** A term has one leader: neither this node nor another one that it follows leads that term. */
function mayLeadTerm(core: LogCore, { term, from }: Message): boolean {
  if (term !== core.term) return true;
  return core.role !== "leader" && (core.leader === nobody || core.leader === from);
}

function isAppendSound(core: LogCore, message: MessageOf<"append">): boolean {
  const { previousIndex, previousTerm, entries, term: leaderTerm } = message;
  const { history, commitIndex } = core;
  const fits = history.termAt(previousIndex) === previousTerm;
  let [index, term] = [previousIndex, previousTerm];
  for (const entry of entries) {
    if (entry.index !== ++index || entry.term < term || !isEntrySound(entry)) return false;
    ({ term } = entry);
    const known = history.termAt(index);
    if (fits && index <= commitIndex && known !== null && known !== term) return false;
  }
  return term <= leaderTerm;
}

function isEntrySound(entry: Entry): boolean {
  if (entry.kind === "empty") return true;
  if (entry.kind === "membership") return isMembershipSound(entry.membership);
  try {
    return v.is(payloadSchema, JSON.parse(entry.payload));
  } catch {
    return false;
  }
}

function isSnapshotSound(
  { history, commitIndex }: LogCore,
  { snapshot, term }: MessageOf<"snapshot">,
): boolean {
  if (snapshot.index <= commitIndex) return true;
  const isInOrder = snapshot.term <= term && snapshot.term >= (history.termAt(commitIndex) ?? 0);
  return isInOrder && isMembershipSound(snapshot.membership);
}

/** Somebody decides, and everybody stands in one place, in the one order. */
function isMembershipSound({ voters, learners }: Membership): boolean {
  const ascends = (ids: readonly string[]) =>
    ids.every((id, place) => id !== nobody && (place === 0 || ids[place - 1]! < id));
  const isApart = !learners.some((id) => voters.includes(id));
  return voters.length > 0 && ascends(voters) && ascends(learners) && isApart;
}
