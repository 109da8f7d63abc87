import { lstatSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { HomePaths } from "#src/command/services.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { answersOn } from "#src/surface/socket/client.ts";
import { lockHome } from "../home-lock.ts";
import { isSameProcess } from "./birth.ts";

/** What a running daemon says of itself in its home, for those who look for it. */
const daemonFileShape = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** Tells this process from a later one with the same id (`birthOf`). */
  birth: v.string(),
  startedMs: v.number(),
  /** `http://127.0.0.1:7421` */
  url: v.string(),
  /** Absolute path of the socket on which the owner is known by locality. */
  socket: v.string(),
  version: v.string(),
  /** Where other nodes are answered, and the certificate they must see; absent while that is off. */
  peer: v.optional(v.object({ address: v.string(), fingerprint: v.string() })),
});

export type DaemonFile = v.InferOutput<typeof daemonFileShape>;

/** As it stands in the file: with the home it is about. Files of earlier versions do not say. */
const writtenShape = v.object({ ...daemonFileShape.entries, home: v.optional(v.string()) });

const fileName = "daemon.json";
const pathOf = (home: HomePaths) => join(home.root, fileName);

/** Atomic: whoever reads it reads all of it. */
export async function publishDaemonFile(
  disk: Disk,
  home: HomePaths,
  file: DaemonFile,
): Promise<void> {
  const written = { ...file, home: realpathSync(home.root) };
  await disk.publish(pathOf(home), `${JSON.stringify(written)}\n`, 0o600);
}

/**
 * The file as it stands, whether or not its daemon still lives; null where none can be read. A home that
 * was copied while it ran holds the file of another home's daemon, which is neither called, ended nor
 * tidied up from here.
 */
export function readDaemonFile(home: HomePaths): DaemonFile | null {
  try {
    const { home: of, ...file } = v.parse(
      writtenShape,
      JSON.parse(readFileSync(pathOf(home), "utf8")),
    );
    return of === undefined || of === realpathSync(home.root) ? file : null;
  } catch {
    return null;
  }
}

/** True while the process that wrote the file lives. */
export const isAlive = (file: DaemonFile): boolean => isSameProcess(file.pid, file.birth);

/**
 * The daemon of a home that answers on its socket; null where none does. What a killed daemon left
 * behind is removed. One that lives and does not answer (it starts, or stops) counts as none: the
 * home's lock tells whoever needs to know.
 */
export async function findRunningDaemon(home: HomePaths): Promise<DaemonFile | null> {
  const file = readDaemonFile(home);
  if (file === null) return null;
  if (isAlive(file)) return (await answersOn(file.socket)) ? file : null;
  removeStale(home, file);
  return null;
}

/**
 * Removes what a daemon that is gone left behind. Only under the lock: else one that starts just now
 * would lose its files.
 */
export function removeStale(home: HomePaths, file: DaemonFile): void {
  try {
    const lock = lockHome(home);
    try {
      if (readDaemonFile(home)?.birth === file.birth) removeDaemonFiles(home, file.socket);
    } finally {
      lock.release();
    }
  } catch (error) {
    // Somebody works here, or the home can only be read; stale files harm nobody.
    if (!(error instanceof Refusal)) throw error;
  }
}

/** Removes the file and the socket. Hold the lock. */
export function removeDaemonFiles(home: HomePaths, socket: string): void {
  removeSocket(socket);
  rmSync(pathOf(home), { force: true });
}

/** Removes what a daemon left that was killed while it published its file. Hold the lock. */
export function removeHalfPublished(home: HomePaths): void {
  for (const name of readdirSync(home.root))
    if (name.startsWith(`.${fileName}.`) && name.endsWith(".tmp"))
      rmSync(join(home.root, name), { force: true });
}

/** Removes a socket; anything else at that path stays. */
export function removeSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) rmSync(path, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
