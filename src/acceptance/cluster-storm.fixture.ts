import { expect } from "bun:test";
import { OwnClock, whyNoClock } from "./cluster-clock.fixture.ts";
import { judgeHistory, type Operation } from "./cluster-history.fixture.ts";
import { type LoggedLabel, LogWatcher } from "./cluster-log.fixture.ts";
import { Cluster, type ClusterMachine, standingOf } from "./cluster-machine.fixture.ts";
import { MachineNetwork, whyNoNetwork } from "./cluster-network.fixture.ts";
import { until } from "./daemon.fixture.ts";
import { drawnFrom } from "./storm.fixture.ts";
import { codeIn } from "./storm-doors.fixture.ts";

/**
 * A cluster under commands at all its nodes, while they are killed, paused and parted from each other, a
 * disk fills up and a clock jumps, at moments drawn from a seed. What was acknowledged is kept here and
 * compared with what the nodes hold in the end.
 */

export interface ClusterStormOptions {
  readonly seed: number;
  readonly machineCount: number;
  /** How long commands are given. */
  readonly durationMs: number;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  /** Between two kills. */
  readonly killEveryMs: number;
  /** Between two of each of the other faults, each of which lasts a third of it at most. */
  readonly faultEveryMs: number;
  /** Told what happens, with the time in milliseconds since the start. */
  readonly tell?: (atMs: number, what: string) => void;
}

/** Labels of each node: with its nodes' count, how many registers there are. */
const labelCount = 8;
/** Calls under way at once; those beyond are not made, and counted. */
const underWayMaximum = 200;
/** A caller waits longer than a node has patience. */
const callTimeoutMs = 20_000;
/** The disk of the machine that fills up: enough for its database and logs. */
const smallDiskMiB = 96;
const smallMachine = 1;
const clockMachine = 2;

/** Refusals that say that nothing was written. */
const unwritten = ["cluster_leaderless", "cluster_busy"];
/** Refusals by the state's own rules: the command stands in the log and did nothing. */
const ineffective = ["scope_lacking", "member_unknown"];

interface Written extends LoggedLabel {
  readonly term: number;
}

