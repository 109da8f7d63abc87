import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Registry, type AnyCommand } from "#src/command/registry.ts";
import type { Interaction } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runCommandLine } from "./door.ts";
import { TerminalScreen, wantsColour } from "./screen.ts";
import type { Terminal } from "./terminal.ts";

function fakeTerminal(live = false) {
  const written = { out: "", error: "" };
  const terminal: Terminal = {
    stdinIsTerminal: live,
    stdoutIsTerminal: live,
    stderrIsTerminal: live,
    columns: 40,
    out: (text) => void (written.out += text),
    error: (text) => void (written.error += text),
  };
  return { terminal, written };
}

const toys: AnyCommand[] = [
  {
    name: "add",
    summary: "Add two numbers.",
    flow: "start",
    parameters: v.strictObject({
      left: v.pipe(v.number(), v.description("the first number")),
      right: v.optional(v.pipe(v.number(), v.description("the second number")), 1),
    }),
    positional: ["left", "right"],
    examples: ["psionic add 2 3"],
    run: (parameters, { emit }) => {
      const { left, right } = parameters as { left: number; right: number };
      emit({ type: "step", at: 1 });
      return { sum: left + right };
    },
    view: (screen) => ({
      event: ({ at }) => screen.note(`step ${String(at)}`),
      result: (result) => screen.print(String((result as { sum: number }).sum)),
    }),
  },
  {
    name: "set/show",
    summary: "Show a set.",
    parameters: v.strictObject({}),
    run: () => ({ type: "done", big: 12345678901234567890n, bytes: new Uint8Array([1, 255]) }),
  },
  {
    name: "refuse",
    summary: "Refuse.",
    parameters: v.strictObject({}),
    run: () => {
      throw new Refusal("disk_full", "the disk is full", "free some space", { path: "/x" });
    },
  },
  {
    name: "crash",
    summary: "Crash.",
    parameters: v.strictObject({}),
    run: () => {
      throw new TypeError("nothing there");
    },
  },
  {
    name: "ask",
    summary: "Ask.",
    parameters: v.strictObject({}),
    run: (_, { services }) => services.interaction.askSecret("word"),
  },
  {
    name: "read",
    summary: "Read a line.",
    parameters: v.strictObject({}),
    run: async (_, { services }) => ({ line: await services.interaction.readLine("> ") }),
  },
  {
    name: "secret",
    summary: "Hidden.",
    hidden: true,
    parameters: v.strictObject({}),
    run: () => null,
  },
];

interface RunOptions {
  readonly live?: boolean;
  readonly aborted?: boolean;
  readonly signal?: AbortSignal;
  readonly readLine?: () => Promise<string | null>;
}

async function run(argv: string[], options: RunOptions = {}) {
  const { terminal, written } = fakeTerminal(options.live);
  const registry = new Registry();
  for (const toy of toys) registry.declare(toy);
  let closed = 0;
  let home: string | undefined;
  const status = await runCommandLine(argv, {
    registry,
    terminal,
    environment: {},
    version: "1.2.3",
    signal: options.aborted
      ? AbortSignal.abort(new Error("stop"))
      : (options.signal ?? new AbortController().signal),
    askSecret: () => Promise.resolve("answer"),
    ...(options.readLine ? { readLine: options.readLine } : {}),
    compose(composed: { home: string | undefined; interaction: Interaction }) {
      home = composed.home;
      const services = {
        configuration: { defaultsFor: () => ({}), settings: () => [] },
        interaction: composed.interaction,
      } as unknown as Services;
      return { services, close: () => void closed++ };
    },
  });
  return { status, ...written, closed, home };
}

