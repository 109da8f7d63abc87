import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { drainParameter, durationMs } from "./duration.ts";

defineCommand({
  name: "down",
  summary: "Stop the daemon in order, and wait until it is gone.",
  access: "owner",
  localOnly: true,
  withoutSettings: true,
  flow: "node",
  parameters: v.strictObject({ drain: drainParameter }),
  result: v.object({
    /** `absent` where none ran. */
    state: v.picklist(["stopped", "stopping", "absent"]),
    pid: v.nullable(v.number()),
    by: v.nullable(v.picklist(["request", "SIGTERM", "SIGKILL"])),
  }),
  examples: ["psionic down", "psionic down --drain 2m"],
  async run({ drain }, { services }) {
    const ms = durationMs(drain);
    if (services.daemon !== null) {
      // Called in the daemon itself, which cannot wait for its own end.
      services.daemon.stop(ms);
      return { state: "stopping" as const, pid: services.daemon.file.pid, by: "request" as const };
    }
    const { endDaemon } = await import("./down.ts");
    const ended = await endDaemon(services.home, { text: drain, ms }, services.clock);
    return ended === null
      ? { state: "absent" as const, pid: null, by: null }
      : { state: "stopped" as const, ...ended };
  },
  view: (screen) => ({
    result({ state, pid, by }) {
      if (state === "absent") return screen.note("no daemon has this home");
      if (state === "stopping") return screen.note(`process ${pid} is stopping`);
      const force = by === "request" ? "" : ` (it took ${by})`;
      screen.note(`this node is down; process ${pid} is gone${force}`);
    },
  }),
});
