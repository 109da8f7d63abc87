import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  statSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { HomePaths } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** The node home: --home, else PSIONIC_HOME, else ~/.psionic. */
export function homePaths(
  flag: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): HomePaths {
  const root = resolve(flag || environment["PSIONIC_HOME"] || join(homedir(), ".psionic"));
  return {
    root,
    identity: join(root, "identity"),
    database: join(root, "node.db"),
    artifacts: join(root, "artifacts"),
    runs: join(root, "runs"),
    configuration: join(root, "psionic.toml"),
  };
}

/** Makes the home's directory where it is missing and checks that it can be written. */
export function prepareHome(home: HomePaths): void {
  try {
    mkdirSync(home.root, { recursive: true, mode: 0o700 });
    accessSync(home.root, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw homeUnwritable(home, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

/**
 * Makes sure that a database's file is its user's alone before SQLite opens it, whatever the mode of the home
 * and the mask: who can read it reads the node's record, and who can read the lock's file can hold the lock.
 * SQLite gives the files beside it the same mode. A file that is there is never opened here: closing it would
 * drop the locks this process has on it.
 */
export function keepPrivate(path: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) closeSync(openSync(path, "wx", 0o600));
    else if ((found.mode & 0o077) !== 0) chmodSync(path, found.mode & 0o700);
  } catch {
    // Another process was faster, or the home can only be read; SQLite says what cannot be done.
  }
}

export function homeUnwritable(home: HomePaths, errno: string): Refusal {
  return new Refusal(
    "home_unwritable",
    `the node home ${home.root} cannot be written (${errno})`,
    "make it writable, or choose another with --home DIR or PSIONIC_HOME",
    { home: home.root, errno },
  );
}