export class ClusterStorm implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly #network: MachineNetwork;
  readonly #draw: () => number;
  readonly #clock: OwnClock | null;
  readonly #operations: Operation[] = [];
  readonly #acknowledged: Written[] = [];
  /** Values that were surely never written. */
  readonly #refused = new Set<string>();
  readonly #codes: Record<string, number> = {};
  readonly #watcher = new LogWatcher();
  readonly #digests = new Map<number, string>();
  /** What failed beside the calls. */
  readonly #troubles: unknown[] = [];
  readonly #raising = new Set<ClusterMachine>();
  readonly #lossesMs: number[] = [];
  readonly #underWay = new Set<Promise<void>>();
  readonly #faults = { kills: 0, leaderKills: 0, pauses: 0, partitions: 0, fullDisks: 0, jumps: 0 };
  #loss: { readonly atMs: number; readonly term: number } | null = null;
  #leader: { readonly node: string; readonly term: number } = { node: "", term: 0 };
  #startedMs = 0;
  #isOver = false;
  #uncertain = 0;
  #unmade = 0;
  #reads = 0;
  #writes = 0;

  constructor(readonly options: ClusterStormOptions) {
    this.#draw = drawnFrom(options.seed);
    this.#network = new MachineNetwork(options.machineCount);
    this.#clock = whyNoClock() === null ? new OwnClock(`${this.#network.folder}/clock`) : null;
    const environments = Array.from({ length: options.machineCount }, (_, index) =>
      index === clockMachine ? (this.#clock?.environment ?? {}) : {},
    );
    this.cluster = new Cluster(this.#network, environments);
    if (this.#network.canFail)
      this.#network.mountDisk(this.cluster.machines[smallMachine]!.home, smallDiskMiB);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.cluster[Symbol.asyncDispose]();
  }

  async run() {
    await this.cluster.form();
    this.#startedMs = performance.now();
    const endMs = this.#startedMs + this.options.durationMs;
    const { killEveryMs, faultEveryMs, writesPerSecond, readsPerSecond } = this.options;
    const isOver = () => this.#isOver || performance.now() >= endMs;
    const ways = this.#network.canFail
      ? [() => this.#part(), () => this.#fill(), () => this.#pause(), () => this.#jump()]
      : [() => this.#pause(), () => this.#jump()];
    await Promise.all([
      this.#every(1_000 / writesPerSecond, isOver, () => this.#begin(() => this.#write())),
      this.#every(1_000 / readsPerSecond, isOver, () => this.#begin(() => this.#read())),
      this.#every(500, isOver, () => this.#look()),
      this.#every(killEveryMs, isOver, () => this.#kill()),
      ...ways.map((way, at) =>
        this.#every(faultEveryMs, isOver, way, (faultEveryMs * (at + 1)) / ways.length),
      ),
    ]);
    await this.#recover();
    return this.#judge();
  }

  #tell(what: string): void {
    this.options.tell?.(Math.round(performance.now() - this.#startedMs), what);
  }

  /** Calls again and again, at once where it is late; waits for what it called. */
  async #every(
    periodMs: number,
    isOver: () => boolean,
    act: () => void | Promise<void>,
    firstMs = 0,
  ): Promise<void> {
    let dueMs = performance.now() + firstMs;
    while (!isOver()) {
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await Bun.sleep(Math.min(waitMs, 200));
      if (performance.now() < dueMs || isOver()) continue;
      dueMs += periodMs;
      await act();
    }
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#draw() * list.length)]!;
  }

  #begin(call: () => Promise<void>): void {
    if (this.#underWay.size < underWayMaximum) this.#follow(call());
    else this.#unmade++;
  }

  /** Sees to it that it is waited for, and that its failure is told. */
  #follow(call: Promise<void>): void {
    const made = call
      .catch((error: unknown) => void this.#troubles.push(error))
      .finally(() => this.#underWay.delete(made));
    this.#underWay.add(made);
  }

  async #write(): Promise<void> {
    const machine = this.#pick(this.cluster.machines);
    const node = this.#pick(this.cluster.nodes);
    const label = `r${Math.floor(this.#draw() * labelCount)}`;
    const value = `w${++this.#writes}`;
    const startedMs = performance.now();
    const answer = await machine.ask(
      "node/label",
      { node, label: `${label}=${value}` },
      AbortSignal.timeout(callTimeoutMs),
    );
    const isDone = answer.kind === "result";
    const code = codeIn(answer);
    this.#codes[code] = (this.#codes[code] ?? 0) + 1;
    if (unwritten.includes(code)) this.#refused.add(value);
    if (unwritten.includes(code) || ineffective.includes(code)) return;
    const endedMs = isDone ? performance.now() : Infinity;
    this.#operations.push({ key: `${node} ${label}`, kind: "write", value, startedMs, endedMs });
    if (!isDone) {
      this.#uncertain++;
      return;
    }
    const { index, term } = answer.result as { index: number; term: number };
    this.#acknowledged.push({ index, term, node, label, value });
    if (this.#loss !== null && term > this.#loss.term) {
      this.#lossesMs.push(endedMs - this.#loss.atMs);
      this.#tell(`commits again ${Math.round(endedMs - this.#loss.atMs)} ms after the loss`);
      this.#loss = null;
    }
  }

  /** All registers at once, as new as the whole cluster knows them. */
  async #read(machine = this.#pick(this.cluster.machines)): Promise<void> {
    const startedMs = performance.now();
    const signal = AbortSignal.timeout(callTimeoutMs);
    const answer = await machine.ask("nodes", { fresh: true }, signal);
    if (answer.kind !== "result") return;
    const endedMs = performance.now();
    this.#reads++;
    const { nodes } = answer.result as {
      nodes: { node: string; labels: { label: string; value: string }[] }[];
    };
    for (const { node, labels } of nodes)
      for (let at = 0; at < labelCount; at++) {
        const value = labels.find(({ label }) => label === `r${at}`)?.value ?? "";
        this.#operations.push({ key: `${node} r${at}`, kind: "read", value, startedMs, endedMs });
      }
  }

  /** What every node says of itself, and what its log holds that is new. */
  async #look(): Promise<void> {
    await Promise.all(
      this.cluster.machines.map(async (machine) => {
        const standing = await standingOf(machine);
        if (standing === null) return;
        const { index, commitIndex, digest, leader, term } = standing;
        const known = this.#digests.get(index) ?? digest;
        if (known !== digest) throw new Error(`states differ at ${index}: ${known}, ${digest}`);
        this.#digests.set(index, digest);
        if (leader !== null && term >= this.#leader.term) {
          if (term > this.#leader.term)
            this.#tell(`${this.cluster.nodes.indexOf(leader)} leads in term ${term}`);
          this.#leader = { node: leader, term };
        }
        this.#watcher.read(machine.home, commitIndex);
      }),
    );
  }

  async #kill(): Promise<void> {
    const machine = this.#pick(this.cluster.machines);
    if (!machine.isRunning || machine.isPaused) return;
    const standing = await standingOf(machine);
    const term = standing?.term ?? 0;
    const isLeader = standing?.isLeading === true && term >= this.#leader.term;
    await machine.kill();
    this.#tell(`${machine.index} is killed${isLeader ? ", the leader" : ""}`);
    this.#faults.kills++;
    if (isLeader) {
      this.#faults.leaderKills++;
      this.#loss ??= { atMs: performance.now(), term };
    }
    this.#follow(this.#raise(machine));
  }

  /** Starts it, and again where it is killed before it answers. */
  async #raise(machine: ClusterMachine): Promise<void> {
    if (this.#raising.has(machine)) return;
    this.#raising.add(machine);
    try {
      while (!machine.isRunning) {
        await Bun.sleep(this.#draw() * 1_000);
        await machine.up();
      }
      this.#tell(`${machine.index} answers again`);
    } catch (error) {
      this.#tell(`${machine.index} does not start`);
      // A full disk may keep it from starting: it is started again when there is room.
      if (machine.index !== smallMachine) throw error;
    } finally {
      this.#raising.delete(machine);
    }
  }

  async #lasting(what: string, begin: () => void, end: () => void): Promise<void> {
    this.#tell(what);
    begin();
    await Bun.sleep((this.options.faultEveryMs / 3) * (0.3 + 0.7 * this.#draw()));
    end();
    this.#tell(`over: ${what}`);
  }

  /** Two parts, or one that is heard by nobody, or one way that is lost. */
  #part(): Promise<void> {
    this.#faults.partitions++;
    const shuffled = this.cluster.machines
      .map(({ index }) => ({ index, place: this.#draw() }))
      .toSorted((one, other) => one.place - other.place)
      .map(({ index }) => index);
    const cut = 1 + Math.floor(this.#draw() * (shuffled.length - 1));
    const kind = this.#draw();
    const isOneWay = kind < 0.25;
    const what = isOneWay
      ? `${shuffled[1]} does not hear ${shuffled[0]}`
      : `parts: ${shuffled.slice(0, cut).join(" ")} | ${shuffled.slice(cut).join(" ")}`;
    return this.#lasting(
      what,
      () => {
        if (isOneWay) this.#network.deafen(shuffled[0]!, shuffled[1]!);
        else this.#network.partition([shuffled.slice(0, cut), shuffled.slice(cut)]);
      },
      () => this.#network.heal(),
    );
  }

  async #fill(): Promise<void> {
    this.#faults.fullDisks++;
    const machine = this.cluster.machines[smallMachine]!;
    await this.#lasting(
      `${machine.index} has a full disk`,
      () => machine.fillDisk(),
      () => machine.freeDisk(),
    );
    if (!machine.isRunning) this.#follow(this.#raise(machine));
  }

  #pause(): Promise<void> {
    const machine = this.#pick(this.cluster.machines.filter((each) => each.isRunning));
    this.#faults.pauses++;
    return this.#lasting(
      `${machine.index} stands still`,
      () => machine.pause(),
      () => machine.resume(),
    );
  }

  /** Up to a quarter of an hour ahead or behind. */
  #jump(): void {
    if (this.#clock === null) return;
    this.#faults.jumps++;
    const seconds = Math.round((this.#draw() - 0.5) * 1_800);
    this.#clock.set(seconds);
    this.#tell(`the clock of ${clockMachine} jumps to ${seconds} s`);
  }

  /** Everything that was broken is whole again, and everyone is there. */
  async #recover(): Promise<void> {
    this.#network.heal();
    this.#clock?.set(0);
    await Promise.all(this.#underWay);
    const { machines } = this.cluster;
    for (const machine of machines) {
      if (machine.isPaused) machine.resume();
      if (machine.index === smallMachine && this.#network.canFail) machine.freeDisk();
    }
    await Promise.all(machines.filter(({ isRunning }) => !isRunning).map((each) => each.up()));
    await until("every node commits again", async () => {
      const answers = await Promise.all(
        machines.map((machine) => machine.ask("nodes", { fresh: true })),
      );
      return answers.every(({ kind }) => kind === "result");
    });
    for (const machine of machines) await this.#read(machine);
  }

  async #judge() {
    expect(this.#troubles).toEqual([]);
    const { index, digest } = await this.cluster.agree();
    await this.#look();
    this.#judgeLog();
    for (const machine of this.cluster.machines) await machine.result("cluster/verify", {});
    const verdict = judgeHistory(this.#operations);
    expect(verdict).toMatchObject({ isLinearizable: true });
    const sorted = this.#lossesMs.toSorted((one, other) => one - other);
    return {
      ...{ seed: this.options.seed, ...this.#faults, network: whyNoNetwork() ?? "namespaces" },
      ...{ writes: this.#writes, acknowledged: this.#acknowledged.length },
      ...{ uncertain: this.#uncertain, refused: this.#refused.size, unmade: this.#unmade },
      ...{ reads: this.#reads, outcomes: this.#codes, comparedDigests: this.#digests.size },
      lossToCommitMs: sorted.map(Math.round),
      medianLossMs: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
      mostLossMs: Math.round(sorted.at(-1) ?? 0),
      ...{ index, digest, operations: this.#operations.length },
      isLinearizable: verdict.isLinearizable,
    };
  }

  /** Each acknowledged command stands once where it was said to; none that was refused stands there. */
  #judgeLog(): void {
    expect(this.#watcher.holes).toEqual([]);
    const labels = this.#watcher.labels().filter(({ value }) => value.startsWith("w"));
    const byValue = Map.groupBy(labels, ({ value }) => value);
    expect([...byValue.values()].filter((list) => list.length > 1)).toEqual([]);
    for (const { term: _term, ...written } of this.#acknowledged)
      expect(byValue.get(written.value)).toEqual([written]);
    expect([...this.#refused].filter((value) => byValue.has(value))).toEqual([]);
  }
}
