import { describe, expect, test } from "bun:test";
import type { Clock } from "#src/port/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callPeer, meetPeer, type PeerLine } from "./call.ts";
import { openCall, readCall } from "./envelope.ts";
import { answerHello } from "./hello.ts";
import { alice, bob, mallory, nowMs, openTables, parsed, random, trustOf } from "./peer.fixture.ts";
import { ReplyWriter } from "./reply.ts";

/** A clock that never comes to the end of a wait, unless it is told to. */
const clock = (late = false): Clock => ({
  wallMs: () => nowMs,
  monotonicMs: () => 0,
  sleep: (_, signal) =>
    late
      ? Promise.resolve()
      : new Promise((_resolve, reject) => {
          if (signal?.aborted) reject(signal.reason as Error);
          signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        }),
});

const parts = (more: { readonly late?: boolean; readonly signal?: AbortSignal } = {}) => ({
  ...{ identity: alice, rotations: [], random, clock: clock(more.late), trust: trustOf() },
  signal: more.signal ?? new AbortController().signal,
});

/** A line to something that answers each document with documents; null ends it. */
function lineTo(answer: (document: Uint8Array) => readonly (Uint8Array | null)[]): PeerLine & {
  readonly sent: Uint8Array[];
} {
  const sent: Uint8Array[] = [];
  const waiting: (Uint8Array | null)[] = [];
  return {
    sent,
    async send(document) {
      sent.push(document);
      waiting.push(...answer(document));
    },
    receive: () => (waiting.length > 0 ? Promise.resolve(waiting.shift()!) : new Promise(() => {})),
  };
}

type Say = (writer: ReplyWriter) => void;

/** Bob, who opens each call and says what he is told to. */
const bobSays = (say: Say) =>
  lineTo((document) => {
    const frames: (Uint8Array | null)[] = [];
    const { envelope, digest } = readCall(document, bob);
    const { callId, sender } = envelope;
    say(new ReplyWriter(bob, { callId, sender, digest }, (frame) => frames.push(frame)));
    return [...frames, null];
  });

const peer = { sender: bob.nodeId, key: bob.key.publicKey };
const version = { name: "version", parameters: { a: 1.5 }, grant: null };

async function callThrough(line: PeerLine, call: Parameters<typeof callPeer>[2] = version) {
  const events: unknown[] = [];
  const result = await callPeer(line, peer, call, {
    ...parts(),
    emit: (event) => events.push(event),
  });
  return { result, events };
}

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

describe("A-2 calling another node", () => {
  test("A-2 events are passed on in order and the result is given", async () => {
    const line = bobSays((writer) => {
      writer.write("event", { type: "token", text: "a" });
      writer.write("event", "no object");
      writer.write("result", [1, null]);
    });
    expect(await callThrough(line)).toEqual({
      result: [1, null],
      events: [
        { type: "token", text: "a" },
        { type: "event", value: "no object" },
      ],
    });
  });

  test("A-6 what travels is the call with the grant that was presented", async () => {
    const line = bobSays((writer) => writer.write("result", null));
    const grant = { type: "psionic-grant", calls: 3 };
    await callThrough(line, { ...version, grant });
    const opened = openCall(line.sent[0]!, {
      ...{ self: bob, trust: trustOf(), store: openTables(), nowMs },
    });
    expect(opened).toMatchObject({
      ...{ name: "version", parameters: { a: 1.5 } },
      caller: { grant, publicKey: alice.key.publicKey },
    });
  });

  test("A-2 a refusal is thrown as it was given", async () => {
    const given = { code: "run_not_found", message: "m", hint: "h", details: { run: "x" } };
    const refusal = await refusalOf(
      callThrough(bobSays((writer) => writer.write("refusal", given))),
    );
    expect(refusal).toMatchObject({ ...given, retryable: false });
  });

  test("A-2 a code of a later version, a refusal of no form, and a bug are told apart", async () => {
    const said = (kind: "refusal" | "bug", body: unknown) =>
      refusalOf(callThrough(bobSays((writer) => writer.write(kind, body))));
    expect(await said("refusal", { code: "constructor", message: "m" })).toMatchObject({
      ...{ code: "peer_refused", message: "m", details: { code: "constructor" } },
    });
    expect((await said("refusal", null)).code).toBe("peer_refused");
    expect((await said("bug", { message: "x" })).code).toBe("peer_failed");
  });

  test("A-2 a line that ends before the last reply is noticed, after some and after none", async () => {
    const cut = bobSays((writer) => writer.write("event", { type: "token" }));
    expect((await refusalOf(callThrough(cut))).code).toBe("reply_broken");
    const silent = lineTo(() => [null]);
    expect((await refusalOf(callThrough(silent))).code).toBe("reply_broken");
  });

  test("A-2 replies of anybody else are noticed", async () => {
    const line = lineTo((document) => {
      const { envelope, digest } = readCall(document, bob);
      const frames: Uint8Array[] = [];
      const { callId, sender } = envelope;
      const call = { callId, sender, digest };
      new ReplyWriter(mallory, call, (frame) => frames.push(frame)).write("result", "mine");
      return frames;
    });
    expect((await refusalOf(callThrough(line))).code).toBe("reply_forged");
  });
});

describe("A-2 meeting another node", () => {
  const facts = { rotations: [], mesh: `psm${"a".repeat(32)}` };
  const bobThere = () => lineTo((question) => [answerHello(parsed(question), bob, facts)]);

  test("A-2 says who is there, and is content with the node that was named", async () => {
    expect((await meetPeer(bobThere(), parts())).sender).toBe(bob.nodeId);
    expect((await meetPeer(bobThere(), parts(), bob.nodeId)).sender).toBe(bob.nodeId);
  });

  test("A-2 another node than the one named is refused before anything is sent to it", async () => {
    const line = bobThere();
    const refusal = await refusalOf(meetPeer(line, parts(), mallory.nodeId));
    expect(refusal).toMatchObject({
      code: "peer_unexpected",
      details: { expected: mallory.nodeId, found: bob.nodeId },
    });
    expect(line.sent).toHaveLength(1);
  });

  test("A-2 the recorded hello of an earlier meeting is refused", async () => {
    const record: Uint8Array[] = [];
    const recording = lineTo((question) => {
      record.push(answerHello(parsed(question), bob, facts));
      return record;
    });
    await meetPeer(recording, parts());
    const replay = lineTo(() => record);
    expect((await refusalOf(meetPeer(replay, parts()))).code).toBe("hello_forged");
  });

  test("A-2 nobody there, or nobody in time, is a refusal that may pass", async () => {
    const gone = await refusalOf(
      meetPeer(
        lineTo(() => [null]),
        parts(),
      ),
    );
    expect(gone).toMatchObject({ code: "peer_unreachable", retryable: true });
    const late = await refusalOf(
      meetPeer(
        lineTo(() => []),
        parts({ late: true }),
      ),
    );
    expect(late.code).toBe("peer_unreachable");
  });

  test("A-2 Ctrl-C ends the wait", async () => {
    const stop = new AbortController();
    const meeting = meetPeer(
      lineTo(() => []),
      parts({ signal: stop.signal }),
    );
    const reason = new Error("stopped");
    stop.abort(reason);
    expect(await meeting.catch((error: unknown) => error)).toBe(reason);
  });
});
