import { digestJson } from "#src/codec/digest.ts";
import type { Command } from "#src/cluster/event.ts";
import { surroundingsOf } from "#src/cluster/runs.ts";
import { FakeCluster, testNode, type ClusterHome } from "#src/cluster/service.fixture.ts";
import { signingKeyFromSeed } from "#src/receipt/signature.ts";
import type { RunCommand, Saying } from "#src/window/event.ts";
import type { RunOrder } from "#src/window/orders.ts";
import { decide, idOf } from "#src/window/reduce.ts";
import type { Run, RunSpec, VerdictKind, Window } from "#src/window/run.ts";
import type { LocalRunFacts, RunRecord, RunService } from "#src/window/services.ts";
import { signStatement } from "#src/window/statement.ts";
import { workerOf } from "#src/window/workers.ts";

const digestOf = (name: string) => digestJson({ name });

export const smallSpec: RunSpec = {
  ...{ seed: 7, slots: 48, slotTokens: 64, scheduleSteps: 24, windowSteps: 4, segmentSteps: 2 },
  ...{ codec: "int8", pace: "even", participants: 8, validators: 1, replayPerMillion: 1_000_000 },
  ...{ quorum: 2, strikes: 2, trainMs: 60_000, judgeMs: 20_000, mergeMs: 20_000 },
  silenceMs: 5_000,
};

const runKinds = ["run-created", "run-wished", "run-stated", "run-failed"];
const isOfRuns = (command: Command): command is Command & RunCommand =>
  runKinds.includes(command.kind) ||
  ["window-opened", "window-sealed", "validators-redrawn", "contribution-lost"].includes(
    command.kind,
  );

/**
 * A cluster of one process with runs in it: this node is its host and leads, three others train. What happens goes
 * through the real reducers, and what they decided is kept as the daemon keeps it.
 */
export class RunCluster extends FakeCluster {
  readonly records: RunRecord[] = [];
  readonly trainers = [testNode(2), testNode(3), testNode(4)].toSorted((a, b) =>
    a.node < b.node ? -1 : 1,
  );
  readonly #seeds = new Map([2, 3, 4].map((seed) => [testNode(seed).node, seed]));
  /** What `run start` handed over: name, spec, and the texts of its folder. */
  readonly created: { name: string; spec: RunSpec; location: string }[] = [];
  facts: LocalRunFacts | null = null;
  onCreate: (location: string) => void = () => {};

  constructor(self: ClusterHome["self"], trainerCount = 3) {
    super(self);
    this.mesh.timeMs = Date.now();
    this.found();
    for (const trainer of this.trainers.slice(0, trainerCount)) this.letIn(trainer);
  }

  override happens(...[author, scope, command]: Parameters<FakeCluster["happens"]>): void {
    const { timeMs, term } = this.mesh;
    const before = this.state();
    super.happens(author, scope, command);
    if (!isOfRuns(command)) return;
    const around = surroundingsOf({ ...before, timeMs, term });
    const { decided, run } = decide(before.runs, { author, timeMs, term, command }, around);
    const facts = { run: idOf(command), index: this.asked.length, term, atMs: timeMs, author };
    this.records.push({ ...facts, command, decided, chain: run.chain });
  }

  run(id = "run00001"): Run {
    return this.state().runs.find((each) => each.run === id)!;
  }

  get window(): Window {
    return this.run().window!;
  }

  create(name = "book", id = "run00001", spec = smallSpec): void {
    const document = digestOf(`document of ${id}`);
    this.happens(this.self.node, "membership", {
      kind: "run-created",
      ...{ run: id, name, document, spec },
    });
  }

  order(order: RunOrder): void {
    const fence = this.mesh.fence();
    this.happens(this.self.node, "coordinator", {
      ...order,
      fence: { ...fence, index: this.asked.length },
    });
  }

