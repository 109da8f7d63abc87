import { digestBytes, digestJson, type Digest } from "#src/codec/digest.ts";
import { signingKeyFromSeed, type SigningKey } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RunCommand, Saying, SayingOf } from "./event.ts";
import type { RunOrder } from "./orders.ts";
import { decide, type Decision } from "./reduce.ts";
import type { Run, RunSpec, VerdictKind, Window } from "./run.ts";
import type { Reason } from "./reasons.ts";
import { signStatement } from "./statement.ts";
import type { RunMember, Surroundings } from "./surroundings.ts";
import { workerOf } from "./workers.ts";

export const runId = "run00001";

export const plainSpec: RunSpec = {
  ...{ seed: 7, slots: 40, slotTokens: 64, scheduleSteps: 20, windowSteps: 4, segmentSteps: 2 },
  ...{ codec: "dense", pace: "even", participants: 8, validators: 1, replayPerMillion: 500_000 },
  ...{ quorum: 2, strikes: 2, trainMs: 60_000, judgeMs: 20_000, mergeMs: 20_000 },
  silenceMs: 5_000,
};

const keys = new Map<string, SigningKey>();

export function keyOf(node: string): SigningKey {
  const known = keys.get(node);
  if (known !== undefined) return known;
  const key = signingKeyFromSeed(Buffer.from(digestBytes(node), "hex"));
  keys.set(node, key);
  return key;
}

export function memberNamed(node: string, changed: Partial<RunMember> = {}): RunMember {
  const able = { isReady: true, isTrainer: true, isValidator: false, isHost: node === "a" };
  return { node, key: keyOf(node).publicKey, ...able, ...changed };
}

const fence = { term: 1, index: 1, authority: "0".repeat(64) };

/** Distinct digests for tests. */
export const digestOf = (name: string): Digest => digestJson({ name });

/** Runs of a mesh for tests: each line says who says or orders what. `a` is its host and leads. */
export class TestRuns {
  runs: readonly Run[] = [];
  members: readonly RunMember[];
  nowMs = 1_000_000;
  last: Decision | null = null;

  constructor(
    nodes: readonly string[] = ["a", "b", "c"],
    readonly spec: RunSpec = plainSpec,
  ) {
    this.members = nodes.map((node) => memberNamed(node));
    const created = this.codeOf("a", {
      ...{ kind: "run-created", run: runId, name: "first", document: digestOf("document"), spec },
    });
    if (created !== "done") throw new Error(created);
  }

  get run(): Run {
    return this.runs.find(({ run }) => run === runId)!;
  }

  get window(): Window {
    return this.run.window!;
  }

  get around(): Surroundings {
    return { mesh: "home", nowMs: this.nowMs, term: 1, members: this.members };
  }

  change(node: string, changed: Partial<RunMember>): void {
    this.members = this.members.map((each) =>
      each.node === node ? { ...each, ...changed } : each,
    );
  }

  /** The refusal's code, or "done". */
  codeOf(author: string, command: RunCommand): string {
    try {
      this.last = decide(this.runs, { author, timeMs: this.nowMs, term: 1, command }, this.around);
      this.runs = this.last.runs;
      return "done";
    } catch (error) {
      if (error instanceof Refusal) return error.code;
      throw error;
    }
  }

  order(order: RunOrder): string {
    return this.codeOf("a", { ...order, fence });
  }

  wish(wish: "run" | "pause" | "stop", author = "a"): string {
    return this.codeOf(author, { kind: "run-wished", run: runId, wish });
  }

  open(window = this.run.windowCount + 1): string {
    return this.order({ kind: "window-opened", run: runId, window });
  }

  seal(name = "seal", window = this.run.windowCount): string {
    return this.order({ kind: "window-sealed", run: runId, window, seed: digestOf(name) });
  }

  redraw(name = "redraw", window = this.run.windowCount): string {
    return this.order({ kind: "validators-redrawn", run: runId, window, seed: digestOf(name) });
  }

  lose(worker: string, window = this.run.windowCount): string {
    return this.order({ kind: "contribution-lost", run: runId, window, worker });
  }

