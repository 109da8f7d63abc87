import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { doorOf } from "./door.ts";
import { openTestDoor, problemIn, testCommand, until, type TestDoor } from "./http.fixture.ts";

let door: TestDoor;
const limits = {
  ...{ bodyBytes: 2_000, bodyTimeMs: 300, headerBytes: 2_000, headerCount: 20, addressBytes: 500 },
  ...{ streamBytes: 100_000, readerTimeMs: 400, heartbeatMs: 200, commitMs: 10, drainMs: 200 },
};

beforeAll(async () => {
  door = await openTestDoor({
    limits,
    commands: [
      testCommand("echo", (parameters) => parameters),
      testCommand("flood", async (_parameters, { emit, signal }) => {
        const text = "x".repeat(10_000);
        while (!signal.aborted) {
          emit({ type: "piece", text });
          await Bun.sleep(0);
        }
        return null;
      }),
    ],
  });
});
afterAll(() => door.close());

const post = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body,
});

describe("A-10 limits", () => {
  test("A-10 a body beyond the limit is 413, announced or not; one within it is read", async () => {
    const body = (size: number) => JSON.stringify({ text: "a".repeat(size) });
    expect((await door.ask("/commands/echo", post(body(1_900)))).status).toBe(200);
    const announced = await door.ask("/commands/echo", post(body(3_000)));
    expect(await problemIn(announced)).toMatchObject({ status: 413, code: "body_too_large" });
    const stream = new ReadableStream({
      start(controller) {
        for (let count = 0; count < 3; count++) controller.enqueue("a".repeat(1_000));
        controller.close();
      },
    }).pipeThrough(new TextEncoderStream());
    const chunked = await door.ask("/commands/echo", { ...post(""), body: stream });
    expect(await problemIn(chunked)).toMatchObject({ status: 413, code: "body_too_large" });
  });

  test("A-10 what follows in a refused body is body, never another request", async () => {
    for (const request of ["POST /commands/echo", "POST /commands/nowhere", "POST /healthz"]) {
      const client = await door.raw(head(request, "Content-Length: 5000"));
      await until(() => client.received().includes("\r\n\r\n"), "the refusal");
      client.socket.write(head("GET /healthz").repeat(20));
      await Promise.race([client.closed, Bun.sleep(100)]);
      expect(client.received()).toMatch(/^HTTP\/1\.1 4/);
      expect(client.received()).not.toContain("alive");
      client.socket.destroy();
    }
  });

  test("A-10 a client that drips its body is cut off with 408 after the named time", async () => {
    const startMs = performance.now();
    const client = await door.raw(head("POST /commands/echo", "Content-Length: 500"));
    const drip = setInterval(() => client.socket.write("a"), 20);
    await until(() => client.received().includes("body_slow"), "the refusal");
    clearInterval(drip);
    expect(client.received()).toStartWith("HTTP/1.1 408 ");
    expect(performance.now() - startMs).toBeGreaterThan(limits.bodyTimeMs - 20);
    await until(() => doorOf(door.parts).calls.taken === 0, "its place is free");
    client.socket.destroy();
  });

  test("A-10 a client that leaves within its body gives its place back", async () => {
    const client = await door.raw(head("POST /commands/echo", "Content-Length: 500"));
    client.socket.end();
    await client.closed;
    await until(() => doorOf(door.parts).calls.taken === 0, "its place is free");
    expect(client.received()).toBe("");
  });

  test("A-10 headers too many, too large, and an address too long are 431", async () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`x-${at}`, "1"]));
    const answers = [
      await door.ask("/healthz", { headers: many }),
      await door.ask("/healthz", { headers: { "x-large": "a".repeat(3_000) } }),
      await door.ask(`/healthz?${"a".repeat(600)}`),
    ];
    for (const answer of answers)
      expect(await problemIn(answer)).toMatchObject({ status: 431, code: "headers_too_large" });
  });

  test("A-10 headers beyond what is read at all are 431 too", async () => {
    const client = await door.raw(
      `${head("GET /healthz").trimEnd()}\r\nX: ${"a".repeat(40_000)}\r\n\r\n`,
    );
    await client.closed;
    expect(client.received()).toStartWith("HTTP/1.1 431 ");
  });

  test("A-10 a client that does not read its stream is dropped, and its command told to stop", async () => {
    const client = await door.raw(
      head("POST /commands/flood", "Accept: application/x-ndjson", "Content-Length: 0"),
    );
    client.socket.pause();
    await until(() => doorOf(door.parts).calls.taken === 1, "the command runs");
    await until(() => doorOf(door.parts).calls.taken === 0, "the client was dropped");
    expect(client.received()).not.toContain('{"result"');
    client.socket.destroy();
  });

  test("A-10 what waits for a client and does not move is kept for the named time only", async () => {
    const patient = await openTestDoor({
      limits: { streamBytes: 2 ** 30, readerTimeMs: 200 },
      commands: [
        testCommand("much", async (_parameters, { emit, signal }) => {
          // More than the system keeps between the two.
          for (let count = 0; count < 2_000; count++) {
            emit({ type: "piece", text: "x".repeat(10_000) });
            await Bun.sleep(0);
          }
          await new Promise((resolve) => {
            signal.addEventListener("abort", resolve);
          });
          return null;
        }),
      ],
    });
    const client = await patient.raw(
      `POST /commands/much HTTP/1.1\r\nHost: localhost:${patient.port}\r\nAccept: application/x-ndjson\r\nContent-Length: 0\r\n\r\n`,
    );
    client.socket.pause();
    await until(() => doorOf(patient.parts).calls.taken === 1, "the command runs");
    await until(() => doorOf(patient.parts).calls.taken === 0, "the client was dropped");
    expect(client.received()).not.toContain('{"result"');
    client.socket.destroy();
    await patient.close();
  });

  test("A-10 requests beyond those open at the same time are 503", async () => {
    const small = await openTestDoor({
      limits: { requests: 1 },
      commands: [
        testCommand(
          "wait",
          (_parameters, { signal }) =>
            new Promise((resolve) => {
              signal.addEventListener("abort", () => resolve(null));
            }),
        ),
      ],
    });
    const leaving = new AbortController();
    const first = small
      .ask("/commands/wait", { method: "POST", signal: leaving.signal })
      .catch(() => null);
    await until(() => doorOf(small.parts).calls.taken === 1, "the first runs");
    const second = await small.ask("/healthz");
    expect([second.status, second.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await problemIn(second)).toMatchObject({ code: "door_busy" });
    leaving.abort();
    await first;
    await until(() => doorOf(small.parts).requests.taken === 0, "its place is free");
    expect((await small.ask("/healthz")).status).toBe(200);
    await small.close();
  });
});

function head(request: string, ...headers: string[]): string {
  const all = [`Host: 127.0.0.1:${door.port}`, "Content-Type: application/json", ...headers];
  return `${request} HTTP/1.1\r\n${all.join("\r\n")}\r\n\r\n`;
}
