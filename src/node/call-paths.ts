import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { dispatch } from "#src/command/dispatch.ts";
import type { CallPath } from "#src/command/services.ts";
import { callDaemon } from "#src/surface/socket/client.ts";
import { startDetached } from "./daemon/detach.ts";
import { endDaemon } from "./daemon/down.ts";
import { homePaths } from "./home.ts";

/** A command that does next to nothing, so that what is measured is the way to it. */
const command = "version";

/** The call inside this process: registry, gate, schema, function. */
export function processPath(services: Services): CallPath {
  const call = {
    registry: services.registry,
    services,
    caller: { provenance: "local" } as const,
    signal: new AbortController().signal,
    emit() {},
  };
  return { name: "call-process", call: () => dispatch(call, command, {}), close: async () => {} };
}

/** The call of a daemon in a home of its own, over its local socket; closing ends the daemon. */
export async function socketPath(services: Services): Promise<CallPath> {
  const root = mkdtempSync(join(tmpdir(), "psionic-calls-"));
  const home = homePaths(root, {});
  const signal = new AbortController().signal;
  const { socket } = await startDetached(home, ["--port", "0"], services.clock);
  return {
    name: "call-socket",
    call: () => callDaemon(socket, command, {}, { signal, emit() {} }),
    async close() {
      await endDaemon(home, { text: "1s", ms: 1_000 }, services.clock);
      rmSync(root, { recursive: true, force: true });
    },
  };
}
