import type { ClusterMachine } from "./cluster-machine.fixture.ts";

/** Looks at a run on every node all the time, and writes down what cannot be true. */

/** What of `run status` has to hold. */
interface Sight {
  readonly phase: string;
  readonly windowCount: number;
  readonly revision: number;
  readonly acceptedSlots: number;
  readonly chain: string;
  readonly slots: number;
  readonly participants: readonly {
    readonly node: string;
    readonly acceptedSlots: number;
    readonly strikes: number;
    readonly isQuarantined: boolean;
  }[];
  readonly window: { readonly number: number } | null;
}

/** A phase never goes below one that it had. */
const ranks: Readonly<Record<string, number>> = {
  ...{ planned: 0, initializing: 1, active: 2, recovering: 2, paused: 2 },
  ...{ completed: 3, stopped: 3, failed: 3 },
};
const rising = ["windowCount", "revision", "acceptedSlots"] as const;
const lookMs = 10_000;
/** Between two looks at one node, and looks between which also the other doors are tried. */
const pauseMs = 250;
const othersEvery = 8;
const wrongMaximum = 50;

export class RunWatcher {
  readonly wrongs: string[] = [];
  /** Answers by their status, and refusals by their code. */
  readonly answers: Record<string, number> = {};
  /** What each node showed last. */
  readonly latest = new Map<number, Sight>();
  lookCount = 0;

  constructor(
    readonly machines: readonly ClusterMachine[],
    readonly run: string,
  ) {}

  /** Looks until it is told that it is over. */
  async watch(isOver: () => boolean): Promise<void> {
    await Promise.all(
      this.machines.map(async (machine) => {
        for (let count = 0; !isOver(); count++) {
          await this.look(machine);
          if (count % othersEvery === othersEvery - 1) await this.#others(machine);
          await Bun.sleep(pauseMs);
        }
      }),
    );
  }

  /** What the node shows of the run now; null where it does not answer. */
  async look(machine: ClusterMachine): Promise<Sight | null> {
    const text = await this.#ask(machine, "/commands/run/status", { run: this.run });
    if (text === null) return null;
    const { mesh } = JSON.parse(text) as { mesh: Sight | null };
    if (mesh === null) {
      this.#note(`${machine.index} shows no run of the mesh`);
      return null;
    }
    this.lookCount++;
    this.#compare(machine.index, mesh);
    this.latest.set(machine.index, mesh);
    return mesh;
  }

  #compare(index: number, sight: Sight): void {
    const before = this.latest.get(index);
    for (const key of rising)
      if (before !== undefined && sight[key] < before[key])
        this.#note(`${index}: ${key} fell from ${before[key]} to ${sight[key]}`);
    if (before !== undefined && ranks[sight.phase]! < ranks[before.phase]!)
      this.#note(`${index}: ${before.phase} became ${sight.phase}`);
    const sum = sight.participants.reduce((total, each) => total + each.acceptedSlots, 0);
    if (sum !== sight.acceptedSlots)
      this.#note(`${index}: workers have ${sum} slots, the run ${sight.acceptedSlots}`);
    for (const { node, strikes, isQuarantined } of sight.participants)
      if (strikes > 0 || isQuarantined) this.#note(`${index}: ${node} is said to have lied`);
    if (sight.window !== null && sight.window.number !== sight.windowCount)
      this.#note(`${index}: window ${sight.window.number} of ${sight.windowCount} is open`);
  }

  /** Metrics, the list of windows and that of runs. */
  async #others(machine: ClusterMachine): Promise<void> {
    const metrics = await this.#ask(machine, "/metrics");
    if (metrics !== null && !metrics.includes("psionic_runs"))
      this.#note(`${machine.index}: metrics name no runs`);
    const text = await this.#ask(machine, "/commands/run/windows", { run: this.run, limit: 8 });
    if (text !== null) this.#compareWindows(machine.index, text);
    await this.#ask(machine, "/commands/runs", {});
  }

  #compareWindows(index: number, text: string): void {
    const { windows } = JSON.parse(text) as {
      windows: { number: number; stage: string; parts: unknown[]; revision: number }[];
    };
    for (const [place, { number, stage, parts, revision }] of windows.entries()) {
      const next = windows[place + 1];
      if (parts.length === 0) this.#note(`${index}: nobody works in window ${number}`);
      if (next === undefined) continue;
      const expected = stage === "promoted" ? revision + 1 : revision;
      if (next.number !== number + 1 || next.revision !== expected)
        this.#note(`${index}: after window ${number} (${stage}) comes ${JSON.stringify(next)}`);
    }
  }

  /** The text of an answer; null where there is none or a refusal. What fails inside is noted. */
  async #ask(machine: ClusterMachine, path: string, body?: object): Promise<string | null> {
    try {
      const answer = await fetch(`http://localhost${path}`, {
        ...{ unix: `${machine.home}/psionic.sock`, keepalive: false },
        ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
        headers: body === undefined ? {} : { "content-type": "application/json" },
        signal: AbortSignal.timeout(lookMs),
      });
      const text = await answer.text();
      const code = answer.ok ? "" : ` ${(JSON.parse(text) as { code?: string }).code ?? ""}`;
      this.#count(`${answer.status}${code}`);
      if (answer.status === 500) this.#note(`${machine.index}: ${path} failed: ${text}`);
      return answer.ok ? text : null;
    } catch {
      this.#count("no answer");
      return null;
    }
  }

  #count(key: string): void {
    this.answers[key] = (this.answers[key] ?? 0) + 1;
  }

  #note(wrong: string): void {
    if (this.wrongs.length < wrongMaximum) this.wrongs.push(wrong);
  }
}
