import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { DaemonControl } from "./control.ts";
import { drainParameter, durationMs } from "./duration.ts";

/** What `down` and a terminal's Ctrl-C say to the daemon over its socket. */

defineCommand({
  name: "daemon/stop",
  summary: "Begin to stop this daemon; `down` waits for its end.",
  access: "owner",
  localOnly: true,
  hidden: true,
  place: "daemon",
  parameters: v.strictObject({ drain: drainParameter }),
  result: v.object({ pid: v.number() }),
  run({ drain }, { services }) {
    const daemon = daemonOf(services);
    daemon.stop(durationMs(drain));
    return { pid: daemon.file.pid };
  },
});

defineCommand({
  name: "daemon/stop-call",
  summary: "Let one running call stop in order.",
  access: "owner",
  localOnly: true,
  hidden: true,
  place: "daemon",
  parameters: v.strictObject({
    call: v.pipe(v.string(), v.maxLength(64), v.description("what the caller named its call")),
  }),
  result: v.object({ stopped: v.boolean() }),
  run: ({ call }, { services }) => ({ stopped: daemonOf(services).stopCall(call) }),
});

function daemonOf({ daemon }: Services): DaemonControl {
  if (daemon !== null) return daemon;
  throw new Refusal(
    "daemon_absent",
    "this process is no daemon",
    "`psionic up --detach` starts one",
  );
}
