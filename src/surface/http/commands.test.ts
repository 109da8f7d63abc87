import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { configure, reset, type LogRecord } from "@logtape/logtape";
import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import { doorOf } from "./door.ts";
import { openTestDoor, problemIn, testCommand, until, type TestDoor } from "./http.fixture.ts";

let door: TestDoor;
const aborted: string[] = [];
let held = Promise.withResolvers<void>();

const commands = [
  testCommand(
    "echo",
    (parameters, { configured }) => ({ parameters, configured: [...configured] }),
    {
      parameters: v.strictObject({ size: v.optional(v.string()), steps: v.optional(v.number()) }),
    },
  ),
  testCommand("count", (_parameters, { emit }) => {
    for (let at = 1; at <= 3; at++) emit({ type: "at", at });
    return { last: 3 };
  }),
  testCommand("owned", () => "yours", { access: "owner" }),
  testCommand("here/only", () => "here", { access: "owner", localOnly: true }),
  testCommand("own/role", () => "inside", { hidden: true, access: "owner" }),
  testCommand("broken", () => {
    throw new TypeError("a secret of the inside");
  }),
  testCommand("broken/late", async (_parameters, { emit }) => {
    emit({ type: "begun" });
    throw new TypeError("a secret of the inside");
  }),
  testCommand("locked", () => {
    throw new Refusal("home_locked", "another has it", "wait", { pid: 7 });
  }),
  testCommand("refuse/late", (_parameters, { emit }) => {
    emit({ type: "begun" });
    throw new Refusal("home_locked", "another has it", "wait", { pid: 7 });
  }),
  testCommand("busy", () => {
    throw new Refusal("daemon_busy", "too much", "wait");
  }),
  testCommand("hold", async (parameters, { signal, emit }) => {
    emit({ type: "holding" });
    signal.addEventListener("abort", () => aborted.push(String(parameters["by"])));
    await Promise.race([
      held.promise,
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      }),
    ]);
    return "held";
  }),
  testCommand("nothing", () => undefined),
  testCommand("unsayable", () => ({ count: 5n })),
];

beforeAll(async () => {
  door = await openTestDoor({ commands, defaults: {}, limits: { calls: 4, commitMs: 50 } });
});
afterAll(() => door.close());

const json = { "content-type": "application/json" };
const post = (body?: string, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { ...(body === undefined ? {} : json), ...headers },
  ...(body === undefined ? {} : { body }),
});

describe("A-2 commands over HTTP", () => {
  test("A-2 the path names the command and the body holds its parameters", async () => {
    const response = await door.ask("/commands/echo", post('{"size":"nano","steps":2}'));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({
      parameters: { size: "nano", steps: 2 },
      configured: [],
    });
  });

  test("A-2 no body is no parameters, and no result is null", async () => {
    const echoed = (await (await door.ask("/commands/echo", post())).json()) as object;
    expect(echoed).toEqual({ parameters: {}, configured: [] });
    expect(await (await door.ask("/commands/nothing", post())).text()).toBe("null");
  });

  test("A-2 configuration fills in what the body leaves out, and the command knows", async () => {
    const configured = await openTestDoor({
      commands: [commands[0]!],
      defaults: { size: "mini", steps: 9 },
    });
    const response = await configured.own("/commands/echo", post('{"steps":2}'));
    expect(await response.json()).toEqual({
      parameters: { size: "mini", steps: 2 },
      configured: ["size"],
    });
    await configured.close();
  });

  test("A-2 a parameter the schema refuses is a problem that names it", async () => {
    const problem = await problemIn(await door.ask("/commands/echo", post('{"steps":"two"}')));
    expect(problem).toMatchObject({ status: 400, code: "usage", details: { path: "steps" } });
  });

  test.each([
    ["[]", "the body is JSON, but not an object"],
    ["null", "the body is JSON, but not an object"],
    ["{", "the body is not valid JSON"],
    ["\u0000", "the body is not valid JSON"],
  ])("A-2 the body %j is refused as usage", async (body, detail) => {
    expect(await problemIn(await door.ask("/commands/echo", post(body)))).toMatchObject({
      ...{ status: 400, code: "usage", detail },
    });
  });

  test("A-2 an unknown command is 404 with the nearest name; a hidden one is unknown", async () => {
    const near = await problemIn(await door.ask("/commands/ecko", post()));
    expect(near).toMatchObject({ status: 404, code: "unknown_command" });
    expect(near["details"]).toMatchObject({ suggestion: "echo" });
    const hidden = await problemIn(await door.own("/commands/own/role", post()));
    expect(hidden).toMatchObject({ status: 404, code: "unknown_command" });
  });

  test("A-2 the socket's caller is the owner at the machine, hidden and local commands included", async () => {
    const ask = (name: string) =>
      fetch(`http://localhost/commands/${name}`, { ...post(), unix: door.socket });
    expect(await (await ask("owned")).json()).toBe("yours");
    expect(await (await ask("here/only")).json()).toBe("here");
    expect(await (await ask("own/role")).json()).toBe("inside");
  });

  test("A-4 without a token a command of the owner is 403, with it it runs; local ones stay local", async () => {
    expect(await problemIn(await door.ask("/commands/owned", post()))).toMatchObject({
      ...{ status: 403, code: "not_authorised" },
    });
    expect(await (await door.own("/commands/owned", post())).json()).toBe("yours");
    expect(await problemIn(await door.own("/commands/here/only", post()))).toMatchObject({
      ...{ status: 403, code: "not_authorised", details: { localOnly: true } },
    });
  });

  test("A-3 GET /commands lists what this caller may call, and no more", async () => {
    const names = async (response: Response) =>
      ((await response.json()) as { commands: { name: string }[] }).commands.map(
        ({ name }) => name,
      );
    const anyone = await names(await door.ask("/commands"));
    const owned = await names(await door.own("/commands"));
    expect(anyone).toContain("echo");
    expect(anyone).not.toContain("owned");
    expect(owned).toContain("owned");
    expect(owned).not.toContain("here/only");
    expect(owned).not.toContain("own/role");
  });
});

