import { entry, type CodeEntry } from "./entry.ts";

/** The home, its database, and the disk and machine beneath it. */
export const homeCodes = {
  home_locked: entry(
    11,
    409,
    true,
    "Another psionic process is changing this home. Wait for it, stop it, or use another home with --home. A killed process never leaves the lock behind.",
  ),
  home_unwritable: entry(
    14,
    412,
    false,
    "The node home cannot be written. Make it writable or choose another with --home or PSIONIC_HOME.",
  ),
  disk_full: entry(
    14,
    507,
    true,
    "No space is left where psionic writes. What was acknowledged before is still there; free some space and run the command again.",
  ),
  disk_read_only: entry(
    14,
    412,
    false,
    "The file system is mounted read-only. Choose a place that can be written.",
  ),
  disk_denied: entry(
    14,
    412,
    false,
    "The system does not let this user read or write that path. Check its owner and permissions.",
  ),
  disk_failed: entry(
    14,
    412,
    true,
    "The system refused a file operation for a reason named in the message.",
  ),
  not_found: entry(10, 404, false, "The named file or thing does not exist."),
  not_a_file: entry(
    14,
    412,
    false,
    "A file was expected where there is a directory, a pipe or a device, or the reverse.",
  ),
  store_corrupt: entry(
    14,
    412,
    false,
    "The node database is damaged. Move node.db away (with its -wal and -shm files) or restore it from a backup; runs/ and artifacts/ hold the checkpoints themselves.",
  ),
  store_newer: entry(
    14,
    412,
    false,
    "The node database was written by a newer psionic. Use that version, or another home.",
  ),
  store_busy: entry(
    11,
    409,
    true,
    "Another process kept the node database busy for too long. Try again.",
  ),
  machine_unfit: entry(
    14,
    412,
    false,
    "`psionic doctor` found something this machine needs first. Each failing line names its fix.",
  ),
  program_unavailable: entry(
    15,
    503,
    false,
    "A program that was named could not be started: it does not exist, may not be executed, or the system has no process to give.",
  ),
} as const satisfies Record<string, CodeEntry>;
