import { readFileSync } from "node:fs";
import type { HomePaths } from "#src/command/services.ts";
import { operatorTokenPath } from "#src/surface/http/operator-token.ts";

/**
 * The page's address on this machine with the operator's token, which a browser keeps to itself; without
 * it where it cannot be read.
 */
export function pageLink(home: HomePaths, url: string): string {
  const here = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  try {
    const token = readFileSync(operatorTokenPath(home), "utf8").trim();
    return `${here}/#token=${token}`;
  } catch {
    return `${here}/`;
  }
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i;

/** True for an address only this machine reaches. */
export const isLoopback = (host: string): boolean => loopback.test(host);