describe("A-2 refusals and bugs", () => {
  test("A-2 a refusal is a problem document with everything the refusal says", async () => {
    const response = await door.ask("/commands/locked", post());
    expect(response.status).toBe(409);
    expect(await problemIn(response)).toEqual({
      type: "urn:psionic:refusal:home_locked",
      title: "Another psionic process is changing this home.",
      status: 409,
      detail: "another has it",
      code: "home_locked",
      hint: "wait",
      retryable: true,
      details: { pid: 7 },
    });
  });

  test("A-2 what may pass by itself says when to try again", async () => {
    const response = await door.ask("/commands/busy", post());
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
  });

  test("A-2 a bug is 500 with an id and not a word of the inside", async () => {
    for (const name of ["broken", "broken/late"]) {
      const response = await door.ask(`/commands/${name}`, post());
      expect(response.status).toBe(500);
      const problem = await problemIn(response);
      expect(problem).toMatchObject({ code: "bug", retryable: false });
      expect((problem["details"] as { id: string }).id).toMatch(/^[0-9a-f]{12}$/);
      expect(JSON.stringify(problem)).not.toContain("secret");
    }
  });

  test("A-2 the log has the bug under its id, with where it happened", async () => {
    const records: LogRecord[] = [];
    await configure({
      reset: true,
      sinks: { memory: (record) => records.push(record) },
      loggers: [
        { category: "psionic", sinks: ["memory"] },
        { category: ["logtape", "meta"], sinks: [] },
      ],
    });
    const problem = await problemIn(await door.own("/commands/broken", post()));
    await reset();
    const errors = records.filter(({ level }) => level === "error");
    const { id } = problem["details"] as { id: string };
    expect(errors.map(({ properties }) => properties["id"])).toEqual([id]);
    expect(errors[0]!.properties["told"]).toContain("TypeError: a secret of the inside");
    expect(JSON.stringify(records)).not.toContain(door.token);
  });

  test.each([
    ["application/json", 200, null],
    ["text/html", 406, "answer_form_wrong"],
    ["text/html, */*;q=0.1", 200, null],
    ["application/x-ndjson;q=0.2, application/json", 200, null],
    ["application/json;q=0", 406, "answer_form_wrong"],
  ])("A-2 Accept %p is honoured", async (accept, status, code) => {
    const response = await door.ask("/commands/nothing", post(undefined, { accept }));
    if (code === null) {
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("application/json");
    } else {
      expect(response.status).toBe(status);
      expect(await problemIn(response)).toMatchObject({ code });
    }
  });

  test.each([
    ["text/plain", 415],
    ["application/x-www-form-urlencoded", 415],
    ["application/json; charset=latin1", 415],
    ["application/json; charset=UTF-8", 200],
    ["application/json", 200],
  ])("A-2 a body of type %p gives %d", async (type, status) => {
    const response = await door.ask("/commands/echo", post("{}", { "content-type": type }));
    expect(response.status).toBe(status);
  });

  test.each([
    ["GET", "/commands/echo", "POST, OPTIONS"],
    ["PUT", "/commands/echo", "POST, OPTIONS"],
    ["DELETE", "/healthz", "GET, HEAD, OPTIONS"],
    ["POST", "/metrics", "GET, HEAD, OPTIONS"],
    ["GET", "/peer", "POST, OPTIONS"],
  ])("A-2 %s %s is 405 with what is allowed", async (method, path, allow) => {
    const response = await door.own(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
    expect(await problemIn(response)).toMatchObject({ code: "method_wrong" });
    const options = await door.own(path, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, allow]);
    expect(options.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("A-2 HEAD is GET without a body; an address that is nothing is 404", async () => {
    const head = await door.ask("/healthz", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(await problemIn(await door.ask("/nowhere"))).toMatchObject({
      status: 404,
      code: "not_found",
    });
  });
});

describe("A-2 answers that stream", () => {
  test("A-2 lines: each event, then the result", async () => {
    const response = await door.ask(
      "/commands/count",
      post(undefined, { accept: "application/x-ndjson" }),
    );
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = (await response.text()).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { event: { type: "at", at: 1 } },
      { event: { type: "at", at: 2 } },
      { event: { type: "at", at: 3 } },
      { result: { last: 3 } },
    ]);
  });

  test("A-2 server-sent events: the same, named", async () => {
    const response = await door.ask(
      "/commands/count",
      post(undefined, { accept: "text/event-stream" }),
    );
    expect(await response.text()).toBe(
      'event: event\ndata: {"type":"at","at":1}\n\n' +
        'event: event\ndata: {"type":"at","at":2}\n\n' +
        'event: event\ndata: {"type":"at","at":3}\n\n' +
        'event: result\ndata: {"last":3}\n\n',
    );
  });

  test("A-2 a refusal before anything was sent has its status; a later one is the last line", async () => {
    const accept = { accept: "application/x-ndjson" };
    const early = await door.ask("/commands/locked", post(undefined, accept));
    expect(early.status).toBe(409);
    const refusal = {
      ...{ code: "home_locked", message: "another has it", hint: "wait" },
      ...{ retryable: true, details: { pid: 7 } },
    };
    expect(JSON.parse(await early.text())).toEqual({ refusal });
    const late = await door.ask("/commands/refuse/late", post(undefined, accept));
    expect(late.status).toBe(200);
    const lines = (await late.text()).trim().split("\n");
    expect(JSON.parse(lines.at(-1)!)).toEqual({ refusal });
    const gate = await door.ask("/commands/owned", post(undefined, accept));
    expect(gate.status).toBe(403);
    expect(JSON.parse(await gate.text())).toMatchObject({ refusal: { code: "not_authorised" } });
  });

  test("A-2 a bug in a stream is told by its id alone", async () => {
    const response = await door.ask(
      "/commands/broken/late",
      post(undefined, { accept: "application/x-ndjson" }),
    );
    const last = (await response.text()).trim().split("\n").at(-1)!;
    expect(JSON.parse(last)).toEqual({ bug: { message: expect.stringMatching(/[0-9a-f]{12}$/) } });
  });

  test.each(["application/json", "application/x-ndjson"])(
    "A-2 when the client of %s goes away its call is told to stop",
    async (accept) => {
      held = Promise.withResolvers();
      const leaving = new AbortController();
      const asked = door
        .ask("/commands/hold", {
          ...post(JSON.stringify({ by: accept }), { accept }),
          signal: leaving.signal,
        })
        .then((response) => response.text())
        .catch(() => "gone");
      await until(() => runningCalls() === 1, "the call runs");
      leaving.abort();
      await until(() => aborted.includes(accept), "the call was told");
      expect(await asked).toBe("gone");
      await until(() => runningCalls() === 0, "its place is free again");
    },
  );

  test("A-10 more calls than the door allows are refused with 503, and run once there is room", async () => {
    held = Promise.withResolvers();
    const calls = Array.from({ length: 4 }, () => door.ask("/commands/hold", post("{}")));
    await until(() => runningCalls() === 4, "four calls run");
    const fifth = await door.ask("/commands/nothing", post());
    expect([fifth.status, fifth.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await problemIn(fifth)).toMatchObject({ code: "door_busy", details: { maximum: 4 } });
    held.resolve();
    for (const call of calls) expect(await (await call).json()).toBe("held");
    expect((await door.ask("/commands/nothing", post())).status).toBe(200);
  });

  test("A-9 a door that drains takes no new calls", async () => {
    const draining = await openTestDoor({ commands, parts: { draining: () => true } });
    const response = await draining.ask("/commands/nothing", post());
    expect(response.status).toBe(503);
    expect(await problemIn(response)).toMatchObject({ code: "daemon_stopping", retryable: true });
    await draining.close();
  });
});

test("A-10 a result that JSON cannot carry is a bug of its command, and the daemon lives", async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    for (const accept of ["application/json", "application/x-ndjson", "text/event-stream"]) {
      const signal = AbortSignal.timeout(3_000);
      const answer = await door.ask("/commands/unsayable", { ...post("{}", { accept }), signal });
      expect(await answer.text()).toContain("something went wrong inside");
    }
    await Bun.sleep(0);
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", note);
  }
});

const runningCalls = () => doorOf(door.parts).calls.taken;
