import { registry } from "#src/command/registry.ts";
import { runCommandLine } from "#src/surface/cli/door.ts";
import { interruptSignal } from "#src/surface/cli/interrupt.ts";
import { askSecret, openPipe, openTerminal, readLine } from "#src/surface/cli/terminal.ts";
import { buildInfo } from "./build.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "./commands.ts";
import { rolePrefix } from "./processes.ts";
import { runRole } from "./roles.ts";
import { compose, type Composition } from "./services.ts";

/**
 * The program. A first word with two underscores starts a hidden role, as the program does by
 * itself; anything else is a command line.
 */
async function main(argv: readonly string[]): Promise<number> {
  const [first = ""] = argv;
  if (first.startsWith(rolePrefix)) return runRole(first.slice(rolePrefix.length));

  const compositions: Composition[] = [];
  const interrupt = interruptSignal(() => {
    for (const composition of compositions) composition.close();
  });
  const status = await runCommandLine(argv, {
    registry,
    terminal: openTerminal(() => interrupt.abort(readerGone)),
    environment: process.env,
    version: (await buildInfo()).version,
    signal: interrupt.signal,
    askSecret,
    readLine,
    pipe: openPipe(() => interrupt.abort(readerGone)),
    findDaemon: async (services) => (await import("./daemon/forward.ts")).runningDaemon(services),
    compose(options) {
      const composition = compose(options);
      compositions.push(composition);
      return composition;
    },
  });
  return interrupt.signal.reason === readerGone ? 0 : status;
}

/** Why a command stops when nobody reads its output any more: no failure, and no talk of it. */
const readerGone = new Error("nobody reads the output any more");

process.exit(await main(process.argv.slice(2)));
