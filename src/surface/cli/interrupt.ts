import { readFileSync } from "node:fs";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The first Ctrl-C (or SIGTERM, SIGHUP) aborts the returned signal, so that the command can
 * checkpoint and stop; a Ctrl-C after it ends the process at once through `kill`. Repeated SIGTERM and
 * SIGHUP change nothing: service managers and closing sessions send several, and mean the first.
 */
export function interruptSignal(kill: () => void): AbortController {
  const controller = new AbortController();
  const interrupt = (name: string) => {
    if (controller.signal.aborted) {
      if (name !== "SIGINT") return;
      kill();
      process.exit(130);
    }
    controller.abort(
      new Refusal("interrupted", `stopped by ${name}`, "run the same command again to go on"),
    );
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => interrupt(name));
  if (!ignoresHangUp()) process.on("SIGHUP", () => interrupt("SIGHUP"));
  return controller;
}

/** True under `nohup`, whose whole point a handler of our own would undo. */
function ignoresHangUp(): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n;
  } catch {
    return false;
  }
}
