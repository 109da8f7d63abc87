import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { Registry, registry as declared } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/node/commands.ts";
import { codes } from "#src/refusal/codes.ts";
import { doorOf } from "./door.ts";
import { openTestDoor, testToken, until, type TestDoor } from "./http.fixture.ts";

/** Requests, of which every fourth is no proper HTTP. */
const requestCount = 10_000;
const atOnce = 16;
/** Commands that really run: they only read. */
const real = new Set(["commands", "commands/list", "explain", "version"]);

const seed = Number(process.env["PSIONIC_FUZZ_SEED"] ?? "7421");

let door: TestDoor;
beforeAll(async () => {
  const registry = new Registry();
  for (const command of declared.all())
    registry.declare(
      real.has(command.name) ? command : { ...command, computes: false, run: () => null },
    );
  door = await openTestDoor({
    registry,
    limits: { bodyTimeMs: 500, idleTimeSeconds: 4 },
    parts: { assets: new Map([["/", { type: "text/html", body: "page", etag: "e" }]]) },
  });
});
afterAll(() => door.close());

/** A small generator with a seed, so that a failure is found again (mulberry32). */
class Dice {
  #state: number;
  constructor(from: number) {
    this.#state = from;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
  chance(share: number): boolean {
    return this.next() < share;
  }
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}

const methods = ["POST", "POST", "POST", "GET", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"];
const oddMethods = ["TRACE", "CONNECT", "BREW", "post", "PRI", "M-SEARCH", "\u0000", "POST POST"];
const paths = ["/", "/commands", "/openapi.json", "/healthz", "/readyz", "/metrics", "/peer", "*"];
const texts = [
  ...["", "x", "\u202e", "null", "__proto__", "constructor", "../../etc/passwd", "%00", "%ff%fe"],
  ...["\ud83d\ude00", "a".repeat(3_000), "'; DROP TABLE run; --", "{{7*7}}", "\\u0000", "e\u0301"],
];

function pathFrom(dice: Dice): string {
  const names = door.registry.all().map(({ name }) => name);
  const base = dice.chance(0.6) ? `/commands/${dice.of(names)}` : dice.of(paths);
  if (dice.chance(0.6)) return base;
  const odd = dice.of(texts);
  const written = dice.chance(0.7) ? encodeURIComponent(odd.toWellFormed()) : odd;
  return dice.of([
    `${base}/${written}`,
    `${base}?${written}=${written}`,
    `/${written}`,
    base.slice(1),
  ]);
}

function valueFrom(dice: Dice, depth = 0): unknown {
  const kind = dice.below(depth > 3 ? 6 : 8);
  if (kind === 0) return dice.of(texts);
  if (kind === 1) return dice.of([0, -1, 1e308, -0, 2 ** 53, 0.1, 1e-320]);
  if (kind === 2) return dice.of([true, false, null]);
  if (kind === 6) return Array.from({ length: dice.below(5) }, () => valueFrom(dice, depth + 1));
  if (kind === 7)
    return Object.fromEntries(
      Array.from({ length: dice.below(5) }, () => [dice.of(texts), valueFrom(dice, depth + 1)]),
    );
  return dice.below(1_000);
}

function bodyFrom(dice: Dice): Buffer {
  const kind = dice.below(10);
  if (kind === 0) return Buffer.alloc(0);
  if (kind === 1) return dice.bytes(dice.below(200));
  if (kind === 2) return Buffer.from("[".repeat(dice.below(20_000)));
  if (kind === 3) return Buffer.from(`{"__proto__":{"isAdmin":true},"constructor":1}`);
  const { name } = dice.of(door.registry.all());
  const keys = Object.keys(
    (door.registry.get(name)!.parameters as unknown as { entries?: object }).entries ?? {},
  );
  const object = Object.fromEntries(
    Array.from({ length: dice.below(4) }, () => [
      dice.chance(0.7) && keys.length > 0 ? dice.of(keys) : dice.of(texts),
      valueFrom(dice),
    ]),
  );
  const text = Buffer.from(JSON.stringify(object));
  return dice.chance(0.2) ? text.subarray(0, dice.below(text.length)) : text;
}

function headersFrom(dice: Dice, body: Buffer): string[] {
  const host = dice.chance(0.93)
    ? `localhost:${door.port}`
    : dice.of(["evil.example", "", "localhost", `localhost:${door.port}, x`, "[::1", "\u00ff"]);
  const lines = [`Host: ${host}`, "Connection: close"];
  if (dice.chance(0.5)) lines.push(`Authorization: Bearer ${testToken}`);
  else if (dice.chance(0.3))
    lines.push(`Authorization: ${dice.of(["Bearer", "Basic eA==", "\u00e9"])}`);
  if (dice.chance(0.8)) lines.push("Content-Type: application/json");
  else if (dice.chance(0.5)) lines.push(`Content-Type: ${dice.of(["text/plain", ";;;", ""])}`);
  const accepts = [
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
    "*/*",
    "a/b",
    ",;,",
    "",
  ];
  if (dice.chance(0.5)) lines.push(`Accept: ${dice.of(accepts)}`);
  if (dice.chance(0.05))
    lines.push(`Origin: ${dice.of(["null", "http://evil.example", "\u0001"])}`);
  if (dice.chance(0.05)) lines.push(`psionic-call: ${dice.of(texts).slice(0, 100)}`);
  if (dice.chance(0.03)) lines.push(`X-Large: ${"h".repeat(dice.below(40_000))}`);
  if (dice.chance(0.03))
    lines.push(...Array.from({ length: dice.below(300) }, (_, at) => `X-${at}: ${at}`));
  lines.push(`Content-Length: ${body.length}`);
  return lines;
}

/** A request as bytes; `whole` where a server has to answer it rather than wait for more. */
function requestFrom(dice: Dice): { readonly bytes: Buffer; readonly whole: boolean } {
  const body = bodyFrom(dice);
  // Bun closes the connection of a method it does not know.
  const isKnown = dice.chance(0.95);
  const method = isKnown ? dice.of(methods) : dice.of(oddMethods);
  const lines = headersFrom(dice, body);
  const head = `${method} ${pathFrom(dice)} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(head, "utf8"), body]);
  if (!dice.chance(0.25)) return { bytes, whole: isKnown };
  const broken = dice.of([
    () => bytes.subarray(0, dice.below(bytes.length)),
    () => dice.bytes(1 + dice.below(300)),
    () => Buffer.from(head.replace("HTTP/1.1", dice.of(["HTTP/9.9", "HTTP/2.0", "", "http"]))),
    () =>
      Buffer.from(
        head.replace(
          /Content-Length: \d+/,
          `Content-Length: ${dice.of(["-1", "x", "1e3", "99999999999999999999", "5, 6"])}`,
        ),
      ),
    () =>
      Buffer.from(
        head.replace(/Content-Length: \d+/, "Transfer-Encoding: chunked") +
          dice.of(["zz\r\n", "ffffffffff\r\n", "5\r\nab", "0\r\n\r\n"]),
      ),
    () => Buffer.from(head.replaceAll("\r\n", dice.of(["\n", "\r", "\r\n ", "\r\n\r\n"]))),
    () => {
      const spoilt = Buffer.from(bytes);
      for (let count = 0; count < 8; count++) spoilt[dice.below(spoilt.length)] = dice.below(256);
      return spoilt;
    },
  ])();
  return { bytes: broken, whole: false };
}

/** Sends bytes and gives the status of each answer; nothing where the server just closed. */
function send(bytes: Buffer, waitMs: number): Promise<number[]> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(door.port, "127.0.0.1", () => socket.write(bytes));
    const timer = setTimeout(() => socket.destroy(), waitMs);
    socket.on("data", (piece: Buffer) => {
      text += piece.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve([...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status)));
    });
  });
}

describe("A-10 abuse", () => {
  test(`A-10 ${requestCount} fuzzed requests leave the door healthy and give only refusals`, async () => {
    const refusals = Object.values(codes).map(({ http }): number => http);
    // 505 is Bun's own, for a version of HTTP there is not.
    const expected = new Set([200, 204, 304, 505, ...refusals]);
    const dice = new Dice(seed);
    const statuses = new Map<number, number>();
    const unanswered: string[] = [];
    let sent = 0;
    let heapBytes = 0;
    const one = async () => {
      while (sent < requestCount) {
        sent += 1;
        const { bytes, whole } = requestFrom(dice);
        const answered = await send(bytes, whole ? 5_000 : 20);
        if (whole && answered.length === 0) unanswered.push(bytes.toString("latin1").slice(0, 300));
        for (const status of answered) statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (sent === requestCount / 4) heapBytes = usedBytes();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));

    const odd = [...statuses.keys()].filter((status) => !expected.has(status));
    const answered = [...statuses.values()].reduce((sum, count) => sum + count, 0);
    expect(answered).toBeGreaterThan(requestCount * 0.7);
    expect({ seed, odd, unanswered }).toEqual({ seed, odd: [], unanswered: [] });
    // The dice reached everything: answers, and each way to refuse that a stranger can cause.
    for (const status of [200, 204, 400, 401, 403, 404, 405, 406, 415, 421, 431])
      expect([status, statuses.has(status)]).toEqual([status, true]);
    const figures = await (await door.ask("/metrics")).text();
    expect(figures).not.toContain('status="500"');
    expect(figures).not.toContain('outcome="bug"');
    expect(({} as Record<string, unknown>)["isAdmin"]).toBeUndefined();

    const { calls, requests } = doorOf(door.parts);
    await until(() => calls.taken === 0 && requests.taken <= 0, "every place is free again");
    const listed = (await (await door.own("/commands")).json()) as { commands: unknown[] };
    expect(listed.commands.length).toBeGreaterThan(5);
    expect(usedBytes() - heapBytes).toBeLessThan(64 * 2 ** 20);
  }, 120_000);
});

function usedBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed;
}
