import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";
import { machineProcesses, started } from "./processes.ts";

/**
 * A program that starts itself in a role, as psionic does. `Bun.main` is the program's own
 * file, so it has to be one.
 */
const program = `
  import { machineProcesses, parentProcess } from "${join(import.meta.dir, "processes.ts")}";
  const [word, mode] = process.argv.slice(2);
  if (word === "__echo") {
    const parent = parentProcess();
    parent.gone.addEventListener("abort", () => process.exit(3));
    console.log("talk of the child");
    parent.onMessage((message) => {
      if (message === "end") process.exit(5);
      if (message === "signal") process.kill(process.pid, "SIGINT");
      parent.send({ heard: message, home: process.env.PSIONIC_HOME, pid: process.pid });
    });
  } else {
    const processes = machineProcesses("/a/home");
    const seen = [];
    const child = processes.spawnSelf("echo", (message) => {
      seen.push(message);
      if (mode === "orphan") console.log(message.pid);
      else if (seen.length === 1) child.send(mode === "ignore" ? "signal" : { more: 1n });
      else if (mode === "kill") processes.killAll();
      else child.send("end");
    });
    child.send(new Float32Array([1.5, NaN]));
    const { status, signal } = await child.exited;
    console.log(JSON.stringify({
      status,
      signal,
      floats: seen[0].heard instanceof Float32Array && Object.is(seen[0].heard[1], NaN),
      big: typeof seen[1].heard.more,
      home: seen[0].home,
    }));
    process.exit(0);
  }
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-processes-"));
  writeFileSync(join(folder, "program.ts"), program);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = (mode: string) =>
  Bun.spawn([process.execPath, join(folder, "program.ts"), "parent", mode], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000,
    killSignal: "SIGKILL",
  });

async function report(mode: string) {
  const child = start(mode);
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { said: JSON.parse(out) as Record<string, unknown>, error };
}

describe("T-6 children of this executable", () => {
  test("T-6 messages are structured clones, stdout stays the parent's, the home is shared", async () => {
    const { said, error } = await report("plain");
    expect(said).toEqual({
      status: 5,
      signal: null,
      floats: true,
      big: "bigint",
      home: "/a/home",
    });
    expect(error).toBe("talk of the child\n");
  });

  test("T-6 Ctrl-C at the terminal is the parent's to judge", async () => {
    const { said } = await report("ignore");
    expect(said).toMatchObject({ status: 5, signal: null });
  });

  test("T-6 children still running are killed on the way out", async () => {
    const { said } = await report("kill");
    expect(said).toMatchObject({ signal: "SIGKILL" });
  });

  test("T-6 a child whose parent is killed ends by itself", async () => {
    const parent = start("orphan");
    const { value } = await parent.stdout.getReader().read();
    const pid = Number(new TextDecoder().decode(value).trim());
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await parent.exited;
    for (let check = 0; isAlive(pid) && check < 1_000; check++) await Bun.sleep(10);
    expect(isAlive(pid)).toBe(false);
  });

  test("T-6 a system without a process to give is a refusal, another failure is a bug", () => {
    const refusal = (command: string) => () => started(() => Bun.spawn({ cmd: [command] }));
    expect(refusal("/absent/psionic")).toThrow("the system says ENOENT");
    expect(() => started(() => Bun.spawn({ cmd: ["/bin/true", "a\0b"] }))).toThrow(TypeError);
  });
});

describe("A-2 other programs", () => {
  const programs = machineProcesses(tmpdir());

  test("A-2 a program gets its words as they are, and a mebibyte goes through its pipes", async () => {
    const words = programs.spawnProgram(["printf", "%s|", "a b", "$HOME", "*", "'"]);
    words.endInput();
    expect(await textOf(words.output)).toBe("a b|$HOME|*|'|");
    expect(await words.exited).toEqual({ status: 0, signal: null });
    const cat = programs.spawnProgram(["cat"]);
    const sent = "x".repeat(2 ** 20);
    const heard = textOf(cat.output);
    await cat.write(new TextEncoder().encode(sent));
    cat.endInput();
    expect((await heard) === sent).toBe(true);
  });

  test("A-2 a program that does not exist is a refusal, and one can be ended", async () => {
    expect(() => programs.spawnProgram(["/absent/program"])).toThrow(Refusal);
    expect(() => programs.spawnProgram(["/absent/program"])).toThrow("the system says ENOENT");
    const cat = programs.spawnProgram(["cat"]);
    cat.kill("SIGTERM");
    expect(await cat.exited).toMatchObject({ signal: "SIGTERM" });
  });
});

async function textOf(output: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of output) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** True while a process runs; one that has ended but is not yet collected does not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (!existsSync("/proc/self/stat")) return true;
  const state = Bun.spawnSync(["cat", `/proc/${pid}/stat`]).stdout.toString();
  return state !== "" && !/^\d+ \(.*\) Z/.test(state);
}
