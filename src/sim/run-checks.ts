import type { Event } from "#src/cluster/event.ts";
import type { MeshState } from "#src/cluster/state.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { Saying, Statement } from "#src/window/event.ts";
import { proofsOfLies } from "#src/window/reasons.ts";
import type { Run, Window } from "#src/window/run.ts";
import { isSignedBy, statementDigest } from "#src/window/statement.ts";
import { ensure, type CheckerName } from "./failure.ts";
import { keyOf } from "./keys.ts";
import { firstRevision, mergedRevision, slotsOf } from "./toy-step.ts";

/** What is known of a run by its events alone, beside its state. */
interface Known {
  readonly opened: Set<number>;
  readonly sealed: Set<number>;
  readonly ended: Set<number>;
  /** Numbers that were drawn. */
  readonly seeds: Set<Digest>;
  /** In which window each contribution came while it was active, by its statement. */
  readonly given: Map<Digest, number>;
  readonly counted: Set<Digest>;
  /** Statements `WINDOW WORKER VALIDATOR` of those who accepted. */
  readonly acceptedBy: Set<string>;
  /** Contributions `WINDOW WORKER` that somebody was to judge when the window was sealed. */
  readonly judged: Set<string>;
  /** Of each slot whether it counts. */
  readonly slots: Uint8Array;
  readonly revisions: Map<number, Digest>;
  /** The latest statement of each node. */
  readonly latest: Map<string, Digest>;
  /** Which chain each chain came after. */
  readonly chains: Map<Digest, Digest | null>;
}

/**
 * The checkers of runs. They see every event that had an effect on any node, once, and keep an account of their own
 * of what was given, judged and counted.
 */
export class RunChecks {
  readonly #known = new Map<string, Known>();

  constructor(readonly lies: ReadonlySet<string>) {}

  /** A node made an event part of its state. */
  stepped(before: MeshState, after: MeshState, event: Event): void {
    if (before.runs === after.runs) return;
    for (const run of after.runs) {
      const old = before.runs.find((each) => each.run === run.run);
      if (old !== run) this.#changed(old, run, event, before);
    }
  }

  #changed(before: Run | undefined, after: Run, event: Event, mesh: MeshState): void {
    const known = this.#known.get(after.run) ?? blank(after);
    this.#known.set(after.run, known);
    const previous = before?.chain ?? null;
    const say = (checker: CheckerName, holds: boolean, what: string) =>
      ensure(holds, checker, () => `${after.run}, ${event.command.kind}: ${what}`);
    say("run-chain", previous !== after.chain, "it changed, and its chain did not");
    const isSeen = known.chains.has(after.chain);
    const isSame = known.chains.get(after.chain) === previous;
    say("run-chain", !isSeen || isSame, "two histories have one chain");
    // Another node was here before.
    if (isSeen) return;
    known.chains.set(after.chain, previous);
    if (before === undefined) return;
    new RunStep(known, before, after, mesh, this.lies, say).check(event);
  }
}

function blank({ spec }: Run): Known {
  return {
    ...{ opened: new Set(), sealed: new Set(), ended: new Set(), seeds: new Set() },
    ...{ given: new Map(), counted: new Set(), acceptedBy: new Set(), judged: new Set() },
    ...{ slots: new Uint8Array(spec.slots), revisions: new Map(), latest: new Map() },
    chains: new Map(),
  };
}

/** One event of one run. */
class RunStep {
  constructor(
    readonly known: Known,
    readonly before: Run,
    readonly after: Run,
    readonly mesh: MeshState,
    readonly lies: ReadonlySet<string>,
    readonly say: (checker: CheckerName, holds: boolean, what: string) => void,
  ) {}

