import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { HomePaths } from "#src/command/services.ts";

/** 256 bits: nobody guesses it. */
const tokenBytes = 32;
const tokenShape = /^[A-Za-z0-9_-]{43}\n?$/;

export function operatorTokenPath(home: Pick<HomePaths, "identity">): string {
  return join(home.identity, "operator.token");
}

/**
 * The token that makes an HTTP caller the owner. Made where there is none, where the file is not one, and
 * where others than its user could have read it; otherwise the same across restarts. It is never
 * logged and never leaves this file by itself.
 */
export function openOperatorToken(home: Pick<HomePaths, "identity">): string {
  const path = operatorTokenPath(home);
  const present = readPrivately(path);
  if (present !== null) return present;
  const token = randomBytes(tokenBytes).toString("base64url");
  mkdirSync(home.identity, { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w", 0o600);
  try {
    writeSync(file, `${token}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  return token;
}

/** The token of a regular file that only its user can read; null for anything else. */
function readPrivately(path: string): string | null {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isFile() || (found.mode & 0o077) !== 0) return null;
  if (found.size > 2 * tokenBytes) return null;
  const text = readFileSync(path, "utf8");
  return tokenShape.test(text) ? text.trim() : null;
}
