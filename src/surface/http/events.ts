import type { JournalEntry } from "#src/command/journal.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { mediaTypes } from "./answer.ts";
import type { HttpContext } from "./route.ts";
import { failureOf } from "./bugs.ts";
import type { Door } from "./door.ts";
import { requireOwner } from "./hygiene.ts";
import { openStream, type StreamWriter } from "./stream.ts";

/** A client that was cut off comes back after so long. */
const retryMs = 1_000;
/** What one client may ask to follow. */
const topicMaximum = 16;
const topicLengthMaximum = 128;

/** What a client follows: nothing named means everything. */
export type Topics = readonly string[];

/** A topic is what an entry is about (a run's id), a type (`run.steps`), or the beginning of types (`run`). */
export function isFollowed(topics: Topics, { type, subject }: JournalEntry): boolean {
  return (
    topics.length === 0 ||
    topics.some((topic) => topic === subject || topic === type || type.startsWith(`${topic}.`))
  );
}

/**
 * `GET /events`: the journal as server-sent events. Ids are the journal's, so that a client that was cut
 * off goes on where it was, whatever happened to the daemon meanwhile; entries of every process of the
 * home come, for the journal is read, not listened to. Where the journal no longer holds what follows,
 * `reset` tells the client to read the state anew. Without an id it begins with what happens next.
 *
 * Refusals: `token_needed`, `usage`, `door_busy`, `daemon_stopping`.
 */
export function answerEvents(door: Door, context: HttpContext): Response {
  requireOwner(context.var.caller);
  const topics = readTopics(context.req.queries("topic") ?? []);
  const after = readAfter(context.req.header("last-event-id") ?? context.req.query("after"));
  const headers = { "content-type": mediaTypes.sse, "cache-control": "no-store" };
  if (context.req.raw.method === "HEAD") return new Response(null, { headers });
  if (isEnding(door, context))
    throw new Refusal(
      "daemon_stopping",
      "the daemon is stopping and tells no more events",
      "follow again once it is back",
    );
  // Read before a place is taken: a store that cannot be read must not keep it.
  const cursor = after ?? door.parts.services.journal.bounds().last;
  const release = door.eventStreams.take();
  const stream = openStream(door.limits, ": still here\n\n");
  void follow(door, context, stream, { topics, cursor }).finally(release);
  return new Response(stream.body, { headers });
}

const isEnding = (door: Door, context: HttpContext) =>
  door.parts.draining() || context.env.closing.aborted;

interface Following {
  readonly topics: Topics;
  /** Id of the last entry this client is past. */
  readonly cursor: number;
}

async function follow(
  door: Door,
  context: HttpContext,
  stream: StreamWriter,
  from: Following,
): Promise<void> {
  const { limits, parts } = door;
  const { clock } = parts.services;
  const stop = AbortSignal.any([stream.gone, context.req.raw.signal, context.env.closing]);
  let { cursor } = from;
  stream.write(`retry: ${retryMs}\nid: ${cursor}\n\n`);
  try {
    while (!stop.aborted && !parts.draining()) {
      const next = tellNext(door, stream, { ...from, cursor });
      const isBehind = next.count === limits.journalBatch;
      cursor = next.cursor;
      // What waits for a slow client is at most one batch; the rest waits in the journal.
      await stream.drained();
      if (!isBehind) await clock.sleep(limits.journalPollMs, stop);
    }
  } catch (error) {
    if (!stop.aborted) failureOf(error, "following the journal");
  } finally {
    stream.end();
  }
}

/** Writes the next batch of entries; gives where the client is then and how many entries were read. */
function tellNext(
  door: Door,
  stream: StreamWriter,
  { topics, cursor }: Following,
): { readonly cursor: number; readonly count: number } {
  const { journal } = door.parts.services;
  const entries = journal.after(cursor, door.limits.journalBatch);
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) {
    const bounds = journal.bounds();
    if (bounds.last >= cursor) return { cursor, count: 0 };
    // The journal is another one: a home was restored from a backup.
    stream.write(resetEvent(bounds.last));
    return { cursor: bounds.last, count: 0 };
  }
  if (first.id > cursor + 1) {
    stream.write(resetEvent(first.id - 1));
    return { cursor: first.id - 1, count: door.limits.journalBatch };
  }
  const followed = entries.filter((entry) => isFollowed(topics, entry));
  const told = followed.map(encodeEntry).join("");
  // An id alone is no event to a client, but keeps its place where it follows few topics.
  const place = followed.at(-1)?.id === last.id ? "" : `id: ${last.id}\n\n`;
  stream.write(told + place);
  return { cursor: last.id, count: entries.length };
}

function encodeEntry(entry: JournalEntry): string {
  return `id: ${entry.id}\nevent: ${entry.type}\ndata: ${JSON.stringify(entry)}\n\n`;
}

/** Everything known before is to be read anew; what comes next follows this id. */
function resetEvent(id: number): string {
  return `id: ${id}\nevent: reset\ndata: ${JSON.stringify({ after: id })}\n\n`;
}

function readTopics(topics: readonly string[]): Topics {
  if (topics.length <= topicMaximum && topics.every((each) => each.length <= topicLengthMaximum))
    return topics.filter((topic) => topic !== "");
  throw new Refusal(
    "usage",
    `at most ${topicMaximum} topics of ${topicLengthMaximum} characters can be followed`,
    "leave topic out to follow everything",
  );
}

function readAfter(text: string | undefined): number | null {
  if (text === undefined || text === "") return null;
  const id = /^\d{1,15}$/.test(text) ? Number(text) : null;
  if (id !== null) return id;
  throw new Refusal(
    "usage",
    "the id to go on after is not a whole number",
    "send the id of the last event as Last-Event-ID or ?after=",
  );
}
