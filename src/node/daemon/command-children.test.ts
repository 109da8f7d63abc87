import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Event } from "#src/command/define.ts";
import type { AnyCommand } from "#src/command/registry.ts";
import type { ChildProcess, Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { machineClock } from "../clock.ts";
import { CommandChildren, commandChildMaximum, commandWaitingMaximum } from "./command-children.ts";
import type { FromCommandChild, ToCommandChild } from "./command-messages.ts";

const command: AnyCommand = {
  name: "sample",
  summary: "Compute.",
  parameters: v.strictObject({}),
  run: () => null,
};

/** One child as the test plays it. */
class PlayedChild implements ChildProcess {
  readonly pid = 1;
  readonly told: ToCommandChild[] = [];
  readonly killed: string[] = [];
  readonly #end = Promise.withResolvers<{ status: number | null; signal: string | null }>();
  readonly exited = this.#end.promise;

  constructor(readonly say: (message: FromCommandChild) => void) {}

  send(message: unknown): void {
    this.told.push(message as ToCommandChild);
    if ((message as ToCommandChild).type === "end") this.end({ status: 0, signal: null });
  }

  kill(signal: string): void {
    this.killed.push(signal);
    this.end({ status: null, signal });
  }

  end(how: { status: number | null; signal: string | null }): void {
    this.#end.resolve(how);
  }
}

function play() {
  const children: PlayedChild[] = [];
  const processes: Processes = {
    spawnSelf(role, onMessage) {
      expect(role).toBe("command");
      const child = new PlayedChild(onMessage);
      children.push(child);
      return child;
    },
  };
  return { children, room: new CommandChildren(processes, machineClock) };
}

function call(
  room: CommandChildren,
  own: { signal?: AbortSignal; emit?(event: Event): void } = {},
) {
  return room.isolate(
    command,
    { tokens: 5 },
    {
      caller: { provenance: "local" },
      signal: own.signal ?? new AbortController().signal,
      configured: new Set(["tokens"]),
      emit: own.emit ?? (() => {}),
    },
  );
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

/** The child a call got, once it has one. */
async function childAt(children: readonly PlayedChild[], index: number): Promise<PlayedChild> {
  while (children[index] === undefined) await Bun.sleep(1);
  return children[index];
}

describe("A-9 commands that compute", () => {
  test("A-9 run in a child that gets the call and gives events and the result", async () => {
    const { room, children } = play();
    const events: Event[] = [];
    const result = call(room, { emit: (event) => void events.push(event) });
    const child = await childAt(children, 0);
    expect(child.told).toEqual([
      {
        type: "run",
        name: "sample",
        parameters: { tokens: 5 },
        caller: { provenance: "local" },
        configured: ["tokens"],
        withinUse: false,
      },
    ]);
    child.say({ type: "event", event: { type: "token", text: "a" } });
    child.say({ type: "result", result: { text: "a" } });
    expect(await result).toEqual({ text: "a" });
    expect(events).toEqual([{ type: "token", text: "a" }]);
    expect(child.told.at(-1)).toEqual({ type: "end" });
    expect(child.killed).toEqual([]);
  });

  test("A-9 a refusal and a bug come through as what they are", async () => {
    const { room, children } = play();
    const refused = codeOf(call(room));
    const packed = { code: "run_not_found", message: "none", hint: "look", details: {} };
    (await childAt(children, 0)).say({ type: "refusal", refusal: packed });
    expect(await refused).toBe("run_not_found");
    const broken = codeOf(call(room));
    (await childAt(children, 1)).say({ type: "bug", message: "nothing there", stack: "at x" });
    expect(await broken).toBe("Error: nothing there");
  });

  test("A-9 a child that dies is command_crashed, and the next call has a new one", async () => {
    const { room, children } = play();
    const crashed = call(room).catch((error: unknown) => error);
    (await childAt(children, 0)).end({ status: null, signal: "SIGSEGV" });
    expect(await crashed).toMatchObject({
      code: "command_crashed",
      message: "the process that ran sample died: it was ended by SIGSEGV",
    });
    const next = call(room);
    (await childAt(children, 1)).say({ type: "result", result: 1 });
    expect(await next).toBe(1);
  });

  test("A-9 an aborted call asks the child to stop and takes its last words", async () => {
    const { room, children } = play();
    const stop = new AbortController();
    const result = call(room, { signal: stop.signal });
    const child = await childAt(children, 0);
    stop.abort(new Refusal("interrupted", "stopped", "again"));
    expect(child.told.at(-1)).toMatchObject({ type: "stop", refusal: { code: "interrupted" } });
    child.say({ type: "result", result: "so far" });
    expect(await result).toBe("so far");
    const killed = call(room, { signal: stop.signal });
    expect(await codeOf(killed)).toBe("interrupted");
    expect(children.length).toBe(1);
  });

  test("A-9 only so many run at once, the others wait in turn, and beyond that is daemon_busy", async () => {
    const { room, children } = play();
    const calls = Array.from({ length: commandChildMaximum + commandWaitingMaximum }, () =>
      call(room),
    );
    await childAt(children, commandChildMaximum - 1);
    expect(await codeOf(call(room))).toBe("daemon_busy");
    expect(children.length).toBe(commandChildMaximum);
    for (let index = 0; index < calls.length; index++) {
      (await childAt(children, index)).say({ type: "result", result: index });
      expect(await calls[index]).toBe(index);
      expect(children.length).toBeLessThanOrEqual(index + 1 + commandChildMaximum);
    }
    const after = call(room);
    (await childAt(children, calls.length)).say({ type: "result", result: "after" });
    expect(await after).toBe("after");
  });

  test("A-9 a caller that goes away gives up its place in line", async () => {
    const { room, children } = play();
    const running = Array.from({ length: commandChildMaximum }, () => call(room));
    const stop = new AbortController();
    const waiting = call(room, { signal: stop.signal });
    const behind = call(room);
    await childAt(children, commandChildMaximum - 1);
    stop.abort(new Refusal("interrupted", "gone", "again"));
    expect(await codeOf(waiting)).toBe("interrupted");
    for (const child of [...children]) child.say({ type: "result", result: 0 });
    expect(await Promise.all(running)).toEqual(running.map(() => 0));
    (await childAt(children, commandChildMaximum)).say({ type: "result", result: "behind" });
    expect(await behind).toBe("behind");
  });
});
