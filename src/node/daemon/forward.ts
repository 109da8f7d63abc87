import type { Services } from "#src/command/define.ts";
import type { RunningDaemon } from "#src/surface/cli/door.ts";
import { callDaemon } from "#src/surface/socket/client.ts";
import { findRunningDaemon } from "./daemon-file.ts";

/** The daemon of a home as a terminal calls it; null where none answers. */
export async function runningDaemon({ home }: Services): Promise<RunningDaemon | null> {
  const file = await findRunningDaemon(home);
  if (file === null) return null;
  return {
    call: (name, parameters, options) => callDaemon(file.socket, name, parameters, options),
  };
}
