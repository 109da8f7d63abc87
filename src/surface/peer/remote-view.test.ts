import { beforeEach, describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Screen } from "#src/command/define.ts";
import { Registry } from "#src/command/registry.ts";
import { remoteView } from "./remote-view.ts";

/** Shows a name; crashes on an event without a text. */
const registry = new Registry();
registry.declare({
  name: "test/remote-view",
  summary: "A command of this test.",
  access: "owner",
  hidden: true,
  parameters: v.strictObject({}),
  result: v.object({ name: v.string() }),
  run: () => ({ name: "here" }),
  view: (screen) => ({
    event: (event) => screen.write((event["text"] as string).slice(0, 20)),
    result: (result) => screen.print(`name ${(result as { name: string }).name}`),
  }),
});

const shown: string[] = [];
const noted: string[] = [];
const screen: Screen = {
  ...{ columns: 80, live: true, colour: true },
  print: (text) => void shown.push(text),
  write: (text) => void shown.push(text),
  note: (text) => void noted.push(text),
  draw: (lines) => void shown.push(...lines),
};

beforeEach(() => {
  shown.length = 0;
  noted.length = 0;
});

/** A view that has met a node for a command. */
function viewOf(command: string) {
  const view = remoteView(screen, registry);
  view.event!({ type: "peer.met", node: "psnx", command });
  return view;
}

describe("A-2 what another node says on this terminal", () => {
  test("A-2 is shown by the command of the same name", () => {
    const view = viewOf("test/remote-view");
    view.event!({ type: "token", text: "a\n" });
    view.result!({ name: "there" });
    expect(shown).toEqual(["a\n", "name there"]);
    expect(noted).toEqual(["psnx answers"]);
  });

  test("A-2 steers no terminal", () => {
    const view = viewOf("test/remote-view");
    view.event!({ type: "token", text: "\x1b[2J\x07" });
    view.result!({ name: "\x1b]0;title\x07" });
    view.event!({ type: "peer.met", node: "\x1b[1m", text: "again" });
    expect([...shown, ...noted].join("")).not.toMatch(/[^\P{Cc}\t\n]/u);
    expect(shown.join("")).toContain("␛[2J");
  });

  test("A-2 is JSON where it does not fit the command, or the command is unknown here", () => {
    viewOf("test/remote-view").result!({ name: 3 });
    viewOf("of/a-later-version").result!({ name: "x\x1b" });
    viewOf("constructor").result!([1]);
    viewOf("of/a-later-version").result!(null);
    expect(shown.map((text) => JSON.parse(text) as unknown)).toEqual([
      { name: 3 },
      { name: "x\x1b" },
      [1],
    ]);
    expect(shown.join("")).not.toContain("\x1b");
  });

  test("A-2 an event that this version cannot show is told, and the call goes on", () => {
    const view = viewOf("test/remote-view");
    view.event!({ type: "token", text: 5 });
    view.result!({ name: "there" });
    expect(noted.at(-1)).toBe('{"type":"token","text":5}');
    expect(shown).toEqual(["name there"]);
  });
});
