import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { digestBytes } from "#src/codec/digest.ts";
import type { Caller } from "#src/command/caller.ts";
import { judge } from "#src/command/gate.ts";
import { Registry, registry as declared, type AnyCommand } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/node/commands.ts";
import { httpApp } from "./app.ts";
import { openTestDoor, owner, type TestDoor } from "./http.fixture.ts";

/** Everything the door answers that is no command, with who gets a 2xx of it. A new route is argued for here. */
const known: Readonly<Record<string, "anyone" | "owner" | "socket">> = {
  "GET /": "anyone",
  "GET /page.js": "anyone",
  "GET /commands": "anyone",
  "GET /openapi.json": "anyone",
  "GET /healthz": "anyone",
  "GET /readyz": "anyone",
  "GET /metrics": "anyone",
  "GET /events": "owner",
  "GET /blobs/:digest": "owner",
  "POST /peer": "socket",
};

/** The names of commands that were run, who was let through where the gate says no. */
const ran: string[] = [];

/** Every command of the program, which notes that it ran instead of running. */
function guarded(): Registry {
  const registry = new Registry();
  for (const command of declared.all()) {
    const noted: AnyCommand = {
      ...command,
      computes: false,
      run() {
        ran.push(command.name);
        return { ran: command.name };
      },
    };
    registry.declare(noted);
  }
  return registry;
}

let door: TestDoor;
/** Digest of a blob that this home holds. */
const blob = digestBytes("a blob");
beforeAll(async () => {
  const asset = { type: "text/plain", body: "page", etag: "e" };
  door = await openTestDoor({
    registry: guarded(),
    parts: {
      assets: new Map([
        ["/", asset],
        ["/page.js", asset],
      ]),
      answerPeer: async (_envelope, send) => send(new Uint8Array([1, 2, 3])),
    },
  });
});
beforeAll(() =>
  Bun.write(join(door.services.home.artifacts, "chunks", blob.slice(0, 2), blob), "a blob"),
);
afterAll(() => door.close());

const post = { method: "POST" };
const kinds: readonly (readonly [name: string, caller: Caller, headers: Record<string, string>])[] =
  [
    ["anonymous", { provenance: "anonymous" }, {}],
    ["token", { provenance: "token" }, owner],
  ];

describe("A-10 no route but through the gate", () => {
  test("A-10 every route of the router is a command's or known here", () => {
    const found = new Set(
      httpApp(door.parts)
        .routes.filter(({ method }) => method !== "ALL")
        .map(({ method, path }) => `${method} ${path}`),
    );
    expect([...found].sort()).toEqual([...Object.keys(known), "POST /commands/*"].sort());
    // What takes any method only refuses: the checks before all routes, and 405 after each.
    const any = httpApp(door.parts).routes.filter(({ method }) => method === "ALL");
    const paths = new Set([...found].map((route) => route.split(" ")[1]!));
    for (const { path } of any) expect(path === "/*" || paths.has(path)).toBe(true);
  });

  test("A-10 each known route answers whom it should and refuses the others", async () => {
    for (const [route, who] of Object.entries(known)) {
      const [method, declared] = route.split(" ") as [string, string];
      const path = declared.replace(":digest", blob);
      const init = { method, signal: AbortSignal.timeout(5_000) };
      const answers = [
        await door.ask(path, init),
        await door.own(path, init),
        await fetch(`http://localhost${path}`, { ...init, unix: door.socket }),
      ];
      const expected = {
        anyone: [true, true, true],
        owner: [false, true, true],
        socket: [false, false, true],
      }[who];
      expect([route, ...answers.map(({ ok }) => ok)]).toEqual([route, ...expected]);
      for (const answer of answers) await answer.body?.cancel();
    }
  });

  test.each(kinds)(
    "A-4 as %s every command answers as the gate says, in every form",
    async (_name, caller, headers) => {
      for (const command of door.registry.all()) {
        const allowed =
          command.hidden !== true && judge(caller, command, door.services).by !== null;
        for (const accept of ["application/json", "application/x-ndjson", "text/event-stream"]) {
          ran.length = 0;
          const response = await door.ask(`/commands/${command.name}`, {
            ...{ method: "POST", headers: { ...headers, accept } },
          });
          await response.text();
          const expected = command.hidden === true ? [404] : allowed ? [200, 400] : [403];
          expect([command.name, expected.includes(response.status)]).toEqual([command.name, true]);
          if (!allowed) expect(ran).toEqual([]);
        }
      }
    },
  );

  test("A-10 no spelling of a path reaches a command around the gate", async () => {
    const spellings = [
      "//commands/identity/show",
      "/commands//identity/show",
      "/commands/./identity/show",
    ];
    spellings.push(
      "/x/../commands/identity/show",
      "/commands/identity%2Fshow",
      "/COMMANDS/identity/show",
    );
    spellings.push(
      "/commands/identity/show/",
      "/commands/identity/show%00",
      "/commands/identity/show;a",
    );
    spellings.push(
      "/commands/version/../identity/show",
      "/commands/identity/show?a=/commands/version",
    );
    for (const path of spellings) {
      ran.length = 0;
      const client = await door.raw(
        `POST ${path} HTTP/1.1\r\nHost: localhost:${door.port}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      );
      await client.closed;
      expect([path, client.received().slice(0, 10)]).toEqual([path, "HTTP/1.1 4"]);
      expect(ran).toEqual([]);
    }
  });

  test("A-2 an envelope on the socket is answered by frames after their length", async () => {
    const response = await fetch("http://localhost/peer", {
      ...post,
      body: "{}",
      unix: door.socket,
    });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([3, 0, 0, 0, 1, 2, 3]);
  });
});
