import type { CommandContext } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { buildInfo } from "../build.ts";
import { type DaemonFile, findRunningDaemon } from "./daemon-file.ts";
import type { DaemonRequest } from "./daemon-options.ts";
import type { Daemon } from "./daemon.ts";
import { durationMs } from "./duration.ts";
import { joinFacts, joinLineSignal } from "./join-facts.ts";
import type { OpenLog } from "./log.ts";
import { pageLink } from "./page-link.ts";

/** How long a daemon that is just starting is waited for, where the home is taken. */
const otherStartMs = 2_000;
const lookMs = 50;

/** A daemon that ran to its end, or the one that has this home already. */
export type Ran =
  | { readonly state: "stopped"; readonly file: DaemonFile }
  | { readonly state: "running"; readonly file: DaemonFile };

/**
 * The daemon itself: until a signal, or until it is asked to stop. `begin` is what it does first; where that
 * is refused the daemon ends, and with it the command.
 */
export async function runDaemon(
  request: DaemonRequest,
  context: CommandContext,
  begin: (daemon: Daemon) => Promise<void> = async () => {},
): Promise<Ran> {
  const { services, signal } = context;
  const running = await takeHome(context);
  if (running !== null) return { state: "running", file: running };
  const { openLog } = await import("./log.ts");
  const { Daemon } = await import("./daemon.ts");
  const { webAssets } = await import("../web-assets.ts");
  const { isServed } = await import("./served.ts");
  const log = await openLog(services.home, { level: request.logLevel, toStderr: isServed() });
  const drainMs = durationMs(request.drain);
  endOnBug(log);
  const { peerHost = null, peerPort = null, peers, discover = null } = request;
  try {
    const daemon = new Daemon(services, {
      registry: services.registry,
      host: request.host,
      port: request.port,
      peer: peers ? { host: peerHost, port: peerPort } : null,
      discover,
      claims: request.claims,
      version: (await buildInfo()).version,
      assets: webAssets(),
    });
    await daemon.start();
    const { file } = daemon;
    try {
      await begin(daemon);
      await tell(daemon, context);
    } catch (error) {
      await daemon.end(drainMs);
      throw error;
    }
    const interrupted = Promise.withResolvers<number>();
    const interrupt = () => interrupted.resolve(drainMs);
    signal.addEventListener("abort", interrupt, { once: true });
    if (signal.aborted) interrupt();
    await daemon.end(await Promise.race([daemon.stopAsked, interrupted.promise]));
    return { state: "stopped", file };
  } finally {
    await log.close();
  }
}

/** Says where the daemon is. Tokens are for whoever sits here: not for a service manager's journal. */
async function tell(daemon: Daemon, { services, emit, signal }: CommandContext): Promise<void> {
  const { file, nodeId, epoch } = daemon;
  const { canAsk } = services.interaction;
  const page = canAsk ? pageLink(services.home, file.url) : null;
  const join = canAsk ? await daemon.joinLine(joinLineSignal(signal)).catch(() => null) : null;
  emit({
    ...{ type: "listening", nodeId, epoch, pid: file.pid, url: file.url, page },
    ...joinFacts(join),
  });
}

/** A bug nobody caught ends the daemon, before it goes on with what may be wrong; its log says which. */
function endOnBug(log: OpenLog): void {
  const end = async (error: unknown) => {
    log.fatal(error);
    try {
      await log.close();
    } finally {
      process.exit(1);
    }
  };
  process.on("uncaughtException", (error) => void end(error));
  process.on("unhandledRejection", (error) => void end(error));
}

/** Takes the home's lock, or gives the daemon that has it. Refused with `home_locked`. */
async function takeHome({ services }: CommandContext): Promise<DaemonFile | null> {
  const { clock } = services;
  const deadlineMs = clock.monotonicMs() + otherStartMs;
  for (;;) {
    try {
      services.lock();
      return null;
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "home_locked") throw error;
      const daemon = await findRunningDaemon(services.home);
      if (daemon !== null) return daemon;
      if (clock.monotonicMs() > deadlineMs) throw error;
      await clock.sleep(lookMs);
    }
  }
}
