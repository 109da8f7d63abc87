import { isatty } from "node:tty";
import { detachedVariable } from "./detach.ts";

/** True where what the daemon says on stderr is read by a service manager, not by a person. */
export function isServed(): boolean {
  return !isatty(2) && process.env[detachedVariable] === undefined;
}
