import type { Durable } from "#src/log/durable.ts";
import type { Command, Request } from "#src/cluster/event.ts";
import type { AskOutcome } from "#src/cluster/lanes.ts";
import { memberOf } from "#src/cluster/members.ts";
import type { SyncOutcome } from "#src/cluster/reads.ts";
import type { Outcome } from "#src/log/replica.ts";
import { Agenda } from "./agenda.ts";
import { Asking, type Asked } from "./asking.ts";
import { Asks } from "./asks.ts";
import { Chance } from "./chance.ts";
import { Checks } from "./checks.ts";
import { Client, type Ask, type Counter } from "./client.ts";
import type { Count } from "./count.ts";
import { ensure } from "./failure.ts";
import { keys } from "./ledger.ts";
import { MeshTraffic, type MeshView } from "./mesh-traffic.ts";
import { Network } from "./network.ts";
import type { PlantedFlaw } from "./planted.ts";
import type { ProbeName } from "./probes.ts";
import { RunChecks } from "./run-checks.ts";
import { RunPlay } from "./run-play.ts";
import { drawRuns, runStream, type RunShared } from "./run-shared.ts";
import { Site } from "./site.ts";
import { epochMs, tickMs, type Letter, type Surroundings } from "./surroundings.ts";
import { drawWeather, fairWeather, type FaultKind, type Weather } from "./weather.ts";

const clientCount = 5;
/** Ticks within which nodes look whether to say that they are there. */
const keepTicks = 50;

/** What nodes begin with: a mesh, as text, and what stands on their disks. */
export interface Beginning {
  readonly meshText: string;
  readonly durable: Durable;
}

/** A whole cluster with its clients, its operator and its bad luck, in one thread and without a clock. */
export class World implements Surroundings, Counter, Asked {
  readonly agenda = new Agenda();
  readonly flaw: PlantedFlaw | null;
  readonly checks: Checks;
  readonly sessionMaximum: number;
  readonly snapshotEvery: number;
  readonly keptEntries: number;
  readonly entriesPerMessage: number;
  readonly runs: RunShared | null;
  weather: Weather;
  floor = 0;
  readonly targets: readonly string[];
  readonly #seed: number;
  readonly #chance: Chance;
  readonly sites: readonly Site[];
  readonly #network: Network;
  readonly #clients: readonly Client[];
  readonly #traffic: MeshTraffic;
  readonly #asks: Asks;
  readonly #asking: Asking;
  readonly #playing: RunPlay | null;
  #requestCount = 0;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  /** Who waits for what became of something a node was asked for. */
  readonly #asked = new Map<number, (outcome: AskOutcome) => void>();
  #isCalm = false;
  /** A transfer under way: who is to lead. */
  #heir = "";
  #low = 0x9e3779b9;
  #high = 0x7f4a7c15;

  constructor(
    {
      seed,
      nodeCount,
      flaw,
    }: {
      readonly seed: number;
      readonly nodeCount: number | null;
      readonly flaw: PlantedFlaw | null;
    },
    readonly faults: Count<FaultKind>,
    readonly probes: Count<ProbeName>,
    found: (
      voters: readonly string[],
      members: readonly string[],
      sessionMaximum: number,
    ) => Beginning,
  ) {
    this.#seed = seed;
    this.flaw = flaw;
    this.#chance = this.chance(1);
    const chance = this.#chance;
    this.weather = drawWeather(chance);
    this.sessionMaximum = chance.pick([4, 16, 64]);
    this.snapshotEvery = chance.pick([8, 32, 128]);
    this.keptEntries = chance.pick([0, 4, 16]);
    this.entriesPerMessage = chance.pick([1, 2, 64]);
    const count = nodeCount ?? chance.pick([3, 3, 4, 5, 5, 5, 6, 7]);
    this.targets = Array.from({ length: count }, (_, place) => `n${place + 1}`);
    const founders = this.targets.slice(0, chance.pick([count, count, Math.max(1, count - 2)]));
    const members = chance.happens(0.7) ? founders : [];
    const { meshText, durable } = found(founders, members, this.sessionMaximum);
    this.sites = this.targets.map((id, place) => new Site(this, id, place + 1, durable));
    this.#asks = new Asks(probes);
    const { sessionMaximum } = this;
    this.runs = drawRuns(
      this.chance(runStream),
      this.targets,
      (id) => this.sites.find((site) => site.id === id)!.node !== null,
    );
    const runChecks = this.runs && new RunChecks(this.runs.lies);
    const founded = { sessionMaximum, meshText };
    this.checks = new Checks(this.sites, probes, this.#asks, founded, runChecks);
    this.#network = new Network(this, (letter) => this.#deliver(letter));
    this.#traffic = new MeshTraffic(this.chance(300), this.targets);
    this.#asking = new Asking(this, this.#asks, this.#traffic, this.chance(500));
    this.#playing = this.runs && new RunPlay(this, this.runs, this.#asking);
    this.#clients = Array.from(
      { length: clientCount },
      (_, place) => new Client(this, this, place + 1),
    );
  }