const lines = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("A-2 the command-line door", () => {
  test("A-2 data goes to stdout, talk to stderr", async () => {
    const { status, out, error, closed } = await run(["add", "2", "3"]);
    expect({ status, out, error, closed }).toEqual({
      status: 0,
      out: "5\n",
      error: "step 1\n",
      closed: 1,
    });
    expect((await run(["add", "2", "--quiet"])).error).toBe("");
  });

  test("A-2 --json is one JSON line per record, each with a type", async () => {
    const { out, error } = await run(["--json", "add", "2"]);
    expect(lines(out)).toEqual([
      { type: "step", at: 1 },
      { type: "result", sum: 3 },
    ]);
    expect(error).toBe("");
    expect(lines((await run(["set", "show", "--json"])).out)).toEqual([
      { type: "done", big: "12345678901234567890", bytes: "01ff" },
    ]);
  });

  test("A-2 a refusal is three lines on stderr, or the last JSON line on stdout", async () => {
    const shown = await run(["refuse"]);
    expect(shown.status).toBe(14);
    expect(shown.out).toBe("");
    expect(shown.error).toBe(
      "refused: the disk is full\n   hint: free some space\n   code: disk_full (`psionic explain disk_full`)\n",
    );
    const asJson = await run(["refuse", "--json"]);
    expect(asJson.status).toBe(14);
    expect(asJson.error).toBe("");
    expect(lines(asJson.out)).toEqual([
      {
        type: "refusal",
        code: "disk_full",
        message: "the disk is full",
        hint: "free some space",
        retryable: true,
        details: { path: "/x" },
      },
    ]);
    expect((await run(["refuse"])).closed).toBe(1);
  });

  test("A-2 a file's name in a refusal cannot steer the terminal", async () => {
    const { error } = await run(["add", "\x1b[2Jhidden"], { live: true });
    expect(error).toContain("␛[2Jhidden");
    expect(error).not.toContain("\x1b[2J");
  });

  test("A-2 a bug shows its stack, says so and exits 1", async () => {
    const { status, error, closed } = await run(["crash"]);
    expect(status).toBe(1);
    expect(error).toContain("TypeError: nothing there");
    expect(error).toContain("this is a bug");
    expect(closed).toBe(1);
    expect(lines((await run(["crash", "--json"])).out)[0]).toMatchObject({
      type: "bug",
      message: "nothing there",
    });
  });

  test.each(["--left 2 add", "--bogus", "-x", "--quiet --bogus"])(
    "A-2 an option before the command is refused, not answered with help: %s",
    async (typed) => {
      const { status, out, error } = await run(typed.split(" "));
      expect([status, out]).toEqual([2, ""]);
      expect(error).toContain("stands where a command is expected");
    },
  );

  test("A-2 wrong words are refused with status 2", async () => {
    for (const argv of [
      ["ad", "2"],
      ["add", "two"],
      ["add"],
      ["add", "2", "--rihgt", "3"],
      ["set", "shw"],
      ["add", "2", "--home"],
      ["--json"],
    ]) {
      const { status, closed, out, error } = await run(argv);
      expect(`${argv.join(" ")}: ${status}`).toBe(`${argv.join(" ")}: 2`);
      expect(out + error).not.toContain("bug");
      expect(closed).toBeLessThanOrEqual(1);
    }
    expect((await run(["add", "2", "--rihgt", "3"])).error).toContain("did you mean --right?");
    expect((await run(["ad", "2"])).error).toContain("did you mean `psionic add`?");
  });

  test("A-2 a call that ends after Ctrl-C exits 130 with its result", async () => {
    const { status, out } = await run(["add", "2"], { aborted: true });
    expect(status).toBe(130);
    expect(out).toBe("3\n");
  });

  test("A-2 one Ctrl-C at a prompt ends the input", async () => {
    const read = (signal: AbortSignal, readLine: () => Promise<string | null>) =>
      run(["read", "--json"], { signal, readLine });
    const stopping = new AbortController();
    const ended = read(stopping.signal, () => {
      queueMicrotask(() => stopping.abort(new Error("Ctrl-C")));
      return new Promise(() => {});
    });
    expect(await ended).toMatchObject({ status: 130, out: '{"type":"result","line":null}\n' });
    const answered = await read(new AbortController().signal, async () => "yes");
    expect(answered).toMatchObject({ status: 0, out: '{"type":"result","line":"yes"}\n' });
  });

  test("A-2 --no-input refuses instead of asking", async () => {
    expect((await run(["ask"], { live: true })).out).toBe('"answer"\n');
    expect((await run(["ask", "--no-input"], { live: true })).status).toBe(2);
    expect((await run(["ask"])).error).toContain("input_needed");
  });

  test("A-2 --home reaches composition", async () => {
    expect((await run(["--home", "/x", "add", "1"])).home).toBe("/x");
    expect((await run(["add", "1", "--home=/y"])).home).toBe("/y");
    expect((await run(["add", "1"])).home).toBeUndefined();
  });

  test("A-3 help comes from the declarations", async () => {
    const program = await run(["--help"]);
    expect(program.out).toContain("First steps\n  add");
    expect(program.out).toContain("set show");
    expect(program.out).not.toContain("secret");
    const one = await run(["add", "--help"]);
    expect(one.out).toContain("Usage  psionic add LEFT [RIGHT] [options]");
    expect(one.out).toContain("--left NUMBER");
    expect(one.out).toMatch(/the first number;\s+required/);
    expect(one.out).toContain("default 1");
    expect(one.out).toContain("psionic add 2 3");
    expect((await run(["set"])).out).toContain("set show");
    for (const { out, status } of [program, one, await run([])]) {
      expect(status).toBe(0);
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    }
  });

  test("A-2 --version says the version", async () => {
    expect((await run(["--version"])).out).toBe("psionic 1.2.3\n");
    expect(lines((await run(["--version", "--json"])).out)).toEqual([
      { type: "result", version: "1.2.3" },
    ]);
  });
});

