import type { HomePaths } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { homeUnwritable } from "./home.ts";

/** What SQLite reports as a refusal; a wrong statement is a bug and stays an error. */
export function databaseFailure(error: unknown, path: string, home: HomePaths): unknown {
  const code = (error as { code?: string } | null)?.code ?? "";
  const facts = { path, sqlite: code };
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    return new Refusal(
      "store_corrupt",
      `${path} is damaged`,
      "move it away together with its -wal and -shm files, or restore it from a backup",
      facts,
    );
  }
  if (code.startsWith("SQLITE_BUSY") || code === "SQLITE_LOCKED") {
    return new Refusal(
      "store_busy",
      `another process keeps ${path} busy`,
      "try again when it has finished",
      facts,
    );
  }
  if (code === "SQLITE_FULL") {
    return new Refusal("disk_full", `no space to write ${path}`, "free some space", facts);
  }
  if (code.startsWith("SQLITE_IOERR")) {
    return new Refusal(
      "disk_failed",
      `the disk failed under ${path} (${code})`,
      "check the disk and its free space",
      facts,
    );
  }
  if (code.startsWith("SQLITE_READONLY") || code.startsWith("SQLITE_CANTOPEN")) {
    return homeUnwritable(home, code);
  }
  return error;
}