  /** A node's statement, with what of it is not as it should be. */
  say(
    node: string,
    said: Saying,
    wrong: {
      readonly previous?: Digest | null;
      readonly anchor?: Digest | null;
      readonly key?: string;
      readonly mesh?: string;
    } = {},
  ): string {
    const { run } = this;
    const isOfWindow = "window" in said;
    const unsigned = {
      ...{ mesh: "home", run: runId, node, said },
      previous: workerOf(run, node)?.statement ?? null,
      anchor: isOfWindow ? (run.window?.anchor ?? null) : null,
    };
    const { key = node, ...changed } = wrong;
    const statement = signStatement(keyOf(key), { ...unsigned, ...changed });
    return this.codeOf(node, { kind: "run-stated", node, statement });
  }

  ready(node: string, changed: Partial<SayingOf<"ready">> = {}): string {
    const { number, digest } = this.run.revision;
    return this.say(node, {
      ...{ saying: "ready", revision: number, digest: digest ?? digestOf("revision 0") },
      ...{ lane: "avx2", rate: 0, ...changed },
    });
  }

  contribute(node: string, changed: Partial<SayingOf<"contribution">> = {}): string {
    const task = this.run.window?.tasks.find(({ worker }) => worker === node);
    const name = `${this.run.windowCount} ${node}`;
    return this.say(node, {
      ...{ saying: "contribution", window: this.run.windowCount, sizeBytes: 100, trainMs: 0 },
      ...{ artifact: digestOf(`delta ${name}`), commitments: digestOf(`states ${name}`) },
      segments: Math.ceil((task?.steps ?? 4) / this.run.spec.segmentSteps),
      ...{ private: digestOf(`private ${name}`), ...changed },
    });
  }

  judge(
    node: string,
    worker: string,
    verdict: VerdictKind = "accepted",
    reasons: readonly Reason[] = verdict === "accepted" ? [] : ["segment_differs"],
    changed: Partial<SayingOf<"verdict">> = {},
  ): string {
    const { window, windowCount } = this.run;
    const draw = window?.draws.find((each) => each.worker === worker);
    const contribution = window?.contributions.find((each) => each.worker === worker);
    const segment = draw?.segment ?? null;
    const end = segment === null ? null : digestOf("end");
    return this.say(node, {
      ...{ saying: "verdict", window: windowCount, worker, verdict, reasons: [...reasons] },
      ...{ contribution: contribution?.statement ?? digestOf("none"), tookMs: 1, segment },
      ...{ committed: end, recomputed: verdict === "accepted" ? end : digestOf("another") },
      ...changed,
    });
  }

  /** Everybody who is drawn judges everything, as told. */
  judgeAll(verdictOf: (worker: string) => VerdictKind = () => "accepted"): void {
    for (const { worker, validators } of this.window.draws)
      for (const validator of validators) this.judge(validator, worker, verdictOf(worker));
  }

  state(node: string, name?: string, changed: Partial<SayingOf<"revision">> = {}): string {
    const { run } = this;
    const revision = (run.window?.revision ?? run.revision.number) + 1;
    const called = name ?? `revision ${revision} ${run.window?.accepted.join() ?? ""}`;
    return this.say(node, {
      ...{ saying: "revision", window: run.windowCount, revision, digest: digestOf(called) },
      ...{ artifact: digestOf(`artifact of ${called}`), ...changed },
    });
  }

  evaluate(node: string, revision: number, isFull = false): string {
    return this.say(node, {
      ...{ saying: "evaluation", revision, isFull, lossBits: "3f800000" },
      ...{ targets: 8, rows: 1, matches: 0 },
    });
  }

  /** All get ready and a window is opened. */
  begin(nodes: readonly string[] = this.members.map(({ node }) => node)): this {
    for (const node of nodes) this.must(this.ready(node));
    this.must(this.open());
    return this;
  }

  /** All who have a task contribute, and it is sealed. */
  toSealed(nodes?: readonly string[]): this {
    const workers = nodes ?? this.window.tasks.map(({ worker }) => worker);
    for (const node of workers) this.must(this.contribute(node));
    this.must(this.seal());
    return this;
  }

  toScored(): this {
    this.toSealed();
    this.judgeAll();
    return this;
  }

  /** A window from its opening to the next revision. */
  toPromoted(): this {
    this.toScored();
    for (const node of this.members.map((each) => each.node))
      if (this.run.window !== null) this.state(node);
    return this;
  }

  must(code: string): void {
    if (code !== "done") throw new Error(code);
  }
}
