import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { HomePaths } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { fileFailure } from "../file-failure.ts";
import { started } from "../processes.ts";
import { type DaemonFile, findRunningDaemon } from "./daemon-file.ts";
import { prepareLogs } from "./log-files.ts";
import { ownCommand } from "./own-command.ts";

/** How long a daemon may take until it answers. */
export const readyWithinMs = 30_000;
const lookMs = 25;
/** How long a daemon that did not get ready may take to end before it is ended. */
const graceMs = 5_000;
/** Lines of its talk that a refusal repeats. */
const lineMaximum = 10;

/** Set for a daemon whose stderr is a file of its home: what it logs has a better place. */
export const detachedVariable = "PSIONIC_DETACHED";

/**
 * Starts `up` with these words as a session of its own, which no terminal's end reaches, and waits until
 * it answers.
 *
 * When the signal aborts before that, the daemon is ended again. Refused with what the daemon itself was refused, or `daemon_not_ready` with its last lines where it
 * ended or did not answer in time.
 */
export async function startDetached(
  home: HomePaths,
  words: readonly string[],
  clock: Clock,
  signal: AbortSignal = new AbortController().signal,
): Promise<DaemonFile> {
  const path = join(prepareLogs(home), "up.log");
  const child = spawnInto(path, home, words);
  const deadlineMs = clock.monotonicMs() + readyWithinMs;
  while (child.exitCode === null && child.signalCode === null) {
    const daemon = await findRunningDaemon(home);
    if (daemon !== null && (await isReady(daemon))) {
      child.unref();
      return daemon;
    }
    if (signal.aborted || clock.monotonicMs() > deadlineMs) {
      child.kill("SIGTERM");
      await Promise.race([child.exited, clock.sleep(graceMs)]);
      child.kill("SIGKILL");
      signal.throwIfAborted();
      throw notReady(`it did not answer within ${readyWithinMs / 1000} s`, path);
    }
    await clock.sleep(lookMs, signal).catch(() => {});
  }
  // Somebody else's daemon may have been faster; then there is one, as was asked.
  const other = await findRunningDaemon(home);
  if (other !== null) return other;
  throw refusalIn(path) ?? notReady(`it ended with ${endOf(child)}`, path);
}

function spawnInto(path: string, home: HomePaths, words: readonly string[]): Bun.Subprocess {
  const descriptor = opened(path);
  try {
    return started(() =>
      Bun.spawn({
        cmd: ownCommand(["up", ...words, "--json", "--no-input", "--home", home.root]),
        // The caller's directory may go away or be unmounted; the home stays.
        cwd: home.root,
        env: { ...process.env, [detachedVariable]: "1" },
        stdio: ["ignore", descriptor, descriptor],
        detached: true,
      }),
    );
  } finally {
    closeSync(descriptor);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, "w", 0o600);
  } catch (error) {
    throw fileFailure(error, "write", path);
  }
}

const readiness = v.object({ reasons: v.array(v.string()) });

/** A node that its mesh put out is up all the same: it trains, and joins again. */
async function isReady({ socket }: DaemonFile): Promise<boolean> {
  try {
    const response = await fetch("http://localhost/readyz", { unix: socket });
    const { reasons } = v.parse(readiness, await response.json());
    return reasons.every((reason) => reason.includes("(cluster_out)"));
  } catch {
    return false;
  }
}

const endOf = ({ signalCode, exitCode }: Bun.Subprocess) =>
  signalCode === null ? `status ${exitCode}` : String(signalCode);

const refusalLine = v.object({
  type: v.literal("refusal"),
  code: v.picklist(Object.keys(codes) as RefusalCode[]),
  message: v.string(),
  hint: v.string(),
  details: v.record(v.string(), v.unknown()),
});

/** What the daemon was refused, if that is how it ended. */
function refusalIn(path: string): Refusal | null {
  for (const line of lastLines(path).toReversed()) {
    try {
      const { code, message, hint, details } = v.parse(refusalLine, JSON.parse(line));
      return new Refusal(code, message, hint, details);
    } catch {
      // Some other line.
    }
  }
  return null;
}

function notReady(why: string, path: string): Refusal {
  const lines = lastLines(path);
  const said = lines.length === 0 ? "" : `; it said last:\n${lines.join("\n")}`;
  return new Refusal(
    "daemon_not_ready",
    `the daemon is not up: ${why}${said}`,
    `\`psionic up\` shows what happens; ${path} has all it said`,
    { path, lines },
  );
}

function lastLines(path: string): string[] {
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.filter((line) => line !== "").slice(-lineMaximum);
  } catch {
    return [];
  }
}
