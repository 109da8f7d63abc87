import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { HomePaths } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { machineDisk } from "../disk.ts";
import { lockHome } from "../home-lock.ts";
import { homePaths } from "../home.ts";
import { birthOf, childrenOf, isSameProcess } from "./birth.ts";
import {
  type DaemonFile,
  findRunningDaemon,
  publishDaemonFile,
  readDaemonFile,
  removeHalfPublished,
  removeSocket,
} from "./daemon-file.ts";
import { socketPath, socketPathMaximumBytes } from "./socket-path.ts";

let folder: string;
let home: HomePaths;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-daemon-"));
  home = homePaths(join(folder, "home"), {});
  mkdirSync(home.root);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const fileOf = (own: Partial<DaemonFile> = {}): DaemonFile => ({
  pid: process.pid,
  birth: birthOf(process.pid)!,
  startedMs: 5,
  url: "http://127.0.0.1:1",
  socket: join(home.root, "psionic.sock"),
  version: "1",
  ...own,
});

async function endedChild(): Promise<{ pid: number; birth: string }> {
  const child = Bun.spawn(["sleep", "60"]);
  const birth = birthOf(child.pid)!;
  child.kill("SIGKILL");
  await child.exited;
  return { pid: child.pid, birth };
}

describe("A-9 which process a daemon is", () => {
  test("A-9 a process has one birth, another one another, and none after its end", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const birth = birthOf(child.pid)!;
    expect(birth).not.toBe("");
    expect(birthOf(child.pid)).toBe(birth);
    expect(isSameProcess(child.pid, birth)).toBe(true);
    expect(isSameProcess(process.pid, birth)).toBe(false);
    expect(childrenOf(process.pid)).toContainEqual({ pid: child.pid, birth });
    child.kill("SIGKILL");
    await child.exited;
    expect(birthOf(child.pid)).toBeNull();
    expect(isSameProcess(child.pid, birth)).toBe(false);
  });
});

describe("A-9 daemon.json", () => {
  test("A-9 is the owner's alone and reads back; a damaged one counts as none", async () => {
    await publishDaemonFile(machineDisk, home, fileOf());
    expect(readDaemonFile(home)).toEqual(fileOf());
    expect(statSync(join(home.root, "daemon.json")).mode & 0o777).toBe(0o600);
    for (const text of ["", "{", '{"pid":"1"}', '{"pid":-4}']) {
      writeFileSync(join(home.root, "daemon.json"), text);
      expect(readDaemonFile(home)).toBeNull();
      expect(await findRunningDaemon(home)).toBeNull();
    }
  });

  test("A-9 a copied home's file tells of no daemon; a home by another name is the same", async () => {
    await publishDaemonFile(machineDisk, home, fileOf());
    const copy = homePaths(join(folder, "copy"), {});
    cpSync(home.root, copy.root, { recursive: true });
    expect(readDaemonFile(copy)).toBeNull();
    symlinkSync(home.root, join(folder, "alias"));
    expect(readDaemonFile(homePaths(join(folder, "alias"), {}))).toEqual(fileOf());
  });

  test("A-9 a daemon that answers is found", async () => {
    const file = fileOf();
    const server = Bun.serve({ unix: file.socket, fetch: () => new Response("alive") });
    await publishDaemonFile(machineDisk, home, file);
    expect(await findRunningDaemon(home)).toEqual(file);
    await server.stop(true);
    expect(await findRunningDaemon(home)).toBeNull();
    expect(readDaemonFile(home)).toEqual(file);
  });

  test("A-9 what a killed daemon left is removed, but not while somebody has the home", async () => {
    const file = fileOf(await endedChild());
    const program = `Bun.serve({ unix: ${JSON.stringify(file.socket)}, fetch: () => new Response("") });
      process.kill(process.pid, "SIGKILL");`;
    await Bun.spawn([process.execPath, "-e", program]).exited;
    await publishDaemonFile(machineDisk, home, file);
    expect(existsSync(file.socket)).toBe(true);
    const lock = lockHome(home);
    expect(await findRunningDaemon(home)).toBeNull();
    expect(readDaemonFile(home)).toEqual(file);
    lock.release();
    expect(await findRunningDaemon(home)).toBeNull();
    expect(readDaemonFile(home)).toBeNull();
    expect(existsSync(file.socket)).toBe(false);
    // The lock was given back.
    lockHome(home).release();
  });

  test("A-9 a file half published by a killed daemon is removed, and nothing beside it", () => {
    for (const name of [".daemon.json.0f.tmp", "daemon.json.tmp", ".other.json.0f.tmp"])
      writeFileSync(join(home.root, name), "");
    removeHalfPublished(home);
    const left = readdirSync(home.root).filter((name) => name.endsWith(".tmp"));
    expect(left.toSorted()).toEqual([".other.json.0f.tmp", "daemon.json.tmp"]);
  });

  test("A-9 only a socket is ever removed as one", () => {
    const path = join(folder, "precious");
    writeFileSync(path, "text");
    removeSocket(path);
    removeSocket(join(folder, "absent"));
    expect(existsSync(path)).toBe(true);
  });
});

describe("A-9 where the socket is", () => {
  test("A-9 in the home while the path fits, else in a folder of the user alone", () => {
    expect(socketPath(home)).toBe(join(home.root, "psionic.sock"));
    const long = homePaths(join(folder, "x".repeat(120)), {});
    const path = socketPath(long, folder);
    expect(path.startsWith(join(folder, `psionic-${userInfo().uid}/`))).toBe(true);
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(socketPathMaximumBytes);
    expect(statSync(join(path, "..")).mode & 0o777).toBe(0o700);
    expect(socketPath(long, folder)).toBe(path);
    expect(socketPath(homePaths(join(folder, "y".repeat(120)), {}), folder)).not.toBe(path);
  });

  test("A-9 a folder others can write, or a link in its place, is refused", () => {
    const long = homePaths(join(folder, "x".repeat(120)), {});
    const own = join(folder, `psionic-${userInfo().uid}`);
    const refused = () => {
      try {
        socketPath(long, folder);
      } catch (error) {
        return error instanceof Refusal ? error.code : String(error);
      }
      return null;
    };
    mkdirSync(own);
    chmodSync(own, 0o777);
    expect(refused()).toBe("disk_denied");
    rmSync(own, { recursive: true });
    mkdirSync(join(folder, "elsewhere"), { mode: 0o700 });
    symlinkSync(join(folder, "elsewhere"), own);
    expect(refused()).toBe("disk_denied");
  });
});
