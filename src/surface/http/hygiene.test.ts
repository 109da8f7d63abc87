import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";
import { doorOf } from "./door.ts";
import {
  openTestDoor,
  problemIn,
  rawClient,
  testCommand,
  testToken,
  until,
  type TestDoor,
} from "./http.fixture.ts";
import { isSameToken, securityHeaders } from "./hygiene.ts";
import { listenHttp } from "./listen.ts";
import { openOperatorToken, operatorTokenPath } from "./operator-token.ts";

let door: TestDoor;
const page = { type: "text/html; charset=utf-8", body: "<!doctype html>", etag: "abc" };

beforeAll(async () => {
  door = await openTestDoor({
    parts: { assets: new Map([["/", page]]) },
    commands: [testCommand("echo", (parameters) => parameters)],
  });
});
afterAll(() => door.close());

const post = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body,
});

describe("A-10 who calls", () => {
  test.each([
    ["Bearer wrong"],
    [`Bearer ${testToken}x`],
    [`Bearer ${testToken.slice(1)}`],
    [`Basic ${testToken}`],
    [testToken],
    [""],
    ["Bearer"],
    [`Bearer ${testToken} ${testToken}`],
  ])("A-10 the authorization %p is 401, never taken for none", async (authorization) => {
    const response = await door.ask("/commands/echo", post("{}", { authorization }));
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="psionic"');
    expect(await problemIn(response)).toMatchObject({ code: "token_wrong", retryable: false });
  });

  test("A-10 the right token is the owner, in any case of its scheme", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      const authorization = `${scheme} ${testToken}`;
      const response = await door.ask("/events", { method: "HEAD", headers: { authorization } });
      expect(response.status).toBe(200);
    }
    const anyone = await door.ask("/events");
    expect(anyone.status).toBe(401);
    expect(await problemIn(anyone)).toMatchObject({ code: "token_needed" });
  });

  test("A-10 tokens are compared by digest in constant time, whatever their lengths", () => {
    expect(isSameToken(testToken, testToken)).toBe(true);
    for (const other of ["", "t", `${testToken}t`, testToken.slice(1), `u${testToken.slice(1)}`])
      expect(isSameToken(other, testToken)).toBe(false);
    // timingSafeEqual throws on unequal lengths: that short and long tokens are compared at all shows
    // that digests are; and no other comparison of the token stands anywhere in the door.
    const source = readFileSync(new URL("hygiene.ts", import.meta.url), "utf8");
    expect(source).toContain("timingSafeEqual(digest(presented), digest(token))");
    expect(source).not.toMatch(/presented\s*[!=]==?|[!=]==?\s*token\b|\.startsWith\(token/);
  });
});