  chance(stream: number): Chance {
    return new Chance(this.#seed, stream);
  }

  /** What happened so far, in two numbers. */
  get trace(): readonly [number, number] {
    return [this.#low >>> 0, this.#high >>> 0];
  }

  note(...numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#low = Math.imul(this.#low ^ number, 0x01000193);
      this.#high = Math.imul(this.#high, 0x85ebca6b) ^ (this.#low >>> 13);
    }
  }

  send(letter: Letter): boolean {
    return this.#network.send(letter);
  }

  #deliver({ from, to, message }: Letter): void {
    this.note(2, message.kind === "log" ? message.message.term : message.ticket);
    this.#site(to).feed({ kind: "heard", from, message });
  }

  #site(id: string): Site {
    return this.sites.find((site) => site.id === id)!;
  }

  nextRequest(): number {
    return ++this.#requestCount;
  }

  request(target: string, ask: Ask, answered: (outcome: Outcome) => void): void {
    this.#network.carryForClient(() => {
      const request = this.nextRequest();
      this.#waiting.set(request, answered);
      this.#site(target).feed({ kind: "direct", input: ask(request) });
    });
  }

  meshBody(): string | null {
    return this.#traffic.isNext() ? this.#traffic.body(this.view()) : null;
  }

  view(): MeshView {
    const { reference, committed } = this.checks;
    const nowMs = epochMs + this.agenda.nowMs;
    return { state: reference.mesh.mesh, commitIndex: committed.length, nowMs };
  }

  answer(request: number, outcome: Outcome): void {
    const answered = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (answered !== undefined) this.#network.carryForClient(() => answered(outcome));
  }

  asked(request: number, outcome: AskOutcome | SyncOutcome): void {
    this.floor = Math.max(this.floor, this.#asks.answered(request, outcome));
    const answered = this.#asked.get(request);
    this.#asked.delete(request);
    // Later, as who hears it may ask again, and the node is amid a step.
    if (answered === undefined || outcome.kind === "synced") return;
    this.agenda.after(1, () => answered(outcome));
  }

  askAt(
    site: string,
    asked: Request,
    patienceTicks: number,
    answered: (outcome: AskOutcome) => void,
  ): void {
    this.#asking.askAt(site, asked, patienceTicks, (request) => this.#asked.set(request, answered));
  }

  ended(site: string): void {
    for (const request of this.#asks.lost(site)) this.#asked.delete(request);
  }

  /** Lets things happen, and go wrong. */
  run(ticks: number): void {
    for (const site of this.sites) site.start();
    for (const client of this.#clients) this.#keepBusy(client);
    this.#often(4, () => this.#asking.askAny());
    for (const site of this.sites) this.#often(keepTicks, () => this.#asking.keep(site));
    this.#playing?.begin((meanTicks, work) => this.#often(meanTicks, work));
    this.#planFaults();
    const endMs = ticks * tickMs;
    while (this.agenda.step(endMs));
  }

  #keepBusy(client: Client): void {
    this.agenda.after(this.#chance.between(1, 8) * tickMs, () => {
      if (this.#isCalm) return;
      if (client.isIdle) client.beginAny();
      this.#keepBusy(client);
    });
  }

  /** Has something done again and again, on average every so many ticks; 0 for never. */
  #often(meanTicks: number, work: () => void): void {
    if (meanTicks === 0) return;
    this.agenda.after(this.#chance.between(1, 2 * meanTicks) * tickMs, () => {
      if (this.#isCalm) return;
      work();
      this.#often(meanTicks, work);
    });
  }

  #planFaults(): void {
    const { weather } = this;
    const chance = this.#chance;
    const any = () => chance.pick(this.sites);
    // Those who lead are hit more than their share.
    const luckless = () => (chance.happens(0.4) ? this.leaders()[0] : undefined) ?? any();
    this.#often(weather.crashEvery, () => luckless().crash());
    this.#often(weather.clockJumpEvery, () => any().jump());
    this.#often(weather.partitionEvery, () => this.#part());
    this.#often(weather.memberEvery, () => this.#changeMember());
    this.#often(weather.transferEvery, () => this.#transfer());
    this.#often(weather.pauseEvery, () => {
      const site = luckless();
      site.pause();
      this.agenda.after(chance.between(5, 80) * tickMs, () => site.resume());
    });
  }

  #part(): void {
    const isOneWay = this.#chance.happens(0.4);
    const leader = this.#chance.happens(0.5) ? this.leader(true) : undefined;
    const share = leader === undefined ? 0.4 : 0.15;
    const group = this.targets.filter((id) => id === leader || this.#chance.happens(share));
    const others = this.targets.filter((id) => !group.includes(id));
    this.#network.part(group, others, isOneWay);
    const ticks = this.#chance.between(5, 100);
    this.agenda.after(ticks * tickMs, () => this.#network.heal(isOneWay));
  }

  /** Those who believe that they lead, the newest term first. */
  leaders(): readonly Site[] {
    const leaders = this.sites.filter(({ replica }) => replica?.core.role === "leader");
    if (leaders.length > 1) this.probes.add("two-terms-led-at-once");
    return leaders.sort((a, b) => b.replica!.core.term - a.replica!.core.term);
  }

  leader(isNewest: boolean): string | undefined {
    return this.leaders().at(isNewest ? 0 : -1)?.id;
  }

  #anyLeader(): Site | undefined {
    const leaders = this.leaders();
    return leaders.length === 0 ? undefined : this.#chance.pick(leaders);
  }

  #changeMember(): void {
    const leader = this.#anyLeader();
    if (leader === undefined) return;
    const { voters, learners } = leader.replica!.core.membership;
    const id = this.#chance.pick(this.targets);
    const isLearner = learners.includes(id);
    const place = voters.includes(id)
      ? "out"
      : isLearner && this.#chance.happens(0.8)
        ? "voter"
        : isLearner
          ? "out"
          : this.#chance.pick(["learner", "voter"] as const);
    // An operator who asks for two things at once is told to wait.
    for (const each of this.#chance.happens(0.2) ? [id, this.#chance.pick(this.targets)] : [id]) {
      const request = this.nextRequest();
      this.#waiting.set(request, (outcome) => {
        if (outcome.kind === "refused" && outcome.reason === "change_pending")
          this.probes.add("member-change-pending");
        if (outcome.kind === "done" && isLearner && place === "voter")
          this.probes.add("learner-promoted");
      });
      const changed = each === id ? place : "learner";
      leader.feed({
        ...{ kind: "direct", input: { kind: "member", request, id: each, place: changed } },
      });
    }
  }

  #transfer(): void {
    const leader = this.#anyLeader();
    if (leader === undefined) return;
    const to = this.#chance.pick(leader.replica!.core.membership.voters);
    if (to === leader.id) return;
    this.#heir = to;
    leader.feed({ kind: "direct", input: { kind: "transfer", to } });
    this.agenda.after(20 * tickMs, () => {
      const isDone = this.#site(to).replica?.core.role === "leader";
      if (this.#heir === to) this.probes.add(isDone ? "transfer-done" : "transfer-failed");
    });
  }

  /** Ends all faults and waits for what must come to pass then. */
  calm(commitBoundTicks: number, equalBoundTicks: number): void {
    this.#isCalm = true;
    this.weather = fairWeather;
    this.#network.heal(false);
    this.#network.heal(true);
    for (const site of this.sites) {
      site.resume();
      site.start();
      site.mendClock();
    }
    this.runs?.calm();
    const last = new Client(this, this, clientCount + 1);
    last.begin("write");
    // The first gives it a session, the second is a command.
    this.#await(commitBoundTicks, "a command is committed", () => {
      if (last.isIdle && last.doneCount === 1) last.begin("write");
      return last.doneCount === 2 && this.#clients.every(({ isIdle }) => isIdle);
    });
    this.#awaitAsks(commitBoundTicks);
    this.#playing?.finish(() => this.#passTick());
    this.#await(equalBoundTicks, "all members are equal", () => this.#areEqual());
    this.#compareWithReference();
  }

  #await(boundTicks: number, what: string, isDone: () => boolean): void {
    for (let left = boundTicks; !isDone(); left--) {
      ensure(left > 0, "liveness", () => `not within ${boundTicks} ticks: ${what}`);
      this.#passTick();
    }
  }

  #passTick(): void {
    const endMs = this.agenda.nowMs + tickMs;
    while (this.agenda.step(endMs));
  }

  /** What nodes are asked for has an answer, one of them a good one, and the leader has no duty left. */
  #awaitAsks(boundTicks: number): void {
    const { decidedCount } = this.#asks;
    this.#await(boundTicks, "what nodes are asked for is answered", () => {
      if (this.#asks.openCount > 0) return false;
      if (this.#asks.decidedCount > decidedCount) return true;
      this.#asking.askVoter();
      return false;
    });
    this.#await(boundTicks, "the leader's duties are done", () => {
      const [leader] = this.leaders();
      const { orders, placing } = leader?.node?.duties() ?? {};
      return orders?.every(isOfRun) === true && placing === null;
    });
    this.#countVoters();
  }

  #countVoters(): void {
    const { node, id } = this.leaders()[0]!;
    const { mesh, replica } = node!;
    // Who is to be led by another leaves the voters to that one.
    if (memberOf(mesh, id)?.standing !== "ready" || node!.duties().isHandedOver) return;
    const { voters } = replica.core.membership;
    ensure(voters.length % 2 === 1, "voters-odd", () => `${voters.join(", ")} decide`);
  }

  #members(): readonly Site[] {
    const membership = this.leaders()[0]?.replica?.core.membership;
    const ids = [...(membership?.voters ?? []), ...(membership?.learners ?? [])];
    return this.sites.filter(({ id }) => ids.includes(id));
  }

  #areEqual(): boolean {
    const members = this.#members();
    const index = this.checks.committed.length;
    return members.length > 0 && members.every(({ replica }) => replica?.appliedIndex === index);
  }

  #compareWithReference(): void {
    const { reference, committed } = this.checks;
    for (const { id, replica } of this.#members()) {
      this.checks.compareDigest(id, replica!);
      for (const key of keys) {
        const isSame = replica!.ask(key) === reference.read(key, committed.length);
        ensure(isSame, "answers-true", () => `${id} has another state than the log`);
      }
      const isSameMesh = replica!.ask("state") === reference.mesh.ask("state");
      ensure(isSameMesh, "answers-true", () => `${id} has another mesh than the log`);
    }
  }
}

/** Orders about runs are never done for as long as one goes on. */
function isOfRun(command: Command): boolean {
  return "run" in command;
}
