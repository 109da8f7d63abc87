import { digestBytes, digestJson } from "#src/codec/digest.ts";
import type { Command, Request, Scope } from "#src/cluster/event.ts";
import { authorityDigest, isLive } from "#src/cluster/state.ts";
import type { Statement } from "#src/window/event.ts";
import { isOver, type Run, type RunSpec } from "#src/window/run.ts";
import type { Chance } from "./chance.ts";
import type { MeshView } from "./mesh-traffic.ts";
import type { RunShared } from "./run-shared.ts";
import { runIds } from "./workplace.ts";

/** Draws what operators of runs ask for, and what somebody asks for who should not. */
export class RunTraffic {
  #lot = 0;

  constructor(
    readonly chance: Chance,
    readonly shared: RunShared,
  ) {}

  /** A run that is not begun yet; null where all are, or nobody could. */
  begin({ state }: MeshView): Request | null {
    const run = runIds.find((id) => !state.runs.some((each) => each.run === id));
    const hosts = state.members.filter(
      (member) => member.standing === "ready" && member.roles.includes("host"),
    );
    if (run === undefined || hosts.length === 0) return null;
    const spec = drawSpec(this.chance);
    const document = digestBytes(`document of ${run}`);
    const { node } = this.chance.pick(hosts);
    return ask(node, "membership", { kind: "run-created", run, name: run, document, spec });
  }

  /** A change of mind about a run that goes on: mostly a pause, and then on again; seldom the end. */
  wish({ state }: MeshView): Request | null {
    const active = state.runs.filter((run) => !isOver(run));
    const hosts = state.members.filter(isLive).map(({ node }) => node);
    if (active.length === 0 || hosts.length === 0) return null;
    const { run, wish: present } = this.chance.pick(active);
    const wish = this.chance.happens(0.12) ? "stop" : present === "run" ? "pause" : "run";
    return ask(this.chance.pick(hosts), "membership", { kind: "run-wished", run, wish });
  }

  /** Everything that is paused goes on. */
  resume({ runs }: MeshView["state"], node: string): readonly Request[] {
    return runs
      .filter((run) => !isOver(run) && run.wish === "pause")
      .map(({ run }) => ask(node, "membership", { kind: "run-wished", run, wish: "run" }));
  }

  /** An old statement, one in the name of another, or an order of somebody who may not lead. */
  mischief(view: MeshView, leader: string | undefined): Request | null {
    const { state } = view;
    const { chance, shared } = this;
    const members = state.members.filter(({ standing }) => standing === "ready");
    if (members.length === 0 || state.runs.length === 0) return null;
    if (shared.statements.length === 0 || chance.happens(0.4)) return this.#order(view, leader);
    const statement = chance.pick(shared.statements);
    const { node } = statement;
    const { node: other } = chance.pick(members);
    const told = chance.pick<Statement>([
      statement,
      statement,
      forged(statement),
      by(statement, other),
    ]);
    const author = told === statement || chance.happens(0.5) ? node : other;
    return ask(author, "self", { kind: "run-stated", node: author, statement: told });
  }

  /** A window that is sealed, sealed again with another number; null where none is. */
  sealAgain({ state, commitIndex: index }: MeshView, leader: string | undefined): Request | null {
    const run = state.runs.find(({ window }) => window?.stage === "sealed");
    if (run === undefined || leader === undefined) return null;
    const fence = { term: state.term, index, authority: authorityDigest(state) };
    const seed = digestJson(["a lot", ++this.#lot]);
    const about = { run: run.run, window: run.window!.number, seed, fence };
    return ask(leader, "coordinator", { kind: "window-sealed", ...about });
  }

  /** As one who coordinates might give it by mistake: too early, of another window, twice. */
  #order({ state, commitIndex: index }: MeshView, leader: string | undefined): Request {
    const { chance } = this;
    const run: Run = chance.pick(state.runs);
    const fence = { term: state.term, index, authority: authorityDigest(state) };
    const number = run.windowCount + chance.pick([0, 0, 0, 1, -1]);
    const about = { run: run.run, window: Math.max(0, number), fence };
    const seed = digestJson(["a lot", ++this.#lot]);
    const worker = run.workers.length > 0 ? chance.pick(run.workers).node : "n1";
    const command = chance.pick<Command>([
      { kind: "window-opened", ...about },
      { kind: "window-sealed", ...about, seed },
      { kind: "validators-redrawn", ...about, seed },
      { kind: "contribution-lost", ...about, worker },
    ]);
    const members = state.members.filter(({ standing }) => standing === "ready");
    const isLeading = leader !== undefined && chance.happens(0.7);
    return ask(isLeading ? leader : chance.pick(members).node, "coordinator", command);
  }
}

function ask(author: string, scope: Scope, command: Command): Request {
  return { author, scope, policy: null, command };
}

/** With another ending than was signed. */
function forged(statement: Statement): Statement {
  return { ...statement, said: { saying: "gone", reason: "so_they_say" } };
}

/** As if another had said it. */
function by(statement: Statement, node: string): Statement {
  return { ...statement, node };
}

function drawSpec(chance: Chance): RunSpec {
  const windowSteps = chance.between(1, 8);
  const slots = Math.max(20, windowSteps * chance.between(4, 12));
  return {
    ...{ seed: chance.below(1_000), slots, slotTokens: 64, scheduleSteps: slots * 10 },
    ...{ windowSteps, segmentSteps: chance.between(1, windowSteps), codec: "dense" },
    ...{ pace: chance.pick(["measured", "even"]), participants: chance.pick([1, 2, 4, 7, 7]) },
    validators: chance.pick([0, 1, 2, 2]),
    replayPerMillion: chance.pick([0, 300_000, 1_000_000, 1_000_000]),
    ...{ quorum: chance.between(1, 3), strikes: chance.pick([1, 1, 2, 3]) },
    ...{ trainMs: chance.pick([3_000, 8_000]), judgeMs: chance.pick([2_000, 4_000]) },
    ...{ mergeMs: chance.pick([2_000, 4_000]), silenceMs: chance.pick([1_000, 2_000]) },
  };
}
