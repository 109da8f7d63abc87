import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { HomePaths } from "#src/command/services.ts";
import { fileFailure } from "../file-failure.ts";
import { prepareHome } from "../home.ts";

/** Where the logs of a home lie; apart from what writes them, which only a daemon loads. */

/** A log file of this size is set aside as `psionic.log.1`. */
export const logFileMaximumBytes = 8 * 1024 * 1024;
/** Files set aside that are kept; older ones are overwritten. */
export const logFileMaximum = 4;

export const logPath = (home: HomePaths) => join(home.root, "logs", "psionic.log");

/** Makes the folder of the logs, the owner's alone. */
export function prepareLogs(home: HomePaths): string {
  prepareHome(home);
  const folder = join(home.root, "logs");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileFailure(error, "make directory", folder);
  }
  return folder;
}
