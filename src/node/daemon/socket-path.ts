import { createHash } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { HomePaths } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { fileFailure } from "../file-failure.ts";

/** Bytes a socket's path may have on every system: macOS has room for 104 with the closing zero. */
export const socketPathMaximumBytes = 103;

/**
 * Where the daemon of a home listens: in the home, or where that path is too long for a socket, in a
 * folder of the user alone under the system's temporary directory. Refused with `disk_denied` where
 * that folder is somebody else's.
 */
export function socketPath(home: HomePaths, temporary: string = tmpdir()): string {
  const direct = join(home.root, "psionic.sock");
  if (Buffer.byteLength(direct) <= socketPathMaximumBytes) return direct;
  const { uid } = userInfo();
  const name = `${createHash("sha256").update(home.root).digest("hex").slice(0, 24)}.sock`;
  const inside = (folder: string) => join(folder, `psionic-${uid}`, name);
  const fits = Buffer.byteLength(inside(temporary)) <= socketPathMaximumBytes;
  const path = inside(fits ? temporary : "/tmp");
  ownFolder(join(path, ".."), uid);
  return path;
}

function ownFolder(folder: string, uid: number): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const status = lstatSync(folder);
    if (status.isDirectory() && status.uid === uid && (status.mode & 0o077) === 0) return;
  } catch (error) {
    throw fileFailure(error, "make directory", folder);
  }
  throw new Refusal(
    "disk_denied",
    `${folder} must be a folder of yours alone (mode 0700), for the daemon's socket`,
    "remove it, or use a home with a shorter path",
    { path: folder },
  );
}