  say(node: string, said: Saying): void {
    const run = this.run();
    const key = signingKeyFromSeed(new Uint8Array(32).fill(this.#seeds.get(node)!));
    const statement = signStatement(key, {
      ...{ mesh: this.state().mesh, run: run.run, node, said },
      previous: workerOf(run, node)?.statement ?? null,
      anchor: "window" in said ? (run.window?.anchor ?? null) : null,
    });
    this.happens(node, "self", { kind: "run-stated", node, statement });
  }

  /** All trainers hold the present revision, and a window is opened. */
  open(): void {
    const { run, windowCount } = this.run();
    for (const { node } of this.trainers) {
      const { revision, workers } = this.run();
      if (workers.find((each) => each.node === node)?.revision === revision.number) continue;
      const digest = revision.digest ?? digestOf("revision 0");
      const said = { saying: "ready", revision: revision.number, digest } as const;
      this.say(node, { ...said, lane: "avx2", rate: 12_000 });
    }
    this.order({ kind: "window-opened", run, window: windowCount + 1 });
  }

  contribute(node: string): void {
    const { number, tasks } = this.window;
    const { steps } = tasks.find((task) => task.worker === node)!;
    const name = `${number} ${node}`;
    this.say(node, {
      ...{ saying: "contribution", window: number, sizeBytes: 1_000, trainMs: 250 },
      ...{ artifact: digestOf(`delta ${name}`), commitments: digestOf(`states ${name}`) },
      ...{ segments: Math.ceil(steps / smallSpec.segmentSteps), private: digestOf(name) },
    });
  }

  seal(): void {
    const { run, windowCount: window } = this.run();
    this.order({ kind: "window-sealed", run, window, seed: digestOf(`seal ${window}`) });
  }

  judgeAll(verdictOf: (worker: string) => VerdictKind = () => "accepted"): void {
    const { number, draws, contributions } = this.window;
    for (const { worker, validators, segment } of draws)
      for (const validator of validators) {
        const verdict = verdictOf(worker);
        const isGood = verdict === "accepted";
        const committed = segment === null ? null : digestOf("end");
        this.say(validator, {
          ...{ saying: "verdict", window: number, worker, verdict, tookMs: 3, segment, committed },
          contribution: contributions.find((each) => each.worker === worker)!.statement,
          reasons: isGood ? [] : ["segment_differs"],
          recomputed: isGood ? committed : digestOf("another"),
        });
      }
  }

  merge(): void {
    const { number, revision } = this.window;
    const digest = digestOf(`revision ${revision + 1}`);
    for (const { node } of this.trainers)
      if (this.run().window !== null)
        this.say(node, {
          ...{ saying: "revision", window: number, revision: revision + 1, digest },
          artifact: digestOf(`artifact ${digest}`),
        });
  }

  evaluate(revision: number, lossBits = "3fc00000"): void {
    const rest = { isFull: false, lossBits, targets: 8, rows: 4, matches: 1 };
    this.say(this.trainers[0]!.node, { saying: "evaluation", revision, ...rest });
  }

  /** A whole window, `tookMs` long. */
  promote(tookMs = 1_000): void {
    this.open();
    this.mesh.timeMs += tookMs;
    for (const { worker } of this.window.tasks) this.contribute(worker);
    this.seal();
    this.judgeAll();
    this.merge();
  }

  /** The service that the daemon would have. */
  service(): RunService {
    const of = (run: string | null) =>
      this.records.filter((record) => run === null || record.run === run);
    const parts = {
      create: async (request: Parameters<RunService["create"]>[0]) => {
        this.onCreate(request.location);
        this.created.push({ ...request });
        const run = `run0000${this.created.length + 1}`;
        this.create(request.name, run, request.spec);
        const { document } = this.run(run);
        return { run, name: request.name, document, index: this.asked.length };
      },
      records: (run: string | null, after: number, count: number) =>
        of(run)
          .filter(({ index }) => index > after)
          .slice(0, count),
      latestRecords: (run: string, count: number) => of(run).slice(-count),
      wholeRecords: async (run: string) => ({ records: of(run), isWhole: true }),
      localFacts: () => this.facts,
    };
    return parts as unknown as RunService;
  }
}
