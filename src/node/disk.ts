import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Disk, DiskEntry, FileWriter } from "#src/port/disk.ts";
import { fileFailure } from "./file-failure.ts";

/** Runs a file operation and turns what the system refuses into a refusal naming the path. */
async function guarded<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileFailure(error, action, path);
  }
}

/**
 * A name in the same directory that nobody uses. Chance, not the process id, makes it so: in a
 * container the next process has the id of the killed one whose half-written file is still there.
 */
function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 64)}.${crypto.randomUUID()}.tmp`);
}

/** The machine's own files. */
export const machineDisk: Disk = {
  readBytes: (path) => guarded("read", path, async () => new Uint8Array(await fs.readFile(path))),

  readText: (path) => guarded("read", path, () => fs.readFile(path, "utf8")),

  readRange: (path, offset, length) =>
    guarded("read", path, async () => {
      const file = await fs.open(path, "r");
      try {
        const bytes = new Uint8Array(length);
        let filled = 0;
        while (filled < length) {
          const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return bytes.subarray(0, filled);
      } finally {
        await file.close();
      }
    }),

  publish: (path, content, mode = 0o644) =>
    guarded("write", path, async () => {
      const temporary = temporaryBeside(path);
      try {
        const file = await fs.open(temporary, "wx", mode);
        try {
          await file.writeFile(content);
          await file.sync();
        } finally {
          await file.close();
        }
        await fs.rename(temporary, path);
      } catch (error) {
        await fs.rm(temporary, { force: true }).catch(() => {});
        throw error;
      }
      await syncDirectory(dirname(path));
    }),

  create: (path) =>
    guarded("write", path, async (): Promise<FileWriter> => {
      const file = await fs.open(path, "wx", 0o644);
      return {
        write: (bytes) =>
          guarded("write", path, async () => {
            let written = 0;
            while (written < bytes.length) {
              written += (await file.write(bytes, written)).bytesWritten;
            }
          }),
        sync: () => guarded("write", path, () => file.sync()),
        close: () => guarded("write", path, () => file.close()),
      };
    }),

  rename: (from, to) => guarded("rename", from, () => fs.rename(from, to)),

  remove: (path) => guarded("remove", path, () => fs.rm(path, { recursive: true, force: true })),

  makeDirectory: (path, mode = 0o755) =>
    guarded("make directory", path, async () => {
      await fs.mkdir(path, { recursive: true, mode });
    }),

  syncDirectory: (path) => guarded("sync", path, () => syncDirectory(path)),

  list: (path) =>
    guarded("list", path, async () => {
      const names = await fs.readdir(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return [];
        throw error;
      });
      const entries = await Promise.all(names.toSorted(byName).map((name) => entryOf(path, name)));
      return entries.filter((entry) => entry !== null);
    }),

  stat: (path) => guarded("look at", path, () => entryOf(dirname(path), basename(path))),

  isLink: (path) => guarded("look at", path, async () => (await fs.lstat(path)).isSymbolicLink()),

  freeBytes: (path) =>
    guarded("look at", path, async () => {
      const { bavail, bsize } = await fs.statfs(path);
      return bavail * bsize;
    }),
  totalBytes: (path) =>
    guarded("look at", path, async () => {
      const { blocks, bsize } = await fs.statfs(path);
      return blocks * bsize;
    }),
};

const byName = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);

async function syncDirectory(path: string): Promise<void> {
  const directory = await fs.open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** What a path is, links followed; null where there is nothing, or a link that leads nowhere. */
async function entryOf(directory: string, name: string): Promise<DiskEntry | null> {
  try {
    const status = await fs.stat(join(directory, name));
    return {
      name,
      kind: status.isFile() ? "file" : status.isDirectory() ? "directory" : "other",
      sizeBytes: status.size,
      modifiedMs: status.mtimeMs,
      mode: status.mode & 0o7777,
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ELOOP") return null;
    throw error;
  }
}
