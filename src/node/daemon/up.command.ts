import * as v from "valibot";
import type { CommandContext } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { buildInfo } from "../build.ts";
import { type DaemonFile, findRunningDaemon } from "./daemon-file.ts";
import { durationMs, drainParameter } from "./duration.ts";
import { logLevels } from "./log-record.ts";
import type { OpenLog } from "./log.ts";
import { isLoopback, pageLink } from "./page-link.ts";

/** How long `up` waits for a daemon that is just starting, where the home is taken. */
const otherStartMs = 2_000;
const lookMs = 50;

const parameters = v.strictObject({
  host: v.optional(
    v.pipe(v.string(), v.nonEmpty(), v.description("address of the page and the commands")),
    "127.0.0.1",
  ),
  port: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(0),
      v.maxValue(65_535),
      v.description("port of the page and the commands; 0 for any free one"),
    ),
    7421,
  ),
  peerPort: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(0),
      v.maxValue(65_535),
      v.description(
        "answer other nodes on this port too, encrypted; 0 for any free one; off without it",
      ),
    ),
  ),
  peerHost: v.optional(
    v.pipe(v.string(), v.nonEmpty(), v.description("with --peer-port: the address it listens on")),
    "127.0.0.1",
  ),
  detach: v.optional(
    v.pipe(v.boolean(), v.description("return when the daemon answers, and leave it running")),
    false,
  ),
  drain: drainParameter,
  allowRemote: v.optional(
    v.pipe(
      v.boolean(),
      v.description("let --host or --peer-host be an address that other machines reach"),
    ),
    false,
  ),
  logLevel: v.optional(
    v.pipe(v.picklist(logLevels), v.description("the least level that is logged")),
    "info",
  ),
});

type Parameters = v.InferOutput<typeof parameters>;

const result = v.object({
  state: v.picklist(["running", "started", "stopped"]),
  pid: v.number(),
  startedMs: v.number(),
  url: v.string(),
  /** The page's address with the token; null where nobody asked for it. */
  page: v.nullable(v.string()),
  socket: v.string(),
  home: v.string(),
});

type Result = v.InferOutput<typeof result>;

defineCommand({
  name: "up",
  summary: "Start the daemon of this home: the page, the doors, trainings that outlive a terminal.",
  access: "owner",
  localOnly: true,
  endsOnInterrupt: true,
  flow: "node",
  parameters,
  result,
  examples: ["psionic up --detach", "psionic up", "psionic up --port 0"],
  async run(request, context): Promise<Result> {
    const { services } = context;
    checkHost(request);
    if (services.daemon !== null) return stateOf("running", services.daemon.file, context, true);
    const running = await findRunningDaemon(services.home);
    if (running !== null) return stateOf("running", running, context, true);
    if (!request.detach) return runInForeground(request, context);
    const { startDetached } = await import("./detach.ts");
    const { home, clock } = services;
    const started = await startDetached(home, wordsOf(request), clock, context.signal);
    return stateOf("started", started, context, true);
  },
  view: (screen) => ({
    event(event) {
      if (event.type !== "listening") return;
      const { url, page } = event as unknown as { url: string; page: string | null };
      screen.note(`this node is up; Ctrl-C stops it in order`);
      screen.print(page ?? url);
      if (!isLoopback(new URL(url).hostname)) screen.note(remoteNote);
      if (page === null) screen.note("`psionic up` prints the page's address with its token");
    },
    result({ state, pid, page, url }) {
      if (state === "stopped") return screen.note("this node is down");
      screen.note(`this node ${state === "started" ? "is up" : "is up already"}, process ${pid}`);
      screen.print(page ?? url);
      if (!isLoopback(new URL(url).hostname)) screen.note(remoteNote);
      screen.note("psionic status · psionic logs -f · psionic down");
    },
  }),
});

const remoteNote =
  "other machines reach this node: whoever has the token owns it, and the token travels unencrypted";

function stateOf(
  state: Result["state"],
  { pid, startedMs, url, socket }: DaemonFile,
  { services }: Pick<CommandContext, "services">,
  withToken: boolean,
): Result {
  const { home } = services;
  const page = withToken ? pageLink(home, url) : null;
  return { state, pid, startedMs, url, page, socket, home: home.root };
}

/** The daemon itself: until a signal, or until it is asked to stop. */
async function runInForeground(request: Parameters, context: CommandContext): Promise<Result> {
  const { services, signal, emit } = context;
  const running = await takeHome(context);
  if (running !== null) return stateOf("running", running, context, true);
  const { openLog } = await import("./log.ts");
  const { Daemon } = await import("./daemon.ts");
  const { webAssets } = await import("../web-assets.ts");
  const { isServed } = await import("./served.ts");
  const log = await openLog(services.home, { level: request.logLevel, toStderr: isServed() });
  const drainMs = durationMs(request.drain);
  endOnBug(log);
  try {
    const daemon = new Daemon(services, {
      registry: services.registry,
      host: request.host,
      port: request.port,
      peer:
        request.peerPort === undefined ? null : { host: request.peerHost, port: request.peerPort },
      version: (await buildInfo()).version,
      assets: webAssets(),
    });
    await daemon.start();
    const { file, nodeId, epoch } = daemon;
    // The token is for whoever sits here: not for a service manager's journal.
    const page = services.interaction.canAsk ? pageLink(services.home, file.url) : null;
    emit({ type: "listening", nodeId, epoch, pid: file.pid, url: file.url, page });
    const interrupted = Promise.withResolvers<number>();
    const interrupt = () => interrupted.resolve(drainMs);
    signal.addEventListener("abort", interrupt, { once: true });
    if (signal.aborted) interrupt();
    await daemon.end(await Promise.race([daemon.stopAsked, interrupted.promise]));
    return stateOf("stopped", file, context, false);
  } finally {
    await log.close();
  }
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

function checkHost({ host, peerHost, allowRemote }: Parameters): void {
  if (!allowRemote && !isLoopback(peerHost))
    throw new Refusal(
      "host_not_loopback",
      `${peerHost} is no loopback address: other machines may reach the door for nodes there`,
      "keep 127.0.0.1, or add --allow-remote; --host stays as it is",
      { host: peerHost },
    );
  if (allowRemote || isLoopback(host)) return;
  throw new Refusal(
    "host_not_loopback",
    `${host} is no loopback address: other machines may reach it, whoever has the token then owns this node, and the token would travel unencrypted`,
    "keep 127.0.0.1 and reach it through `ssh -L 7421:127.0.0.1:7421 THIS-MACHINE`, or add --allow-remote on a network you trust",
    { host },
  );
}

/** The same request as words, for the process that does it. */
function wordsOf(request: Parameters): string[] {
  const { host, port, peerHost, peerPort, drain, allowRemote, logLevel } = request;
  return [
    ...["--host", host, "--port", String(port), "--drain", drain, "--log-level", logLevel],
    ...(peerPort === undefined ? [] : ["--peer-host", peerHost, "--peer-port", String(peerPort)]),
    ...(allowRemote ? ["--allow-remote"] : []),
  ];
}
