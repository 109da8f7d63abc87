import * as v from "valibot";
import type { CommandContext, Screen, Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf } from "#src/cluster/command-parts.ts";
import { roles, shapes } from "#src/cluster/event.ts";
import { readToken, tokenTextMaximum } from "#src/cluster/join-token.ts";
import type { ClusterService } from "#src/cluster/services.ts";
import { isLive } from "#src/cluster/state.ts";
import { parseAddress } from "#src/peer/address.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type DaemonFile, findRunningDaemon } from "../daemon/daemon-file.ts";
import { checkHost, daemonOptions, type DaemonRequest, wordsOf } from "../daemon/daemon-options.ts";
import { isLoopback, pageLink } from "../daemon/page-link.ts";
import { MeshBook } from "./mesh-book.ts";
import { addressTowards } from "./places.ts";

/** What takes longer than this is told of. */
const toldAfterMs = 1_000;

const request = {
  place: v.pipe(
    v.string(),
    v.nonEmpty(),
    v.maxLength(300),
    v.description("where a member of the mesh is reached, HOST:PORT"),
  ),
  token: v.pipe(
    v.string(),
    v.maxLength(tokenTextMaximum),
    v.description("the join token, as `psionic up` or `psionic token create` printed it there"),
  ),
  roles: v.optional(
    v.pipe(
      v.string(),
      v.maxLength(100),
      v.regex(/^[a-z]+(,[a-z]+)*$/, "write roles with commas between: trainer,validator"),
      v.description(
        `what this node is to be, of ${roles.join(", ")}; all the token allows if unsaid`,
      ),
    ),
  ),
};

const joined = {
  mesh: v.string(),
  /** The member that was asked. */
  host: v.string(),
  founder: v.string(),
  memberCount: v.number(),
  /** False where it was a member already. */
  isNew: v.boolean(),
  /** Where the mesh now knows this node to be reached; empty where it has no door. */
  places: v.array(v.string()),
  /** The address to be reached at from there, where this machine alone reaches all of the places. */
  betterHost: v.nullable(v.string()),
};
const joinedSchema = v.object(joined);
type JoinedFacts = v.InferOutput<typeof joinedSchema>;

defineCommand({
  name: "join",
  summary: "Join the mesh of another machine, with the line that `psionic up` printed there.",
  access: "owner",
  localOnly: true,
  endsOnInterrupt: true,
  flow: "node",
  parameters: v.strictObject({ ...request, ...daemonOptions }),
  positional: ["place"],
  result: v.object({
    ...joined,
    /** `stopped` once a daemon in the foreground has ended. */
    state: v.picklist(["running", "started", "stopped"]),
    pid: v.number(),
    url: v.string(),
    page: v.nullable(v.string()),
    home: v.string(),
  }),
  examples: ["psionic join 10.0.0.7:7420 --token psn1_AAAA --detach"],
  async run({ place, token, roles: wanted, ...options }, context) {
    const { services, signal } = context;
    // What can be refused without a daemon is refused before one is started.
    parseAddress(place);
    readToken(token);
    const words = { place, token, ...(wanted === undefined ? {} : { roles: wanted }) };
    checkHost(options);
    if (services.daemon !== null) {
      const facts = await join(services, words, signal);
      return stateOf("running", services.daemon.file, services, facts);
    }
    const running = await findRunningDaemon(services.home);
    if (running !== null) return stateOf("running", running, services, await ask(running));
    const started = { ...options, ...(await doorOf(place, options, services)) };
    if (options.detach) return startAndJoin();
    let facts: JoinedFacts | null = null;
    const { runDaemon } = await import("../daemon/run-daemon.ts");
    const ran = await runDaemon(started, context, async (daemon) => {
      facts = await telling(context, place, join(daemon.services, words, signal));
      context.emit({ type: "joined", ...facts });
    });
    if (facts === null) return stateOf("running", ran.file, services, await ask(ran.file));
    return { ...stateOf(ran.state, ran.file, services, facts), page: null };

    async function ask({ socket }: DaemonFile): Promise<JoinedFacts> {
      const { callDaemon } = await import("#src/surface/socket/client.ts");
      const emit: CommandContext["emit"] = (event) => context.emit(event);
      const answer = callDaemon(socket, "cluster/join", words, { signal, emit });
      return v.parse(joinedSchema, await telling(context, place, answer));
    }

    /** A daemon that was started for nothing but the join ends with its refusal. */
    async function startAndJoin() {
      const { startDetached } = await import("../daemon/detach.ts");
      const { home, clock } = services;
      const file = await startDetached(home, wordsOf(started), clock, signal);
      try {
        return stateOf("started", file, services, await ask(file));
      } catch (error) {
        const isIn = error instanceof Refusal && error.code === "cluster_leaderless";
        const { endDaemon } = await import("../daemon/down.ts");
        if (!isIn) await endDaemon(home, { text: "5s", ms: 5_000 }, clock);
        throw error;
      }
    }
  },
  view: (screen) => ({
    event(event) {
      if (event.type === "waiting")
        screen.note(`waiting for ${String(event["place"])}; Ctrl-C gives up`);
      if (event.type === "joined") showJoined(screen, event as unknown as JoinedFacts);
      if (event.type !== "listening") return;
      const { page, url } = event as unknown as { page: string | null; url: string };
      screen.note("this node is up; Ctrl-C stops it in order");
      screen.print(page ?? url);
    },
    result(facts) {
      if (facts.state === "stopped") return screen.note("this node is down");
      showJoined(screen, facts);
      screen.print(facts.page ?? facts.url);
      screen.note("psionic nodes · psionic cluster status · psionic down");
    },
  }),
});

