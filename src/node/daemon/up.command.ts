import * as v from "valibot";
import type { CommandContext, Screen, Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { parseAddress } from "#src/peer/address.ts";
import type { JoinLine } from "./control.ts";
import { type DaemonFile, findRunningDaemon } from "./daemon-file.ts";
import { checkHost, daemonOptions, type DaemonRequest, wordsOf } from "./daemon-options.ts";
import { isLoopback, pageLink } from "./page-link.ts";
import { MeshBook } from "../cluster/mesh-book.ts";
import { meshSummary, summarizeMesh } from "./mesh-line.ts";
import { joinFacts, joinLineOf } from "./join-facts.ts";

/** How long a node that starts may take to hear who leads its mesh. */
const leaderPatienceMs = 2_000;
const leaderLookMs = 50;

const result = v.object({
  state: v.picklist(["running", "started", "stopped"]),
  pid: v.number(),
  startedMs: v.number(),
  url: v.string(),
  /** The page's address with the token; null where nobody asked for it. */
  page: v.nullable(v.string()),
  /** The line to type on another machine; null where this node can give none, or nobody asked. */
  join: v.nullable(v.string()),
  /** Where that line says this node is, and addresses of this machine that others may reach. */
  joinPlace: v.nullable(v.string()),
  addresses: v.array(v.string()),
  /** How the mesh stands where there is no such line; null where there is one, or nobody asked. */
  mesh: v.nullable(meshSummary),
  /** The address named for the door at an earlier start, where this machine does not have it now. */
  lostHost: v.nullable(v.string()),
  /** Options that were given and that the daemon that runs was not started with. */
  unheeded: v.array(v.string()),
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
  parameters: v.strictObject(daemonOptions),
  result,
  examples: ["psionic up --detach", "psionic up", "psionic up --peer-host 10.0.0.7"],
  async run(request, context): Promise<Result> {
    const { services, signal } = context;
    checkHost(request);
    if (services.daemon !== null) {
      const join = await services.daemon.joinLine(signal);
      return stateOf("running", services.daemon.file, context, join);
    }
    const running = await findRunningDaemon(services.home);
    if (running !== null) return alreadyUp(running);
    if (request.detach) {
      const { startDetached } = await import("./detach.ts");
      const { home, clock } = services;
      const started = await startDetached(home, wordsOf(request), clock, signal);
      return readyState("started", started, context);
    }
    const { runDaemon } = await import("./run-daemon.ts");
    const { state, file } = await runDaemon(request, context);
    if (state === "running") return alreadyUp(file);
    return { ...stateOf(state, file, context, null), page: null };

    async function alreadyUp(file: DaemonFile): Promise<Result> {
      const ready = await readyState("running", file, context);
      return { ...ready, unheeded: unheededOf(request, file) };
    }
  },
  view: (screen) => ({
    event(event) {
      if (event.type !== "listening") return;
      const facts = event as unknown as Result;
      screen.note("this node is up; Ctrl-C stops it in order");
      show(screen, facts);
      if (facts.page === null) screen.note("`psionic up` prints the page's address with its token");
    },
    result(facts) {
      const { state, pid } = facts;
      if (state === "stopped") return screen.note("this node is down");
      screen.note(`this node ${state === "started" ? "is up" : "is up already"}, process ${pid}`);
      if (facts.unheeded.length > 0) {
        const words = facts.unheeded.join(" ");
        screen.note(`it runs without ${words}: psionic down, then psionic up --detach ${words}`);
      }
      show(screen, facts);
      if (facts.lostHost !== null) {
        screen.note(
          `this machine does not have the address ${facts.lostHost}: no other reaches it.`,
        );
        screen.note("psionic down, then psionic up --detach --peer-host ADDRESS");
      }
      if (facts.mesh !== null && facts.mesh.memberCount > 1 && facts.mesh.leader === null)
        screen.note("nobody leads the mesh yet: psionic cluster status says who is missing");
    },
  }),
});

function show(screen: Screen, { page, url, join, joinPlace, addresses }: Result): void {
  screen.print(page ?? url);
  if (!isLoopback(new URL(url).hostname)) screen.note(remoteNote);
  if (join === null || joinPlace === null) return;
  screen.note("another machine joins with this line, once, within an hour:");
  screen.print(join);
  if (!isLoopback(joinPlace.replace(/:\d+$/, ""))) return;
  const known = addresses.length === 0 ? "" : `; this one has ${addresses.join(", ")}`;
  screen.note(`other machines need \`psionic up --peer-host ADDRESS\`${known}`);
}

/** Where a running daemon is reached by others is not changed by asking again. */
function unheededOf({ peerHost, peerPort }: DaemonRequest, file: DaemonFile): string[] {
  const door = file.peer === undefined ? null : parseAddress(file.peer.address);
  const hasPort = peerPort === undefined || peerPort === 0 || door?.port === peerPort;
  const hasHost = peerHost === undefined || (door !== null && isAt(peerHost, file));
  return [
    ...(hasHost ? [] : [`--peer-host ${peerHost}`]),
    ...(hasPort ? [] : [`--peer-port ${peerPort}`]),
  ];
}

const remoteNote =
  "other machines reach this node: whoever has the token owns it, and the token travels unencrypted";

async function readyState(
  state: Result["state"],
  file: DaemonFile,
  context: CommandContext,
): Promise<Result> {
  const { services, signal } = context;
  const join = await joinLineOf(file, signal);
  const mesh = join === null ? await settledMesh(services, file, signal) : null;
  const named = new MeshBook(services.store).doorHost();
  const lostHost = named === null || isAt(named, file) ? null : named;
  return { ...stateOf(state, file, context, join), mesh, lostHost };
}

/** A node that has just started needs a moment to hear who leads. */
async function settledMesh(services: Services, file: DaemonFile, signal: AbortSignal) {
  const { clock } = services;
  const deadlineMs = clock.monotonicMs() + leaderPatienceMs;
  for (;;) {
    const mesh = await summarizeMesh(services, file, signal);
    const isSettled = mesh === null || mesh.memberCount === 1 || mesh.leader !== null;
    if (isSettled || mesh.taking === "out" || clock.monotonicMs() > deadlineMs) return mesh;
    await clock.sleep(leaderLookMs, signal);
  }
}

/** Whether a daemon's door is at the address that was named; one without a door is at any. */
function isAt(host: string, { peer }: DaemonFile): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return peer === undefined || parseAddress(peer.address).host === bare;
}

function stateOf(
  state: Result["state"],
  { pid, startedMs, url, socket }: DaemonFile,
  { services }: Pick<CommandContext, "services">,
  join: JoinLine | null,
): Result {
  const { home } = services;
  const page = pageLink(home, url);
  return {
    state,
    pid,
    startedMs,
    url,
    page,
    ...joinFacts(join),
    mesh: null,
    lostHost: null,
    unheeded: [],
    socket,
    home: home.root,
  };
}
