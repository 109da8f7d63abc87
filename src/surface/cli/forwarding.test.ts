import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Registry, type AnyCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type DoorParts, runCommandLine } from "./door.ts";

const command = (name: string, place: AnyCommand["place"]): AnyCommand => ({
  name,
  summary: "Says where it ran.",
  ...(place ? { place } : {}),
  parameters: v.strictObject({
    file: v.optional(v.pipe(v.string(), v.description("a file"))),
  }),
  paths: ["file"],
  run: (_, { emit }) => {
    emit({ type: "step", where: "here" });
    return { where: "here" };
  },
});

const toys = [command("plain", undefined), command("train", "node"), command("page", "daemon")];
toys.push({ ...command("ask", "daemon"), flow: "cluster" });

async function run(argv: string[], daemon: DoorParts["findDaemon"], signal?: AbortSignal) {
  const written = { out: "", error: "" };
  const registry = new Registry();
  for (const toy of toys) registry.declare(toy);
  const status = await runCommandLine(argv, {
    registry,
    terminal: {
      stdinIsTerminal: false,
      stdoutIsTerminal: false,
      stderrIsTerminal: false,
      columns: 80,
      out: (text) => void (written.out += text),
      error: (text) => void (written.error += text),
    },
    environment: {},
    version: "1",
    signal: signal ?? new AbortController().signal,
    askSecret: () => Promise.resolve(""),
    compose: ({ home }) => ({
      services: {
        configuration: { defaultsFor: () => ({}), settings: () => [] },
        home: { root: home ?? "/default" },
      } as unknown as Services,
      close() {},
    }),
    ...(daemon ? { findDaemon: daemon } : {}),
  });
  return { status, ...written };
}

describe("a command that waits for a mesh", () => {
  const slow: DoorParts["findDaemon"] = () =>
    Promise.resolve({
      call: (name) =>
        new Promise((resolve) =>
          setTimeout(() => resolve({ where: name }), name === "ask" ? 1_100 : 1),
        ),
    });

  test("tells a person so after a second, and a script nothing", async () => {
    const { status, error } = await run(["ask"], slow);
    expect([status, error]).toEqual([0, expect.stringContaining("waiting for others of the mesh")]);
    for (const argv of [["ask", "--json"], ["ask", "--quiet"], ["page"]])
      expect((await run(argv, slow)).error).toBe("");
  });
});

const there: DoorParts["findDaemon"] = () =>
  Promise.resolve({
    call: (name, parameters, { emit }) => {
      emit({ type: "step", where: "there", name });
      return Promise.resolve({ where: "there", parameters });
    },
  });
const nowhere: DoorParts["findDaemon"] = () => Promise.resolve(null);
const lines = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("A-9 where a command runs", () => {
  test("A-9 with a daemon, commands of the node run there, their events streamed back", async () => {
    for (const name of ["train", "page"]) {
      const { status, out } = await run([name, "--json"], there);
      expect(status).toBe(0);
      expect(lines(out)).toEqual([
        { type: "step", where: "there", name },
        { type: "result", where: "there", parameters: {} },
      ]);
    }
    expect(lines((await run(["plain", "--json"], there)).out).at(-1)).toMatchObject({
      where: "here",
    });
  });

  test("A-9 paths mean the caller's files, not the daemon's", async () => {
    const { out } = await run(["train", "--file", "a.txt", "--json"], there);
    expect(lines(out).at(-1)).toMatchObject({
      parameters: { file: `${process.cwd()}/a.txt` },
    });
  });

  test("A-9 without a daemon `node` runs here and `daemon` is refused with the line to type", async () => {
    expect(lines((await run(["train", "--json"], nowhere)).out).at(-1)).toMatchObject({
      where: "here",
    });
    const { status, out } = await run(["page", "--json"], nowhere);
    expect(status).toBe(15);
    expect(lines(out)).toMatchObject([
      { code: "daemon_absent", hint: "`psionic up --detach` starts one" },
    ]);
    const named = await run(["page", "--home", "/a b/it's", "--json"], nowhere);
    expect(lines(named.out)).toMatchObject([
      { hint: "`psionic up --detach --home '/a b/it'\\''s'` starts one" },
    ]);
  });

  test("A-9 what the daemon refuses is refused here with the same status", async () => {
    const refusing: DoorParts["findDaemon"] = () =>
      Promise.resolve({
        call: () => Promise.reject(new Refusal("daemon_lost", "it ended", "start it", {})),
      });
    const { status, error } = await run(["train"], refusing);
    expect(status).toBe(15);
    expect(error).toContain("code: daemon_lost");
  });
});
