import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frameOf } from "#src/peer/framing.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { problemOf } from "#src/surface/http/problem.ts";
import { answerByDaemon } from "./peer.ts";

const text = new TextEncoder();
const folder = mkdtempSync(join(tmpdir(), "psionic-peer-socket-"));
const socket = join(folder, "s");
const stopped = Promise.withResolvers<string>();

/** A daemon that does what the document says. */
let server: Bun.Server<undefined>;
beforeAll(() => {
  server = Bun.serve({
    unix: socket,
    async fetch(request) {
      const wanted = `${request.method} ${new URL(request.url).pathname} ${await request.text()}`;
      const frames = [frameOf(text.encode("one")), frameOf(text.encode("two"))];
      if (wanted === "POST /peer answer") return new Response(Buffer.concat(frames));
      if (wanted === "POST /peer cut") return new Response(frames[0]!.subarray(0, 5));
      if (wanted === "POST /peer busy")
        return new Response(
          JSON.stringify(problemOf(new Refusal("daemon_stopping", "it stops", "later"))),
          { status: 503, headers: { "content-type": "application/problem+json" } },
        );
      request.signal.addEventListener("abort", () => stopped.resolve("stopped"));
      return new Response(new ReadableStream({ start: (stream) => stream.enqueue(frames[0]!) }));
    },
  });
});
afterAll(() => {
  void server.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

async function heard(document: string, path = socket, signal = new AbortController().signal) {
  const frames: string[] = [];
  const send = (frame: Uint8Array) => frames.push(new TextDecoder().decode(frame));
  const error: unknown = await answerByDaemon(path, text.encode(document), send, signal).then(
    () => null,
    (reason: unknown) => reason,
  );
  return { frames, code: error instanceof Refusal ? error.code : error };
}

describe("A-9 a daemon answers peers for a pipe", () => {
  test("A-9 its frames are passed on", async () => {
    expect(await heard("answer")).toEqual({ frames: ["one", "two"], code: null });
  });

  test("A-9 its refusal, a cut answer and its absence are told apart", async () => {
    expect(await heard("busy")).toEqual({ frames: [], code: "daemon_stopping" });
    expect(await heard("cut")).toEqual({ frames: [], code: "envelope_malformed" });
    const nobody = join(folder, "nobody");
    expect(await heard("answer", nobody)).toEqual({ frames: [], code: "daemon_lost" });
  });

  test("A-9 a caller that goes away stops the command in the daemon", async () => {
    const gone = new AbortController();
    const reason = new Error("gone");
    const answer = answerByDaemon(
      socket,
      text.encode("wait"),
      () => gone.abort(reason),
      gone.signal,
    );
    expect(await answer.catch((error: unknown) => error)).toBe(reason);
    expect(await stopped.promise).toBe("stopped");
  });
});
