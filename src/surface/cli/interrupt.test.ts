import { describe, expect, test } from "bun:test";
import { join } from "node:path";

const root = join(import.meta.dir, "../../..");

/** A program that says `ready`, then waits for Ctrl-C; `stuck` never stops by itself. */
const program = (stuck: boolean) => `
  import { interruptSignal } from "#src/surface/cli/interrupt.ts";
  import { openTerminal } from "#src/surface/cli/terminal.ts";
  const terminal = openTerminal(() => process.exit(0));
  const { signal } = interruptSignal(() => terminal.out("killing children\\n"));
  const alive = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => {
    terminal.out("checkpoint: " + signal.reason.code + ", " + signal.reason.message + "\\n");
    if (!${stuck}) { clearInterval(alive); process.exit(130); }
  });
  terminal.out("ready\\n");
`;

function start(code: string) {
  return Bun.spawn([process.execPath, "-e", code], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
}

/** Reads until the text has come; what else came is kept in `seen`. */
async function readUntil(
  reader: { read(): Promise<{ value?: Uint8Array | undefined; done: boolean }> },
  wanted: string,
): Promise<string> {
  let seen = "";
  while (!seen.includes(wanted)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`ended before "${wanted}": ${seen}`);
    seen += new TextDecoder().decode(value);
  }
  return seen;
}

describe("A-2 interrupts", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "A-2 the first %s lets the command checkpoint and stop",
    async (name) => {
      const child = start(program(false));
      const reader = child.stdout.getReader();
      await readUntil(reader, "ready");
      child.kill(name);
      expect(await readUntil(reader, "\n")).toContain("checkpoint: interrupted");
      await child.exited;
      expect(child.exitCode).toBe(130);
    },
  );

  test.each(["SIGTERM", "SIGHUP"] as const)(
    "A-2 a repeated %s is no impatience; a Ctrl-C after it is",
    async (name) => {
      const child = start(program(true));
      const reader = child.stdout.getReader();
      await readUntil(reader, "ready");
      child.kill(name);
      await readUntil(reader, "checkpoint");
      for (const again of ["SIGTERM", "SIGHUP", "SIGTERM"] as const) child.kill(again);
      await Bun.sleep(300);
      expect(child.exitCode).toBeNull();
      child.kill("SIGINT");
      await readUntil(reader, "killing children");
      await child.exited;
      expect(child.exitCode).toBe(130);
    },
  );

  test("A-2 the second Ctrl-C ends it at once", async () => {
    const child = start(program(true));
    const reader = child.stdout.getReader();
    await readUntil(reader, "ready");
    child.kill("SIGINT");
    await readUntil(reader, "checkpoint");
    child.kill("SIGINT");
    await readUntil(reader, "killing children");
    await child.exited;
    expect(child.exitCode).toBe(130);
  });
});

describe("A-2 nohup", () => {
  test("A-2 under nohup a hang-up does not stop the work", async () => {
    const child = Bun.spawn(
      ["bash", "-c", 'trap "" HUP; exec "$0" -e "$1"', process.execPath, program(false)],
      { cwd: root, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const reader = child.stdout.getReader();
    await readUntil(reader, "ready");
    child.kill("SIGHUP");
    child.kill("SIGTERM");
    expect(await readUntil(reader, "\n")).toContain("stopped by SIGTERM");
    await child.exited;
  });
});

describe("A-2 stdout", () => {
  test("A-2 every byte is written, however slow the reader", async () => {
    const lines = 20_000;
    const child = start(`
      import { openTerminal } from "#src/surface/cli/terminal.ts";
      const terminal = openTerminal(() => process.exit(9));
      for (let line = 0; line < ${lines}; line++) terminal.out(line + " ".repeat(50) + "\\n");
      process.exit(0);
    `);
    const text = await child.stdout.text();
    expect(text.trimEnd().split("\n").length).toBe(lines);
    await child.exited;
    expect(child.exitCode).toBe(0);
  });

  test("A-2 a reader that goes away is noticed once and quietly", async () => {
    const code = `
      import { openTerminal } from "#src/surface/cli/terminal.ts";
      let gone = 0;
      const terminal = openTerminal(() => void gone++);
      for (let line = 0; line < 100_000; line++) terminal.out("a line of text\\n");
      process.exit(gone === 1 ? 7 : 8);
    `;
    const child = Bun.spawn(
      ["bash", "-c", 'set -o pipefail; "$0" -e "$1" | head -1', process.execPath, code],
      { cwd: root, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    expect({ status: child.exitCode, out, error }).toEqual({
      status: 7,
      out: "a line of text\n",
      error: "",
    });
  });
});
