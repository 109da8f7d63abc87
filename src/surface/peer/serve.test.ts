import { describe, expect, test } from "bun:test";
import { digestBytes } from "#src/codec/digest.ts";
import { frameOf, readFrames } from "#src/peer/framing.ts";
import { bob, parsed } from "#src/peer/peer.fixture.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { servePipe, type Answer } from "./serve.ts";

const document = (text: string) => new TextEncoder().encode(text);

/** Serves pieces of input and gives what was written, as documents. */
async function served(
  input: AsyncIterable<Uint8Array>,
  answer: Answer,
  signal = new AbortController().signal,
) {
  const written: Uint8Array[] = [];
  const pipe = { input, write: (bytes: Uint8Array) => written.push(bytes) };
  const end: unknown = await servePipe(pipe, { self: bob, signal, answer }).catch(
    (error: unknown) => error,
  );
  const frames: Uint8Array[] = [];
  async function* out() {
    yield* written;
  }
  for await (const frame of readFrames(out())) frames.push(frame);
  return { end, frames };
}

async function* pieces(...parts: readonly Uint8Array[]) {
  yield* parts;
}

const echo: Answer = async (bytes, send) => {
  send(bytes);
  send(document("end"));
};

const text = (frame: Uint8Array) => new TextDecoder().decode(frame);

describe("A-2 a pipe that answers peers", () => {
  test("A-2 answers documents one after the other until the end of input", async () => {
    const stream = Buffer.concat([frameOf(document("one")), frameOf(document("two"))]);
    const { end, frames } = await served(pieces(stream.subarray(0, 5), stream.subarray(5)), echo);
    expect(end).toBe(2);
    expect(frames.map(text)).toEqual(["one", "end", "two", "end"]);
  });

  test("A-2 what is no frame is refused once, and nothing after it is read", async () => {
    let answers = 0;
    const { end, frames } = await served(
      pieces(frameOf(document("one")), document("GET / HTTP/1.1\r\n"), frameOf(document("two"))),
      async () => void answers++,
    );
    expect(end).toMatchObject({ code: "envelope_malformed" });
    expect(answers).toBe(1);
    expect(frames.map(parsed)).toMatchObject([
      { kind: "refusal", callId: null, last: true, body: { code: "envelope_malformed" } },
    ]);
  });

  test("A-2 a refusal before the first reply is told in its place, and the pipe goes on", async () => {
    const busy = new Refusal("daemon_stopping", "it stops", "again later");
    const { end, frames } = await served(
      pieces(frameOf(document("one")), frameOf(document("two"))),
      (bytes, send) => (text(bytes) === "one" ? Promise.reject(busy) : echo(bytes, send)),
    );
    expect(end).toBe(2);
    expect(parsed(frames[0]!)).toMatchObject({
      ...{ kind: "refusal", previous: digestBytes("one"), body: { code: "daemon_stopping" } },
    });
    expect(frames.slice(1).map(text)).toEqual(["two", "end"]);
  });

  test("A-2 an answer that breaks off ends the pipe without a word that could pass for its end", async () => {
    const lost = new Refusal("daemon_lost", "it is gone", "start it");
    const { end, frames } = await served(pieces(frameOf(document("one"))), async (bytes, send) => {
      send(bytes);
      throw lost;
    });
    expect(end).toBe(lost);
    expect(frames.map(text)).toEqual(["one"]);
  });

  test("A-2 a signal ends a pipe that nobody writes to", async () => {
    const stop = new AbortController();
    const silence: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next() {
          stop.abort(new Error("stop"));
          return new Promise(() => {});
        },
      }),
    };
    expect((await served(silence, echo, stop.signal)).end).toBe(0);
  });
});