/** Says what is waited for where it takes longer than a moment. */
async function telling<T>(
  { services: { clock }, emit }: CommandContext,
  place: string,
  work: Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const tell = () => emit({ type: "waiting", place });
  void clock.sleep(toldAfterMs, over.signal).then(tell, () => {});
  try {
    return await work;
  } finally {
    over.abort();
  }
}

/**
 * Where the door of a daemon is that is started to join: whoever joins a machine over a network is reached
 * by the others at the address that leads there, unless an address was ever named, or no door is wanted.
 */
async function doorOf(
  place: string,
  { peerHost, peers }: Pick<DaemonRequest, "peerHost" | "peers">,
  { store, configuration }: Services,
): Promise<{ readonly peerHost?: string }> {
  if (peerHost !== undefined || !peers) return {};
  // What is configured for `up` is where the door will be at the next start.
  const { peerHost: configured } = configuration.defaultsFor("up");
  if (typeof configured === "string") return { peerHost: configured };
  if (new MeshBook(store).doorHost() !== null) return {};
  const towards = await addressTowards(parseAddress(place));
  return towards === null ? {} : { peerHost: towards };
}

function showJoined(screen: Screen, facts: JoinedFacts): void {
  const { places, betterHost } = facts;
  screen.note(joinedWords(facts));
  if (betterHost !== null) {
    screen.note(`no other machine reaches this node at ${places.join(", ")}; so that others do:`);
    screen.note(`psionic down, then psionic up --detach --peer-host ${betterHost}`);
  } else if (places.length > 0) screen.note(`others reach this node at ${places.join(", ")}`);
}

function joinedWords({ mesh, host, memberCount, isNew }: JoinedFacts): string {
  const others = `${memberCount} member${memberCount === 1 ? "" : "s"}`;
  if (!isNew) return `this node is a member of ${mesh} already; it has ${others}`;
  return `joined ${mesh} at ${host}; it has ${others} now`;
}

function stateOf(
  state: "running" | "started" | "stopped",
  { pid, url }: DaemonFile,
  { home }: Services,
  facts: JoinedFacts,
) {
  return { ...facts, state, pid, url, page: pageLink(home, url), home: home.root };
}

defineCommand({
  name: "cluster/join",
  summary: "Take this node into the mesh of a join token; `join` asks it of a running daemon.",
  access: "owner",
  localOnly: true,
  hidden: true,
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject(request),
  result: joinedSchema,
  run: (words, { services, signal }) => join(services, words, signal),
});

defineCommand({
  name: "cluster/join-line",
  summary: "The line that joins another machine to this mesh, with a token that is still good.",
  access: "owner",
  localOnly: true,
  hidden: true,
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({}),
  result: v.object({
    join: v.nullable(
      v.object({ line: v.string(), place: v.string(), addresses: v.array(v.string()) }),
    ),
  }),
  async run(_parameters, { services, signal }) {
    const line = (await services.daemon?.joinLine(signal)) ?? null;
    return { join: line === null ? null : { ...line, addresses: [...line.addresses] } };
  },
});

interface Words {
  readonly place: string;
  readonly token: string;
  readonly roles?: string | undefined;
}

async function join(
  services: Services,
  { place, token, roles: words }: Words,
  signal: AbortSignal,
): Promise<JoinedFacts> {
  const cluster = clusterOf(services);
  const before = standingOf(cluster);
  const wanted = words === undefined ? {} : { roles: readRoles(words) };
  const parts = { place: parseAddress(place), token: readToken(token), ...wanted };
  const { mesh, host, founder } = await cluster.join(parts, signal);
  const { members } = cluster.state();
  const isNew = before !== mesh;
  const places = [...cluster.contact().places];
  const isOut = places.some((each) => !isLoopback(parseAddress(each).host));
  const betterHost = isOut || places.length === 0 ? null : await addressTowards(parts.place);
  const memberCount = members.filter(isLive).length;
  return { mesh, host, founder, isNew, memberCount, places, betterHost };
}

/** The mesh this node is a member of. */
function standingOf(cluster: ClusterService): string | null {
  const { mesh, standing } = cluster.standing();
  return standing === "member" ? mesh : null;
}

function readRoles(text: string) {
  const parsed = v.safeParse(shapes.roleList, [...new Set(text.split(","))]);
  if (parsed.success) return parsed.output;
  throw new Refusal(
    "usage",
    `${text} names something that is no role`,
    `name some of ${roles.join(", ")}, with commas between`,
    { roles: text },
  );
}
