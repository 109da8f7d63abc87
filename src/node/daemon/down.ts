import type { HomePaths } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callDaemon } from "#src/surface/socket/client.ts";
import { childrenOf, isSameProcess } from "./birth.ts";
import { type DaemonFile, isAlive, readDaemonFile, removeStale } from "./daemon-file.ts";

const lookMs = 25;
/** Beyond its drain time, what a daemon gets to close its doors. */
const marginMs = 5_000;
/** How long one that was sent SIGTERM may take, and how long the system to end one that was killed. */
const signalMs = 5_000;

export interface Ended {
  readonly pid: number;
  /** How hard it had to be asked. */
  readonly by: "request" | "SIGTERM" | "SIGKILL";
}

interface Process {
  readonly pid: number;
  readonly birth: string;
}

/**
 * Ends the daemon of a home, in order where it can be had, and waits until its process is gone and the
 * home is free; null where none runs. Children it leaves behind are ended too.
 *
 * Only the very process that wrote daemon.json is ever sent a signal. Refused with
 * `daemon_not_stopped` where even SIGKILL does not end it.
 */
export async function endDaemon(
  home: HomePaths,
  drain: { readonly text: string; readonly ms: number },
  clock: Clock,
): Promise<Ended | null> {
  const file = readDaemonFile(home);
  if (file === null || !isAlive(file)) {
    if (file !== null) removeStale(home, file);
    return null;
  }
  const children = childrenOf(file.pid);
  const asked = await ask(file, drain.text);
  let by: Ended["by"] = "request";
  if (!asked || !(await isGone(file, drain.ms + marginMs, clock))) {
    by = "SIGTERM";
    send(file, by);
    if (!(await isGone(file, asked ? signalMs : drain.ms + marginMs, clock))) {
      by = "SIGKILL";
      send(file, by);
      if (!(await isGone(file, signalMs, clock))) throw notStopped(file, "it does not end");
    }
  }
  await reap(children, clock);
  removeStale(home, file);
  return { pid: file.pid, by };
}

/** False where it does not answer. One that is stopping already says so, which is as good. */
async function ask(file: DaemonFile, drain: string): Promise<boolean> {
  const options = { signal: AbortSignal.timeout(signalMs), patienceMs: 0, emit: () => {} };
  try {
    await callDaemon(file.socket, "daemon/stop", { drain }, options);
    return true;
  } catch (error) {
    return error instanceof Refusal && error.code === "daemon_lost" && !isAlive(file);
  }
}

async function isGone(target: Process, withinMs: number, clock: Clock): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + withinMs;
  while (isSameProcess(target.pid, target.birth)) {
    if (clock.monotonicMs() > deadlineMs) return false;
    await clock.sleep(lookMs);
  }
  return true;
}

function send(target: Process, signal: "SIGTERM" | "SIGKILL"): void {
  if (!isSameProcess(target.pid, target.birth)) return;
  try {
    process.kill(target.pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH") throw notStopped(target, `the system says ${code}`);
  }
}

/** Children die with their parent; one that does not is ended. */
async function reap(children: readonly Process[], clock: Clock): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      if (await isGone(child, signalMs, clock)) return;
      send(child, "SIGKILL");
      if (!(await isGone(child, signalMs, clock))) throw notStopped(child, "it does not end");
    }),
  );
}

function notStopped(target: Process, why: string): Refusal {
  return new Refusal(
    "daemon_not_stopped",
    `process ${target.pid} of the daemon could not be ended: ${why}`,
    "end it as the user who started it",
    { pid: target.pid },
  );
}
