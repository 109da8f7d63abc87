import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { configure, reset, type LogRecord } from "@logtape/logtape";
import * as v from "valibot";
import { registry as declared } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/node/commands.ts";
import { doorOf } from "./door.ts";
import { openTestDoor, problemIn, testCommand, until, type TestDoor } from "./http.fixture.ts";

/** What somebody without rights may do to a door that the owner needs. */

const echo = testCommand("echo", (parameters) => parameters, {
  parameters: v.strictObject({ file: v.optional(v.string()) }),
});
const post = (body: string): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body,
});

describe("A-4 what the owner configured is not a stranger's", () => {
  let door: TestDoor;
  beforeAll(async () => {
    door = await openTestDoor({ commands: [echo], defaults: { file: "/owner/secret" } });
  });
  afterAll(() => door.close());

  test("A-4 psionic.toml fills in the owner's calls, and nobody else's", async () => {
    expect(await (await door.own("/commands/echo", post("{}"))).json()).toEqual({
      file: "/owner/secret",
    });
    expect(await (await door.ask("/commands/echo", post("{}"))).json()).toEqual({});
  });

  test("A-4 a mistake in psionic.toml shows its text to the owner alone", async () => {
    const wrong = await openTestDoor({
      commands: [echo],
      get defaults(): Record<string, unknown> {
        throw new Refusal("configuration_wrong", "psionic.toml:3: secret", "mend it");
      },
    });
    const own = await problemIn(await wrong.own("/commands/echo", post("{}")));
    expect(own).toMatchObject({ code: "configuration_wrong" });
    const answer = await wrong.ask("/commands/echo", post("{}"));
    expect([answer.status, await answer.text()]).toEqual([200, "{}"]);
    await wrong.close();
  });
});

describe("A-10 a stranger does not take the door from its owner", () => {
  const limits = { calls: 8, strangerCalls: 4, requests: 16, bodyTimeMs: 5_000 };
  let door: TestDoor;
  beforeAll(async () => {
    door = await openTestDoor({ commands: [echo, declared.get("explain")!], limits });
  });
  afterAll(() => door.close());

  const head = (request: string, ...headers: string[]) =>
    `${[`${request} HTTP/1.1`, `Host: localhost:${door.port}`, ...headers].join("\r\n")}\r\n\r\n`;

  test("A-10 calls without a token wait for a place among their like, the owner's have their own", async () => {
    const { calls } = doorOf(door.parts);
    const slow = await Promise.all(
      Array.from({ length: limits.strangerCalls }, () =>
        door.raw(head("POST /commands/echo", "Content-Length: 9")),
      ),
    );
    await until(() => calls.taken === limits.strangerCalls, "all places are taken");
    expect(await problemIn(await door.ask("/commands/echo", post("{}")))).toMatchObject({
      code: "door_busy",
    });
    expect((await door.own("/commands/echo", post("{}"))).status).toBe(200);
    for (const { socket } of slow) socket.destroy();
    await until(() => calls.taken === 0, "the places are free");
    expect((await door.ask("/commands/echo", post("{}"))).status).toBe(200);
  });

  test("A-9 whatever is open over TCP, the owner at the machine is answered", async () => {
    const slow = await Promise.all(
      Array.from({ length: limits.requests }, () =>
        door.raw(
          head("POST /commands/echo", "Content-Length: 9", `Authorization: Bearer ${door.token}`),
        ),
      ),
    );
    await until(() => slow.some(({ received }) => received().includes("door_busy")), "it is full");
    const local = await fetch("http://localhost/commands/echo", {
      ...post("{}"),
      unix: door.socket,
    });
    expect(local.status).toBe(200);
    for (const { socket } of slow) socket.destroy();
  });

  test("A-10 a word of a megabyte is looked for at once, and nobody waits for it", async () => {
    const startMs = performance.now();
    const answer = await door.ask("/commands/explain", post(`{"code":"${"a".repeat(1_000_000)}"}`));
    expect(await problemIn(answer)).toMatchObject({ code: "not_found" });
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  test("A-10 what a stranger is refused within a command is no news to the log", async () => {
    const records: LogRecord[] = [];
    const sinks = { held: (record: LogRecord) => void records.push(record) };
    const loggers = [
      { category: "psionic", lowestLevel: "info" as const, sinks: ["held" as const] },
    ];
    await configure({ reset: true, sinks, loggers });
    try {
      await door.ask("/commands/explain", post('{"code":"nothing_of_the_kind"}'));
      expect(records).toEqual([]);
      await door.own("/commands/explain", post('{"code":"nothing_of_the_kind"}'));
      expect(records).toHaveLength(1);
    } finally {
      await reset();
    }
  });
});
