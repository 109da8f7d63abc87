import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { Cluster, type ClusterMachine, standingOf } from "./cluster-machine.fixture.ts";
import { MachineNetwork } from "./cluster-network.fixture.ts";
import { childrenOf } from "./daemon.fixture.ts";
import { drawnFrom } from "./storm.fixture.ts";
import { RunWatcher } from "./window-watch.fixture.ts";
import {
  acceptedSlices,
  countApart,
  isPromotion,
  medianOf,
  progressIn,
  rejections,
  type RunEntry,
  stageMedians,
  windowTimes,
  workAfter,
} from "./window-tally.fixture.ts";
import { eventually } from "./windows.fixture.ts";

/**
 * Daemons of the compiled program that train one run while one after the other is killed, hangs, is cut off or
 * restarted; and what came of it.
 */

export const faultKinds = [
  ...(["kill", "kill-worker", "hang", "part", "restart", "kill-leader"] as const),
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface ChaosOptions {
  readonly seed: number;
  readonly nodeCount: number;
  /** From one fault to the next. */
  readonly everyMs: number;
  /** The faults in their order; drawn, as many as fit the time, where they are not given. */
  readonly faults: readonly FaultKind[] | { readonly durationMs: number };
  /** How long something that passes by itself lasts. */
  readonly lastingMs: readonly [least: number, most: number];
  /** Promoted windows over which the undisturbed rate is taken, before and after. */
  readonly quietWindows: number;
  /** Words of `run start`. */
  readonly words: readonly string[];
  readonly tell?: (told: Readonly<Record<string, unknown>>) => void;
}

interface Fault {
  readonly kind: FaultKind;
  readonly machine: number;
  readonly atMs: number;
  /** When the node was let be again. */
  readonly endedMs: number;
}

/** Steps of a run that outlasts every test; it is stopped. */
const endless = "10000000";
const name = "storm";

export class WindowChaos implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly #network: MachineNetwork;
  readonly #draw: () => number;
  readonly #faults: Fault[] = [];
  #run = "";

  constructor(readonly options: ChaosOptions) {
    this.#draw = drawnFrom(options.seed);
    this.#network = new MachineNetwork(options.nodeCount);
    const environment = { PSIONIC_TRAIN_THREADS: "1" };
    this.cluster = new Cluster(
      this.#network,
      Array.from({ length: options.nodeCount }, () => environment),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }

  async run() {
    const { options, cluster } = this;
    await cluster.form();
    const [first] = cluster.machines as readonly [ClusterMachine];
    const begun = await first.json(
      ...["run", "start", "--on", "mesh", "--name", name, "--steps", endless, ...options.words],
    );
    if (typeof begun["run"] !== "string") throw new Error(`no run began: ${JSON.stringify(begun)}`);
    this.#run = begun["run"];
    const watcher = new RunWatcher(cluster.machines, this.#run);
    let isOver = false;
    const watching = watcher.watch(() => isOver);
    const quietMs = Date.now();
    await this.#windows("undisturbed windows", options.quietWindows + 1);
    const stormMs = Date.now();
    await this.#storm();
    const calmMs = Date.now();
    await this.#windows("windows after the storm", options.quietWindows + 1);
    const endMs = Date.now();
    await this.#pause();
    isOver = true;
    await watching;
    const entries = await this.#agreedEntries();
    for (const entry of entries.filter(({ atMs }) => atMs >= stormMs && atMs < calmMs))
      this.#tell(asLine(entry));
    const { acceptedSlots, slots } = (await watcher.look(first))!;
    const recounted = countApart(acceptedSlices(entries));
    await first.result("run/stop", { run: this.#run });
    const digest = await this.#digest();
    return {
      ...{ seed: options.seed, nodes: options.nodeCount, cores: cpus().length, digest },
      ...this.#kept(entries, { quietMs, stormMs, calmMs, endMs }),
      faults: this.#recoveries(entries),
      ...{ acceptedSlots, recounted, slots, rejections: rejections(entries) },
      held: entries.flatMap(({ decided }) => decided.held ?? []),
      quietStages: stageMedians(entries.filter(({ atMs }) => atMs < stormMs)),
      stormStages: stageMedians(entries.filter(({ atMs }) => atMs >= stormMs && atMs < calmMs)),
      ...{ looks: watcher.lookCount, answers: watcher.answers, wrongs: watcher.wrongs },
    };
  }

  #tell(told: Readonly<Record<string, unknown>>): void {
    this.options.tell?.(told);
  }

  /** Waits for so many more promotions, as whoever answers first knows them. */
  async #windows(what: string, count: number): Promise<void> {
    const from = await this.#revision();
    await eventually(what, async () => (await this.#revision()) >= from + count);
    this.#tell({ type: "windows", what, revision: await this.#revision() });
  }

  async #revision(): Promise<number> {
    return eventually("somebody answers", async () => {
      const looks = await Promise.all(this.cluster.machines.map((each) => this.#look(each)));
      const known = looks.flatMap((look) => look?.revision ?? []);
      return known.length === 0 ? null : { most: Math.max(...known) };
    }).then(({ most }) => most);
  }

  async #look(machine: ClusterMachine) {
    const answer = await machine.ask("run/status", { run: this.#run }, AbortSignal.timeout(5_000));
    if (answer.kind !== "result") return null;
    const { mesh } = answer.result as {
      mesh: {
        revision: number;
        revisionDigest: string;
        phase: string;
        chain: string;
        window: object | null;
      } | null;
    };
    return mesh;
  }

  async #storm(): Promise<void> {
    const { faults, everyMs } = this.options;
    const startedMs = performance.now();
    const isDrawn = "durationMs" in faults;
    for (let count = 0; ; count++) {
      if (isDrawn ? performance.now() - startedMs >= faults.durationMs : count >= faults.length)
        return;
      const beganMs = performance.now();
      const kind = isDrawn ? this.#pick(this.#possible) : faults[count]!;
      await this.#fault(kind);
      const restMs = everyMs - (performance.now() - beganMs);
      if (restMs > 0) await Bun.sleep(restMs);
    }
  }

  get #possible(): readonly FaultKind[] {
    return faultKinds.filter((kind) => kind !== "part" || this.#network.canFail);
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#draw() * list.length)]!;
  }

  #lasting(): Promise<void> {
    const [least, most] = this.options.lastingMs;
    return Bun.sleep(least + (most - least) * this.#draw());
  }

  async #fault(kind: FaultKind): Promise<void> {
    const leader = await this.#leader();
    const others = this.cluster.machines.filter((each) => each !== leader);
    const machine =
      kind === "kill-leader" ? leader : this.#pick(kind === "kill" ? others : this.#all);
    const atMs = Date.now();
    this.#tell({ type: "fault", kind, machine: machine.index, isLeader: machine === leader });
    await this.#begin(kind, machine);
    const endedMs = Date.now();
    await this.#end(kind, machine);
    this.#faults.push({ kind, machine: machine.index, atMs, endedMs });
    this.#tell({ type: "over", kind, awayMs: endedMs - atMs, upMs: Date.now() - endedMs });
  }

  get #all(): readonly ClusterMachine[] {
    return this.cluster.machines;
  }

  /** Resolves when the node could be back. */
  async #begin(kind: FaultKind, machine: ClusterMachine): Promise<void> {
    const { index } = machine;
    const rest = this.#all.flatMap((each) => (each.index === index ? [] : [each.index]));
    switch (kind) {
      case "kill":
      case "kill-leader":
        await machine.kill();
        return Bun.sleep(1_000 + 4_000 * this.#draw());
      case "kill-worker": {
        for (const pid of workersOf(machine)) process.kill(pid, "SIGKILL");
        return;
      }
      case "hang":
        signal(workersOf(machine), "SIGSTOP");
        machine.pause();
        return this.#lasting();
      case "part":
        this.#network.partition([rest, [index]]);
        return this.#lasting();
      case "restart": {
        const { status, stderr } = await machine.run("down", "--drain", "5s");
        if (status !== 0) throw new Error(`machine ${index} does not go: ${stderr}`);
        // Gone as a process too: `up` of a home that somebody has answers at once.
        await eventually("it is gone", () => !machine.isRunning);
      }
    }
  }

  async #end(kind: FaultKind, machine: ClusterMachine): Promise<void> {
    if (kind === "hang") {
      machine.resume();
      signal(workersOf(machine), "SIGCONT");
    }
    if (kind === "part") this.#network.heal();
    if (!machine.isRunning) await machine.up();
  }

  async #leader(): Promise<ClusterMachine> {
    return eventually("somebody leads", async () => {
      const standings = await Promise.all(this.#all.map((each) => standingOf(each)));
      const term = Math.max(...standings.map((each) => each?.term ?? 0));
      return this.#all.find((_, at) => standings[at]?.isLeading && standings[at].term === term);
    });
  }

  /** The open window ends and no other begins; all have come so far. */
  async #pause(): Promise<void> {
    const [first] = this.#all;
    await first!.result("run/pause", { run: this.#run });
    await eventually("all are at one place", async () => {
      const looks = await Promise.all(this.#all.map((each) => this.#look(each)));
      const isAt = looks.every((look) => look?.phase === "paused" && look.window === null);
      return isAt && new Set(looks.map((look) => look!.chain)).size === 1;
    });
  }

  /** The record, which is one on all nodes that have it from the beginning. */
  async #agreedEntries(): Promise<readonly RunEntry[]> {
    const all = await Promise.all(this.#all.map((each) => this.#entries(each)));
    const longest = all.toSorted((a, b) => b.length - a.length)[0]!;
    const byIndex = new Map(longest.map((entry) => [entry.index, entry.chain]));
    for (const { index, chain } of all.flat())
      if (byIndex.get(index) !== chain) throw new Error(`records differ at ${index}`);
    if (longest[0]?.command.kind !== "run-created") throw new Error("nobody has all of the record");
    return longest;
  }

  async #entries(machine: ClusterMachine): Promise<RunEntry[]> {
    const found: RunEntry[] = [];
    for (;;) {
      const parameters = { run: this.#run, after: found.at(-1)?.index ?? 0 };
      const { records } = await machine.result<{ records: RunEntry[] }>("run/records", parameters);
      if (records.length === 0) return found;
      found.push(...records);
    }
  }

  /** What the files of the last revision are on every node, computed by each from its own disk. */
  async #digest(): Promise<string> {
    return eventually("all have the last revision, to the bit", async () => {
      const looks = await Promise.all(this.#all.map((each) => this.#look(each)));
      if (looks.some((look) => look?.phase !== "stopped")) return null;
      const found = await Promise.all(this.#all.map((each) => each.json("digest", this.#run)));
      const digests = new Set(found.map(({ digest }) => String(digest)));
      const [digest] = digests;
      return digests.size === 1 && /^[0-9a-f]{64}$/.test(digest!) ? digest : null;
    });
  }

  #kept(
    entries: readonly RunEntry[],
    at: { quietMs: number; stormMs: number; calmMs: number; endMs: number },
  ) {
    const { nodeCount } = this.options;
    const before = progressIn(entries, at.quietMs, at.stormMs);
    const storm = progressIn(entries, at.stormMs, at.calmMs);
    const after = progressIn(entries, at.calmMs, at.endMs);
    const quiet = (before.slots + after.slots) / (before.spanMs + after.spanMs);
    const awayMs = this.#faults.reduce((sum, { kind, atMs, endedMs }) => {
      return kind === "kill-worker" ? sum : sum + endedMs - atMs;
    }, 0);
    const presentMs = storm.spanMs * nodeCount - awayMs;
    const ends = windowTimes(entries).filter(({ isPromoted }) => isPromoted);
    const gaps = ends.flatMap(({ endedMs }, place) =>
      place > 0 && endedMs > at.stormMs && endedMs <= at.calmMs
        ? [endedMs - ends[place - 1]!.endedMs]
        : [],
    );
    const round = (share: number) => Math.round(share * 1_000) / 1_000;
    return {
      seconds: Math.round((at.calmMs - at.stormMs) / 1_000),
      slotsPerSecond: {
        ...{ before: round((before.slots * 1_000) / before.spanMs) },
        ...{ storm: round((storm.slots * 1_000) / storm.spanMs) },
        ...{ after: round((after.slots * 1_000) / after.spanMs) },
      },
      windows: { before: before.windows, storm: storm.windows, after: after.windows },
      /** Of what the nodes that were there would have done undisturbed, and of what all would have. */
      kept: round(storm.slots / ((quiet / nodeCount) * presentMs)),
      keptOfAll: round(storm.slots / (quiet * storm.spanMs)),
      betweenPromotionsMs: { median: medianOf(gaps), most: Math.max(0, ...gaps) },
    };
  }

  #recoveries(entries: readonly RunEntry[]) {
    return this.#faults.map(({ kind, machine, atMs, endedMs }) => {
      const node = this.cluster.nodes[machine]!;
      const isHit = (each: string) => each === node;
      const others = workAfter(entries, atMs, (each) => !isHit(each));
      const own = workAfter(entries, endedMs, isHit);
      const promoted = entries.find((entry) => isPromotion(entry) && entry.atMs > atMs);
      const since = (foundMs: number | null | undefined, fromMs: number) =>
        typeof foundMs === "number" ? Math.round(foundMs - fromMs) : null;
      return {
        ...{ kind, machine, awayMs: Math.round(endedMs - atMs) },
        recoveredMs: since(others, atMs),
        promotedMs: since(promoted?.atMs, atMs),
        /** From its return. */
        atWorkMs: since(own, endedMs),
      };
    });
  }
}

