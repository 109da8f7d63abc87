import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HomePaths } from "#src/command/services.ts";
import { machineClock } from "../clock.ts";
import { machineDisk } from "../disk.ts";
import { homePaths } from "../home.ts";
import { birthOf } from "./birth.ts";
import { publishDaemonFile } from "./daemon-file.ts";
import { endDaemon } from "./down.ts";

let folder: string;
let home: HomePaths;
const children: Bun.Subprocess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-down-"));
  home = homePaths(join(folder, "home"), {});
  mkdirSync(home.root);
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A process that stands for a daemon nobody can talk to; it says `ready` when its traps are set. */
async function pretend(script: string, birth?: string): Promise<Bun.Subprocess> {
  const child = Bun.spawn(["bash", "-c", `${script}; echo ready; while :; do sleep 0.02; done`], {
    stdin: "ignore",
    stdout: "pipe",
  });
  children.push(child);
  await child.stdout.getReader().read();
  await publishDaemonFile(machineDisk, home, {
    pid: child.pid,
    birth: birth ?? birthOf(child.pid)!,
    startedMs: 0,
    url: "http://127.0.0.1:1",
    socket: join(home.root, "psionic.sock"),
    version: "1",
  });
  return child;
}

const drain = { text: "10ms", ms: 10 };
const end = () => endDaemon(home, drain, machineClock);

describe("A-9 down", () => {
  test("A-9 where nothing runs it says so", async () => {
    expect(await end()).toBeNull();
  });

  test("A-9 one that does not listen is asked by SIGTERM, and its files are removed", async () => {
    const child = await pretend("trap 'exit 0' TERM");
    expect(await end()).toEqual({ pid: child.pid, by: "SIGTERM" });
    expect(await child.exited).toBe(0);
    expect(existsSync(join(home.root, "daemon.json"))).toBe(false);
  });

  test("A-9 one that does not obey either is killed, after its drain time", async () => {
    const child = await pretend("trap '' TERM");
    expect(await end()).toEqual({ pid: child.pid, by: "SIGKILL" });
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
  }, 30_000);

  test("A-9 a process that only has the daemon's old id is left alone", async () => {
    const child = await pretend("true", "another birth");
    expect(await end()).toBeNull();
    expect(birthOf(child.pid)).not.toBeNull();
    expect(existsSync(join(home.root, "daemon.json"))).toBe(false);
  });
});
