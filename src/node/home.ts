import { accessSync, constants, mkdirSync } from "node:fs";
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

export function homeUnwritable(home: HomePaths, errno: string): Refusal {
  return new Refusal(
    "home_unwritable",
    `the node home ${home.root} cannot be written (${errno})`,
    "make it writable, or choose another with --home DIR or PSIONIC_HOME",
    { home: home.root, errno },
  );
}