/** An event of the record as one line that a person reads. */
function asLine({ index, atMs, command, decided }: RunEntry): Readonly<Record<string, unknown>> {
  const { kind, statement, ...rest } = command;
  const { window, revision, worker } = { ...rest, ...statement?.said } as Record<string, unknown>;
  return {
    ...{ type: "record", index, happenedMs: atMs, kind: statement?.said.saying ?? kind },
    ...{ node: statement?.node.slice(0, 9), window, revision, worker },
    tasks: decided.tasks?.map(({ worker: each, steps }) => `${each.slice(0, 9)} ${steps}`),
    ...{ outcome: decided.past?.outcome, held: decided.held },
  };
}

/** The processes that compute for a machine's daemon. */
function workersOf(machine: ClusterMachine): readonly number[] {
  if (!machine.isRunning) return [];
  return childrenOf(machine.pid).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("__worker");
    } catch {
      return false;
    }
  });
}

function signal(pids: readonly number[], name: "SIGSTOP" | "SIGCONT"): void {
  for (const pid of pids) process.kill(pid, name);
}

/** What must hold of any storm; gives what does not. */
export function brokenIn(figures: Awaited<ReturnType<WindowChaos["run"]>>): readonly string[] {
  const { recounted, acceptedSlots, wrongs, rejections: rejected, faults } = figures;
  const lies = rejected.filter((each) => each.startsWith("rejected") && !/unavailable/.test(each));
  return [
    ...wrongs,
    ...(recounted === acceptedSlots ? [] : [`${recounted} slots counted, ${acceptedSlots} said`]),
    ...lies.map((each) => `honest work was ${each}`),
    ...faults.flatMap(({ kind, machine, recoveredMs, atWorkMs }) => [
      ...(recoveredMs === null ? [`nothing went on after ${kind} of ${machine}`] : []),
      ...(atWorkMs === null ? [`${machine} did not work again after ${kind}`] : []),
    ]),
  ];
}