  check({ command }: Event): void {
    if (command.kind === "run-stated") this.#stated(command.statement);
    if (command.kind === "window-opened") this.#opened(command.window);
    if (command.kind === "window-sealed") this.#sealed(command.window, command.seed);
    if (command.kind === "validators-redrawn") this.#drawn(command.seed);
    const { window } = this.before;
    const isEnded = window !== null && this.after.window?.number !== window.number;
    if (isEnded) this.#ended(window, command);
    else this.#isStill();
    this.#strikes();
    const { revision } = this.after;
    if (revision.digest === null) return;
    const held = this.known.revisions.get(revision.number) ?? revision.digest;
    this.say("revision-true", held === revision.digest, `revision ${revision.number} is two`);
    this.known.revisions.set(revision.number, revision.digest);
    if (this.after.phase !== "completed") return;
    this.say("slots-tile", !this.known.slots.includes(0), "it is completed and a slot is left");
  }

  /** Nothing counts outside of a promotion. */
  #isStill(): void {
    const { before, after } = this;
    const isSame = before.acceptedSlots === after.acceptedSlots;
    this.say("counted-once", isSame, "slots count and no window ended");
    const isKept = before.revision.number === after.revision.number;
    this.say("promotion-proven", isKept, "a revision came out of no window");
    this.#privates(new Map());
  }

  #opened(number: number): void {
    const { known, after, say } = this;
    say("window-once", number === known.opened.size + 1, `window ${number} is opened again`);
    known.opened.add(number);
    const taken = after.window!.tasks.flatMap((task) => slotsOf(task));
    const isApart =
      new Set(taken).size === taken.length && taken.every((slot) => !known.slots[slot]);
    say("slots-tile", isApart, `window ${number} has slots twice, or some that count already`);
  }

  #sealed(number: number, seed: Digest): void {
    const { known, before, after, say } = this;
    say("window-once", !known.sealed.has(number), `window ${number} is sealed again`);
    known.sealed.add(number);
    this.#drawn(seed);
    const contributions = before.window?.contributions ?? [];
    const isAble = (node: string) =>
      this.#isReady(node) &&
      !before.workers.some((worker) => worker.node === node && worker.isQuarantined);
    for (const { worker } of contributions) {
      const others = contributions.filter((each) => each.worker !== worker && isAble(each.worker));
      if (others.length > 0 && after.spec.validators > 0) known.judged.add(`${number} ${worker}`);
    }
  }

  #isReady(node: string): boolean {
    return this.mesh.members.some((each) => each.node === node && each.standing === "ready");
  }

  #isTrainer(id: string): boolean {
    const member = this.mesh.members.find(({ node }) => node === id);
    return member?.standing === "ready" && member.roles.includes("trainer");
  }

  #drawn(seed: Digest): void {
    this.say("draw-fresh", !this.known.seeds.has(seed), "a number was drawn before");
    this.known.seeds.add(seed);
  }

  #stated(statement: Statement): void {
    const { known, before, say } = this;
    const { node, previous, anchor, said } = statement;
    const digest = statementDigest(statement);
    const isSigned = isSignedBy(keyOf(node), statement) && statement.mesh === this.mesh.mesh;
    say("statement-true", isSigned, `${node} did not sign it`);
    const latest = known.latest.get(node) ?? null;
    say("statement-true", latest === previous, `${node} had said something since`);
    known.latest.set(node, digest);
    this.#anchored(said, anchor);
    if (said.saying === "contribution") this.#given(node, said.window, digest);
    if (said.saying !== "verdict") return;
    const { worker, verdict, reasons, window } = said;
    if (verdict === "accepted") known.acceptedBy.add(`${window} ${worker} ${node}`);
    const isProof = reasons.some((reason) => proofsOfLies.includes(reason));
    const isLie = this.lies.has(`${before.run} ${window} ${worker}`);
    say("honest-kept", !isProof || isLie, `${worker} is honest, and ${reasons.join(", ")}`);
  }

  #anchored(said: Saying, anchor: Digest | null): void {
    const { window, past } = this.before;
    const isOfWindow = "window" in said;
    const present = isOfWindow
      ? window?.number === said.window
        ? window.anchor
        : past?.anchor
      : null;
    this.say("statement-true", anchor === present, `it names another history`);
  }

  #given(node: string, number: number, digest: Digest): void {
    const { window } = this.before;
    const isInTime =
      window?.number === number &&
      window.stage === "active" &&
      window.tasks.some(({ worker }) => worker === node);
    this.say("counted-once", isInTime, `${node} gives too late, or what was not asked of it`);
    const isFirst = window?.contributions.every(({ worker }) => worker !== node) === true;
    this.say("counted-once", isFirst, `${node} gives twice`);
    this.known.given.set(digest, number);
  }

  #ended(window: Window, command: Event["command"]): void {
    const { known, before, after, say } = this;
    say("window-once", !known.ended.has(window.number), `window ${window.number} ends again`);
    known.ended.add(window.number);
    if (after.revision.number === before.revision.number) return this.#isStill();
    const accepted = window.contributions.filter(({ worker }) => window.accepted.includes(worker));
    for (const contribution of accepted) {
      const { worker, statement } = contribution;
      const isCounted =
        known.given.get(statement) === window.number && !known.counted.has(statement);
      say("counted-once", isCounted, `what ${worker} gave counts twice, or was not given in time`);
      known.counted.add(statement);
      this.#isJudged(window, worker);
      this.#tile(window, worker);
    }
    const total = known.slots.reduce((sum, each) => sum + each, 0);
    const credits = after.workers.reduce((sum, worker) => sum + worker.acceptedSlots, 0);
    say("counted-once", after.acceptedSlots === total, `${after.acceptedSlots} of ${total} count`);
    say("counted-once", credits === total, `workers have ${credits} of ${total}`);
    this.#privates(new Map(accepted.map((each) => [each.worker, each.private])));
    const merged = mergedRevision(before.revision.digest ?? firstRevision(before), accepted);
    say("revision-true", merged === after.revision.digest, "it is not what was accepted");
    this.#isProven(window, command);
  }

  #isJudged({ number, draws, tasks }: Window, worker: string): void {
    const drawn = draws.find((each) => each.worker === worker)?.validators ?? [];
    const isAll = drawn.every((node) => this.known.acceptedBy.has(`${number} ${worker} ${node}`));
    const isNone = drawn.length === 0 && this.known.judged.has(`${number} ${worker}`);
    const isTask = tasks.some((task) => task.worker === worker);
    this.say("promotion-proven", isAll && !isNone && isTask, `${worker} counts without verdicts`);
  }

  #tile({ tasks }: Window, worker: string): void {
    for (const slot of slotsOf(tasks.find((task) => task.worker === worker)!)) {
      this.say("slots-tile", this.known.slots[slot] === 0, `slot ${slot} counts twice`);
      this.known.slots[slot] = 1;
    }
  }

  #isProven({ computed }: Window, command: Event["command"]): void {
    const { spec, workers } = this.before;
    const last = command.kind === "run-stated" ? command.statement : null;
    const isSame = (digest: Digest) => digest === this.after.revision.digest;
    const sayers = new Set(computed.filter((each) => isSame(each.digest)).map(({ node }) => node));
    if (last?.said.saying === "revision" && isSame(last.said.digest)) sayers.add(last.node);
    const able = workers.filter(
      ({ node, revision, isQuarantined }) =>
        revision === this.before.revision.number && !isQuarantined && this.#isTrainer(node),
    );
    const isProven = sayers.size >= Math.max(1, Math.min(spec.quorum, able.length));
    this.say("promotion-proven", isProven, `${sayers.size} of ${able.length} made the revision`);
  }

  #privates(expected: ReadonlyMap<string, Digest>): void {
    for (const worker of this.after.workers) {
      const old = this.before.workers.find(({ node }) => node === worker.node)?.private ?? null;
      const isTrue = worker.private === (expected.get(worker.node) ?? old);
      this.say("private-chain", isTrue, `${worker.node} has another private state`);
    }
  }

  #strikes(): void {
    const { before, after } = this;
    for (const { node, strikes } of after.workers) {
      const old = before.workers.find((worker) => worker.node === node)?.strikes ?? 0;
      if (old >= strikes) continue;
      const isLie = this.lies.has(`${after.run} ${before.window?.number ?? 0} ${node}`);
      this.say("honest-kept", isLie, `${node} is struck and did not lie`);
    }
  }
}