describe("A-2 the screen", () => {
  test("A-2 a block is redrawn in place and cut to the width", () => {
    const { terminal, written } = fakeTerminal(true);
    const screen = new TerminalScreen(terminal, { colour: false, quiet: false });
    screen.draw(["one", "x".repeat(100)]);
    expect(written.error).toBe(`one\n${"x".repeat(39)}\n`);
    written.error = "";
    screen.draw(["two"]);
    expect(written.error).toBe("\x1b[2F\x1b[0Jtwo\n");
    written.error = "";
    screen.note("said");
    expect(written.error).toBe("\x1b[1F\x1b[0Jsaid\ntwo\n");
    screen.finish();
    written.error = "";
    screen.note("after");
    expect(written.error).toBe("after\n");
  });

  test("A-2 nothing is redrawn where there is no terminal", () => {
    const { terminal, written } = fakeTerminal(false);
    const screen = new TerminalScreen(terminal, { colour: false, quiet: false });
    screen.draw(["one"]);
    expect(screen.live).toBe(false);
    expect(written.error).toBe("");
  });

  test("A-2 a model's words cannot steer the terminal, and reach a file as they are", () => {
    const words = "a\tb\r\n\x1b]0;title\x07\x9b31m\x7f é 😀";
    const shown = (live: boolean) => {
      const { terminal, written } = fakeTerminal(live);
      new TerminalScreen(terminal, { colour: false, quiet: false }).write(words);
      return written.out;
    };
    expect(shown(true)).toBe("a\tb\n␛]0;title␇\ufffd31m␡ é 😀");
    expect(shown(false)).toBe(words);
  });

  test("A-2 nothing a view shows steers the terminal; the program's own colours stay", () => {
    const words = "\x1b[8mhidden\x1b[2J\x9b31m \x1b[1mbold\x1b[0m\x1b]0;title\x07";
    const shown = (colour: boolean, live = true) => {
      const { terminal, written } = fakeTerminal(live);
      const screen = new TerminalScreen(terminal, { colour, quiet: false });
      screen.print(words);
      screen.note(words);
      screen.draw([words]);
      return [written.out, ...written.error.split("\n").filter((line) => line !== "")];
    };
    const plain = "␛[8mhidden␛[2J\ufffd31m ␛[1mbold␛[0m␛]0;title␇";
    for (const line of shown(false)) expect(plain).toStartWith(line.trimEnd());
    const coloured = "␛[8mhidden␛[2J\ufffd31m \x1b[1mbold\x1b[0m␛]0;title␇";
    expect(shown(true).slice(0, 2)).toEqual([`${coloured}\n`, coloured]);
    for (const mark of ["\x1b[8m", "\x1b[2J", "\x1b]"]) expect(shown(true)[2]).not.toContain(mark);
    expect(shown(false, false)).toEqual([`${words}\n`, words]);
  });

  test("A-2 a line of JSON holds no control character, and says the same", async () => {
    const { out } = await run(["add", "\x9b2Jhidden", "--json"], { live: true });
    // oxlint-disable-next-line no-control-regex -- none of them may be there
    expect(out.trimEnd()).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
    expect(JSON.stringify(lines(out))).toContain("\x9b2Jhidden");
  });

  test("A-2 NO_COLOR, --no-color, pipes and dumb terminals have no colour", () => {
    expect(wantsColour(true, {}, false)).toBe(true);
    expect(wantsColour(true, { NO_COLOR: "" }, false)).toBe(true);
    expect(wantsColour(true, { NO_COLOR: "1" }, false)).toBe(false);
    expect(wantsColour(true, {}, true)).toBe(false);
    expect(wantsColour(false, {}, false)).toBe(false);
    expect(wantsColour(true, { TERM: "dumb" }, false)).toBe(false);
  });
});
