import { readFileSync } from "node:fs";
import type { HomePaths } from "#src/command/services.ts";
import { operatorTokenPath } from "#src/surface/http/operator-token.ts";

/** The page's address with the operator's token, which stays in the browser; without where it cannot be read. */
export function pageLink(home: HomePaths, url: string): string {
  try {
    const token = readFileSync(operatorTokenPath(home), "utf8").trim();
    return `${url}/#token=${token}`;
  } catch {
    return `${url}/`;
  }
}
