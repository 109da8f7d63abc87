import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Event } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callHeader } from "./call-header.ts";
import { answersOn, callDaemon } from "./client.ts";

let folder: string;
let socket: string;
let server: Bun.Server<undefined> | null = null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-socket-"));
  socket = join(folder, "s.sock");
});
afterEach(async () => {
  await server?.stop(true);
  server = null;
  rmSync(folder, { recursive: true, force: true });
});

type Answer = (request: Request, send: (line: object | string) => void) => Promise<void> | void;

/** A daemon that answers every call with the lines of `answer`. */
function listen(answer: Answer): void {
  server = Bun.serve({
    unix: socket,
    fetch: (request) =>
      new Response(
        new ReadableStream<string>({
          async start(controller) {
            const send = (line: object | string) =>
              controller.enqueue(typeof line === "string" ? line : `${JSON.stringify(line)}\n`);
            await answer(request, send);
            controller.close();
          },
        }).pipeThrough(new TextEncoderStream()),
        { headers: { "content-type": "application/x-ndjson" } },
      ),
  });
}

async function call(signal = new AbortController().signal, patienceMs?: number) {
  const events: Event[] = [];
  const emit = (event: Event) => void events.push(event);
  const options = { signal, emit, ...(patienceMs === undefined ? {} : { patienceMs }) };
  const result = await callDaemon(socket, "run/start", { size: "nano" }, options);
  return { result, events };
}

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof Refusal) return error;
  throw new Error(`not refused: ${String(error)}`);
}

describe("A-9 a terminal calls the daemon", () => {
  test("A-9 the call arrives by name with its parameters; events, then the result", async () => {
    let asked: unknown = null;
    listen(async (request, send) => {
      asked = [request.method, new URL(request.url).pathname, await request.json()];
      send({ event: { type: "step", at: 1 } });
      send("\n");
      send('{"event":{"type":"st');
      send('ep","at":2}}\n');
      send({ result: { done: true } });
    });
    expect(await call()).toEqual({
      result: { done: true },
      events: [
        { type: "step", at: 1 },
        { type: "step", at: 2 },
      ],
    });
    expect(asked).toEqual(["POST", "/commands/run/start", { size: "nano" }]);
  });

  test("A-9 a refusal comes back as it was thrown, a code of a newer daemon with its words", async () => {
    const refusal = { code: "disk_full", message: "full", hint: "free some", retryable: true };
    listen((_, send) => send({ refusal: { ...refusal, details: { path: "/x" } } }));
    expect((await refusalOf(call())).toJSON()).toMatchObject({
      ...refusal,
      details: { path: "/x" },
    });
    await server!.stop(true);
    listen((_, send) => send({ refusal: { ...refusal, code: "from_the_future" } }));
    const unknown = await refusalOf(call());
    expect(unknown.code).toBe("daemon_protocol");
    expect(unknown.message).toContain("full (from_the_future)");
  });

  test("A-9 a daemon that ends before its answer does is daemon_lost", async () => {
    listen((_, send) => send({ event: { type: "step" } }));
    expect((await refusalOf(call())).code).toBe("daemon_lost");
    await server!.stop(true);
    listen((_, send) => send('{"result":'));
    expect((await refusalOf(call())).code).toBe("daemon_lost");
    await server!.stop(true);
    server = null;
    expect((await refusalOf(call())).code).toBe("daemon_lost");
  });

  test("A-9 an answer of no known form is daemon_protocol", async () => {
    listen((_, send) => send("not json\n"));
    expect((await refusalOf(call())).code).toBe("daemon_protocol");
    await server!.stop(true);
    server = Bun.serve({ unix: socket, fetch: () => new Response("hello") });
    expect((await refusalOf(call())).code).toBe("daemon_protocol");
  });

  test("A-9 Ctrl-C asks the daemon by the call's id, and the last words are awaited", async () => {
    const stopped = Promise.withResolvers<string>();
    listen(async (request, send) => {
      if (new URL(request.url).pathname === "/commands/daemon/stop-call") {
        const { call: id } = (await request.json()) as { call: string };
        stopped.resolve(id);
        return send({ result: { stopped: true } });
      }
      send({ event: { type: "ready" } });
      const id = await stopped.promise;
      send({ result: { saved: id === request.headers.get(callHeader) } });
    });
    const interrupt = new AbortController();
    const done = callDaemon(
      socket,
      "train",
      {},
      {
        signal: interrupt.signal,
        emit: () => interrupt.abort(new Refusal("interrupted", "stopped", "again")),
      },
    );
    expect(await done).toEqual({ saved: true });
  });

  test("A-9 a daemon that does not stop in time is left alone", async () => {
    const interrupt = new AbortController();
    const gone = Promise.withResolvers<string>();
    listen(async (request, send) => {
      if (request.url.endsWith("/daemon/stop-call")) return send({ result: {} });
      send({ event: { type: "ready" } });
      await new Promise<void>((resolve) => {
        request.signal.addEventListener("abort", () => resolve());
      });
      gone.resolve("gone");
    });
    const done = callDaemon(
      socket,
      "train",
      {},
      {
        signal: interrupt.signal,
        patienceMs: 20,
        emit: () => interrupt.abort(new Refusal("interrupted", "stopped", "again")),
      },
    );
    expect((await refusalOf(done)).code).toBe("interrupted");
    expect(await gone.promise).toBe("gone");
  });

  test("A-9 a socket nobody listens on does not answer", async () => {
    expect(await answersOn(socket)).toBe(false);
    server = Bun.serve({ unix: socket, fetch: () => new Response("ok") });
    expect(await answersOn(socket)).toBe(true);
  });
});