describe("A-10 the operator's token", () => {
  const place = () => ({ identity: join(door.folder, crypto.randomUUID()) });

  test("A-10 256 bits, for its user alone, the same next time", () => {
    const home = place();
    const token = openOperatorToken(home);
    expect(Buffer.from(token, "base64url").length).toBe(32);
    expect(statSync(operatorTokenPath(home)).mode & 0o777).toBe(0o600);
    expect(openOperatorToken(home)).toBe(token);
    expect(openOperatorToken(place())).not.toBe(token);
  });

  test.each([
    ["malformed", (path: string) => writeFileSync(path, "short\n")],
    ["empty", (path: string) => writeFileSync(path, "")],
    ["readable by others", (path: string) => chmodSync(path, 0o644)],
    ["huge", (path: string) => writeFileSync(path, "a".repeat(100_000))],
  ])("A-10 a token that is %s is made anew", (_what, spoil) => {
    const home = place();
    const token = openOperatorToken(home);
    const path = operatorTokenPath(home);
    spoil(path);
    const healed = openOperatorToken(home);
    expect(healed).not.toBe(token);
    expect(readFileSync(path, "utf8")).toBe(`${healed}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("A-10 a link in its place is replaced, not followed", () => {
    const home = place();
    openOperatorToken(home);
    const path = operatorTokenPath(home);
    const elsewhere = join(door.folder, "elsewhere");
    writeFileSync(elsewhere, `${"e".repeat(43)}\n`, { mode: 0o600 });
    const other = place();
    openOperatorToken(other);
    const linked = operatorTokenPath(other);
    rmSync(linked);
    symlinkSync(elsewhere, linked);
    expect(openOperatorToken(other)).not.toBe("e".repeat(43));
    expect(readFileSync(elsewhere, "utf8")).toBe(`${"e".repeat(43)}\n`);
    expect(existsSync(path)).toBe(true);
  });
});

describe("A-10 where a request comes from", () => {
  test.each([["evil.example"], ["127.0.0.1"], ["127.0.0.1:1"], ["localhost.evil.example"], [""]])(
    "A-10 the Host %p is refused, as a rebound name would be",
    async (host) => {
      const client = await door.raw(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await until(() => client.received().includes("\r\n\r\n"), "an answer");
      expect(client.received()).toMatch(/^HTTP\/1\.1 4(21|00) /);
      client.socket.destroy();
    },
  );

  test("A-10 two Host headers are refused", async () => {
    const host = `Host: 127.0.0.1:${door.port}\r\n`;
    const client = await door.raw(`GET /healthz HTTP/1.1\r\n${host}Host: evil.example\r\n\r\n`);
    await until(() => client.received().includes("\r\n\r\n"), "an answer");
    expect(client.received()).toMatch(/^HTTP\/1\.1 4(21|00) /);
    client.socket.destroy();
  });

  test("A-10 localhost, 127.0.0.1 and [::1] with the port are this door", async () => {
    for (const name of ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"]) {
      const host = `${name}:${door.port}`;
      expect((await door.ask("/healthz", { headers: { host } })).status).toBe(200);
    }
  });

  test("A-10 a door bound to every address is named by any address, never by a foreign name", async () => {
    const open = listenHttp(door.parts, { host: "0.0.0.0", port: 0 });
    const status = async (host: string, path = "/healthz") =>
      (await fetch(`http://127.0.0.1:${open.port}${path}`, { headers: { host } })).status;
    for (const host of ["192.168.1.5", "127.0.0.1", "localhost", "[fe80::1]"])
      expect([host, await status(`${host}:${open.port}`)]).toEqual([host, 200]);
    for (const host of [
      "evil.example",
      "192.168.1.5.evil.example",
      "[evil]",
      "1.2.3",
      "192.168.1.5:1",
    ])
      expect([host, await status(`${host}:${open.port}`)]).toEqual([host, 421]);
    expect(await status("192.168.1.5")).toBe(421);
    // Other machines reach it, so its figures need the token.
    expect(await status(`192.168.1.5:${open.port}`, "/metrics")).toBe(401);
    await open.stop();
  });

  test.each([["http://evil.example"], ["null"], ["https://localhost"], ["http://localhost:1"]])(
    "A-10 the Origin %p is refused",
    async (origin) => {
      const response = await door.ask("/commands/echo", post("{}", { origin }));
      expect(await problemIn(response)).toMatchObject({ status: 403, code: "origin_wrong" });
    },
  );

  test("A-10 the page's own origin is served, and no answer lets another site read it", async () => {
    const response = await door.ask("/commands/echo", post("{}", { origin: door.url }));
    expect(response.status).toBe(200);
    const names = [...response.headers.keys()];
    expect(names.filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(names).not.toContain("set-cookie");
  });

  test("A-10 every answer carries the door's headers: page, result, refusal, bug, nothing", async () => {
    const answers = [
      await door.ask("/"),
      await door.ask("/commands/echo", post("{}")),
      await door.ask("/commands/echo", post("[]")),
      await door.ask("/commands/nowhere", post("{}")),
      await door.ask("/healthz", { headers: { host: "evil.example" } }),
      await door.ask("/commands/echo", { method: "OPTIONS" }),
      await door.ask("/nowhere", { headers: { authorization: "Bearer wrong" } }),
    ];
    for (const { headers } of answers)
      expect(Object.fromEntries(headers)).toMatchObject(securityHeaders);
    const cached = answers.map(({ headers }) => headers.get("cache-control"));
    expect(cached).toEqual(["no-cache", ...Array.from({ length: 6 }, () => "no-store")]);
    expect(securityHeaders["content-security-policy"]).not.toContain("unsafe");
  });

  test("A-10 a file of the page is told to be known by its tag", async () => {
    const first = await door.ask("/");
    expect([first.headers.get("etag"), first.headers.get("content-type")]).toEqual([
      '"abc"',
      page.type,
    ]);
    const again = await door.ask("/", { headers: { "if-none-match": '"x", "abc"' } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
  });
});

describe("A-9 where the door listens", () => {
  test("A-9 the socket is for its user alone, and is gone when the door stops", async () => {
    const socket = join(door.folder, "second.sock");
    const listener = listenHttp(door.parts, { socket });
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect([listener.url, listener.port]).toEqual([null, null]);
    expect((await fetch("http://any/healthz", { unix: socket })).status).toBe(200);
    await listener.stop();
    expect(existsSync(socket)).toBe(false);
  });

  test("A-9 a port that is taken is refused, not another one taken in silence", () => {
    const listen = () => listenHttp(door.parts, { host: "127.0.0.1", port: door.port });
    expect(codeOf(listen)).toBe("port_taken");
    expect(codeOf(() => listenHttp(door.parts, { host: "203.0.113.7", port: 0 }))).toBe(
      "address_unavailable",
    );
  });

  test("A-9 stopping ends what still runs after the drain time", async () => {
    const stopped: unknown[] = [];
    const other = await openTestDoor({
      limits: { drainMs: 50 },
      commands: [
        testCommand(
          "wait",
          (_parameters, { signal }) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => {
                stopped.push(signal.reason);
                reject(signal.reason as Error);
              });
            }),
        ),
      ],
    });
    const asked = other.ask("/commands/wait", { method: "POST" }).catch(() => null);
    await until(() => doorOf(other.parts).calls.taken === 1, "it runs");
    await other.listener.stop();
    expect(stopped).toHaveLength(1);
    await asked;
    const refused = await rawClient(other.port, "").then(
      () => false,
      () => true,
    );
    expect(refused).toBe(true);
    await other.close();
  });
});

function codeOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error);
  }
}
