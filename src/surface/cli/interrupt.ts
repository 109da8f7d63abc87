import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The first Ctrl-C (or SIGTERM, SIGHUP) aborts the returned signal, so that the command can
 * checkpoint and stop; the second ends the process at once through `kill`.
 */
export function interruptSignal(kill: () => void): AbortController {
  const controller = new AbortController();
  const interrupt = (name: string) => {
    if (controller.signal.aborted) {
      kill();
      process.exit(130);
    }
    controller.abort(
      new Refusal("interrupted", `stopped by ${name}`, "run the same command again to go on"),
    );
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => interrupt(name));
  }
  return controller;
}
