import type { RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";

const byErrno: Readonly<Record<string, readonly [RefusalCode, string, string]>> = {
  ENOSPC: ["disk_full", "the disk is full", "free some space and run it again"],
  EDQUOT: ["disk_full", "the disk quota is used up", "free some space and run it again"],
  EFBIG: ["disk_full", "the file would be too large", "use a file system that allows larger files"],
  EROFS: ["disk_read_only", "the file system is read-only", "choose a place that can be written"],
  EACCES: ["disk_denied", "permission denied", "check the owner and permissions of the path"],
  EPERM: ["disk_denied", "operation not permitted", "check the owner and permissions of the path"],
  ENOENT: ["not_found", "no such file or directory", "check the path"],
  EISDIR: ["not_a_file", "it is a directory", "name a file"],
  ENOTDIR: ["not_a_file", "a part of the path is no directory", "check the path"],
};

/** An error of the file system as a refusal that names the path; anything else as it is. */
export function fileFailure(error: unknown, action: string, path: string): unknown {
  const errno = (error as NodeJS.ErrnoException | null)?.code;
  if (!(error instanceof Error) || typeof errno !== "string" || !/^E[A-Z0-9]+$/.test(errno)) {
    return error;
  }
  const [code, message, hint] = byErrno[errno] ?? [
    "disk_failed",
    `the system says ${errno}`,
    "check the disk and the path",
  ];
  return new Refusal(code, `cannot ${action} ${path}: ${message}`, hint, { path, errno });
}
