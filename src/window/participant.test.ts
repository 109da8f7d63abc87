import { describe, expect, test } from "bun:test";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { jobKey, type Job, type Outcome, type ParticipantEffect } from "./job.ts";
import { Participant } from "./participant.ts";
import type { Contribution, Revision, Run, RunSpec, Window, Worker } from "./run.ts";
import type { RunMember, Surroundings } from "./surroundings.ts";

const node = "n1";
const digest = (text: string): Digest => digestBytes(text);

const spec: RunSpec = {
  ...{ seed: 1, slots: 100, slotTokens: 64, scheduleSteps: 100, windowSteps: 4, segmentSteps: 2 },
  ...{ codec: "dense", pace: "even", participants: 4, validators: 1, replayPerMillion: 100_000 },
  ...{ quorum: 1, strikes: 3, trainMs: 9_000, judgeMs: 9_000, mergeMs: 9_000, silenceMs: 3_000 },
};

const worker: Worker = {
  ...{ node, revision: 0, lane: "avx2", rate: 10, strikes: 0, isQuarantined: false, private: null },
  ...{ statement: null, acceptedSlots: 0, acceptedCount: 0, rejectedCount: 0, missedCount: 0 },
};

const window: Window = {
  ...{ number: 1, stage: "active", revision: 0, progress: 0, sinceMs: 0, openedMs: 0 },
  tasks: [{ worker: node, slices: [{ first: 0, count: 4 }], steps: 4 }],
  ...{ contributions: [], seed: "0".repeat(64), redraws: 0, draws: [], verdicts: [] },
  ...{ accepted: [], computed: [], anchor: digest("opened") },
};

function runOf(id: string, changed: Partial<Run> = {}): Run {
  const revision: Revision = { number: 0, digest: null, artifact: null };
  return {
    ...{ run: id, name: id, author: "n9", document: digest(id), spec, phase: "active", reason: "" },
    ...{ wish: "run", createdMs: 0, sinceMs: 0, revision, pool: [], acceptedSlots: 0 },
    ...{ workers: [], windowCount: 0, window: null, past: null, chain: digest("chain") },
    ...{ heldCount: 0, evaluated: null },
    ...changed,
  };
}

const contribution: Contribution = {
  ...{ worker: "n2", statement: digest("their words"), artifact: digest("delta"), sizeBytes: 9 },
  ...{ commitments: digest("states"), segments: 2, private: digest("moments"), trainMs: 5 },
};

const jobs = {
  prepare: (run: Run): Job => ({ kind: "prepare", run }),
  train: (run: Run): Job => ({ kind: "train", run, window: run.window!, task: window.tasks[0]! }),
  validate: (run: Run, segment: number | null = null): Job => ({
    ...{ kind: "validate", run, window: run.window!, task: window.tasks[0]!, contribution },
    draw: { worker: "n2", validators: [node], segment },
  }),
  merge: (run: Run): Job => ({ kind: "merge", run, window: run.window! }),
  evaluate: (run: Run): Job => ({ kind: "evaluate", run, isFull: false }),
};

const outcomes = {
  prepare: (revision: number, name = `revision ${revision}`): Outcome => ({
    ...{ kind: "prepare", revision, digest: digest(name), lane: "avx2", rate: 10 },
  }),
  train: {
    kind: "train",
    said: {
      ...{ saying: "contribution", window: 1, artifact: digest("mine"), sizeBytes: 1, segments: 2 },
      ...{ commitments: digest("my states"), private: digest("my moments"), trainMs: 7 },
    },
  } satisfies Outcome,
  merge: (name: string): Outcome => ({
    kind: "merge",
    said: {
      ...{ saying: "revision", window: 1, revision: 1, digest: digest(name) },
      artifact: digest(`artifact of ${name}`),
    },
  }),
  evaluate: {
    kind: "evaluate",
    said: {
      ...{ saying: "evaluation", revision: 0, isFull: false, lossBits: "3f800000" },
      ...{ targets: 8, rows: 1, matches: 0 },
    },
  } satisfies Outcome,
};

const member: RunMember = {
  ...{ node, key: digest(node), isReady: true, isTrainer: true, isValidator: false, isHost: true },
};
const mesh: Surroundings = { mesh: "home", nowMs: 0, term: 1, members: [member] };

/** A participant for whom a test decides what is due, as the rules would. */
class Bench {
  due: readonly Job[] = [];
  nowMs = 0;
  #runs: readonly Run[] = [];
  readonly participant = new Participant({ node, duties: () => this.due });

  constructor(readonly around: Surroundings | null = mesh) {}

  look(runs: readonly Run[], due: readonly Job[]): string[] {
    this.due = due;
    this.#runs = runs;
    return this.later(0);
  }

  later(ms: number): string[] {
    this.nowMs += ms;
    return this.#shown({ kind: "look", runs: this.#runs, around: this.around, nowMs: this.nowMs });
  }

  finish(key: string, outcome: Outcome): string[] {
    return this.#shown({ kind: "finished", key, outcome });
  }

  fail(key: string, isHopeless = false): string[] {
    return this.#shown({ kind: "failed", key, code: "memory_lacking", isHopeless });
  }

  said(ticket: number, refused: string | null = null): string[] {
    return this.#shown({ kind: "said", ticket, refused });
  }

  last: readonly ParticipantEffect[] = [];

  #shown(input: Parameters<Participant["step"]>[0]): string[] {
    this.last = this.participant.step(input);
    return this.last.map((effect) =>
      effect.kind === "say"
        ? `say ${effect.ticket} ${effect.run} ${effect.said.saying}`
        : `${effect.kind} ${effect.key}`,
    );
  }

  get words(): Extract<ParticipantEffect, { readonly kind: "say" }> {
    return this.last.find((effect) => effect.kind === "say")!;
  }
}

const active = (id: string, changed: Partial<Run> = {}) =>
  runOf(id, { window, workers: [worker], ...changed });

describe("W-1 a node's part in runs", () => {
  test("W-7 a newcomer prepares, says once that it is ready, and is quiet while it is known", () => {
    const bench = new Bench();
    const run = runOf("aaaa");
    expect(bench.look([run], [jobs.prepare(run)])).toEqual(["begin prepare aaaa 0"]);
    expect(bench.look([run], [jobs.prepare(run)])).toEqual([]);
    expect(bench.finish("prepare aaaa 0", outcomes.prepare(0))).toEqual(["say 1 aaaa ready"]);
    expect(bench.words).toMatchObject({ previous: null, anchor: null });
    expect(bench.words.said).toMatchObject({ revision: 0, digest: digest("revision 0"), rate: 10 });
    expect(bench.later(60_000)).toEqual([]);
    expect(bench.said(1)).toEqual([]);
    const known = runOf("aaaa", { workers: [{ ...worker, statement: digest("ready") }] });
    expect(bench.look([known], [])).toEqual([]);
    expect(bench.later(60_000)).toEqual([]);
  });

  test("W-7 who missed a window says again that it is ready, naming its latest statement", () => {
    const bench = new Bench();
    const run = runOf("aaaa");
    bench.look([run], [jobs.prepare(run)]);
    bench.finish("prepare aaaa 0", outcomes.prepare(0));
    bench.said(1);
    const missed = { ...worker, revision: null, statement: digest("ready") };
    expect(bench.look([runOf("aaaa", { workers: [missed] })], [])).toEqual(["say 2 aaaa ready"]);
    expect(bench.words.previous).toBe(digest("ready"));
  });

  test("W-7 nothing is due outside of a mesh, and who is no ready trainer does not ask for work", () => {
    const run = runOf("aaaa");
    expect(new Bench(null).look([run], [jobs.prepare(run)])).toEqual([]);
    for (const lacking of [{ isReady: false }, { isTrainer: false }]) {
      const bench = new Bench({ ...mesh, members: [{ ...member, ...lacking }] });
      expect(bench.look([run], [jobs.prepare(run)])).toEqual(["begin prepare aaaa 0"]);
      expect(bench.finish("prepare aaaa 0", outcomes.prepare(0))).toEqual([]);
    }
  });

  test("W-7 a revision that is not the one the state knows is not said to be here", () => {
    const bench = new Bench();
    const revision = { number: 3, digest: digest("the right one"), artifact: digest("a") };
    const run = runOf("aaaa", { revision });
    bench.look([run], [jobs.prepare(run)]);
    expect(bench.finish("prepare aaaa 3", outcomes.prepare(3, "a wrong one"))).toEqual([]);
    expect(bench.later(499)).toEqual([]);
    expect(bench.later(1)).toEqual(["begin prepare aaaa 3"]);
    const right = outcomes.prepare(3, "the right one");
    expect(bench.finish("prepare aaaa 3", right)).toEqual(["say 1 aaaa ready"]);
  });

  test("W-3 what was done is stated with the window's anchor, until the state shows it", () => {
    const bench = new Bench();
    const run = active("aaaa", { workers: [{ ...worker, statement: digest("ready") }] });
    expect(bench.look([run], [jobs.train(run)])).toEqual(["begin train aaaa 1"]);
    expect(bench.finish("train aaaa 1", outcomes.train)).toEqual(["say 1 aaaa contribution"]);
    expect(bench.words).toMatchObject({ previous: digest("ready"), anchor: window.anchor });
    expect(bench.said(1, "statement_stale")).toEqual([]);
    expect(bench.later(500)).toEqual(["say 2 aaaa contribution"]);
    expect(bench.said(2, "statement_stale")).toEqual([]);
    expect(bench.later(999)).toEqual([]);
    expect(bench.later(1)).toEqual(["say 3 aaaa contribution"]);
    expect(bench.said(3)).toEqual([]);
    // Taken, and not seen yet: neither said again nor done again.
    expect(bench.later(4_999)).toEqual([]);
    const seen = active("aaaa", { workers: [{ ...worker, statement: digest("done") }] });
    expect(bench.look([seen], [])).toEqual([]);
  });

  test("W-7 what was taken and never shows is said again", () => {
    const bench = new Bench();
    const run = active("aaaa");
    bench.look([run], [jobs.train(run)]);
    bench.finish("train aaaa 1", outcomes.train);
    expect(bench.said(1)).toEqual([]);
    expect(bench.later(5_000)).toEqual(["say 2 aaaa contribution"]);
  });

  test("W-7 work that is no more due is cancelled, and what came of it is forgotten", () => {
    const bench = new Bench();
    const run = active("aaaa");
    bench.look([run], [jobs.train(run)]);
    const sealed = active("aaaa", { window: { ...window, stage: "sealed" } });
    expect(bench.look([sealed], [])).toEqual(["cancel train aaaa 1"]);
    expect(bench.finish("train aaaa 1", outcomes.train)).toEqual([]);
    // As if the same window were open: nothing is left of what was done too late.
    expect(bench.look([run], [jobs.train(run)])).toEqual(["begin train aaaa 1"]);
  });

  test("W-7 one who remembers nothing comes to the same work under the same key", () => {
    const run = active("aaaa");
    const [before, after] = [new Bench(), new Bench()];
    expect(before.look([run], [jobs.train(run)])).toEqual(["begin train aaaa 1"]);
    expect(after.look([run], [jobs.train(run)])).toEqual(["begin train aaaa 1"]);
    expect(after.finish("train aaaa 1", outcomes.train)).toEqual(["say 1 aaaa contribution"]);
  });

  test("W-8 a segment drawn anew is another piece of work", () => {
    const bench = new Bench();
    const run = active("aaaa", { window: { ...window, stage: "sealed" } });
    const [first, second] = [jobs.validate(run, 0), jobs.validate(run, 1)];
    expect(bench.look([run], [first])).toEqual([`begin ${jobKey(first)}`]);
    expect(bench.look([run], [second])).toEqual([
      `cancel ${jobKey(first)}`,
      `begin ${jobKey(second)}`,
    ]);
  });
});

describe("W-1 several runs at once", () => {
  const one = active("aaaa");
  const other = active("bbbb", { window: { ...window, stage: "scored" } });

  test("W-1 what others wait for goes before training, which goes on after it", () => {
    const bench = new Bench();
    const [train, merge] = [jobs.train(one), jobs.merge(other)];
    bench.look([one, other], [train]);
    expect(bench.look([one, other], [merge, train])).toEqual([
      "cancel train aaaa 1",
      `begin ${jobKey(merge)}`,
    ]);
    expect(bench.finish(jobKey(merge), outcomes.merge("r"))).toEqual([
      "begin train aaaa 1",
      "say 1 bbbb revision",
    ]);
  });

  test("W-1 training does not make way for training, nor for anything more than a few times", () => {
    const bench = new Bench();
    const [train, another, merge] = [
      jobs.train(one),
      jobs.train(active("bbbb")),
      jobs.merge(other),
    ];
    bench.look([one], [train]);
    expect(bench.look([one, other], [another, train])).toEqual([]);
    let cancelCount = 0;
    for (let round = 0; round < 20; round++) {
      cancelCount += bench.look([one, other], [merge, train]).length > 0 ? 1 : 0;
      if (bench.participant.underway === jobKey(merge)) bench.fail(jobKey(merge));
      bench.look([one, other], [train]);
      bench.later(60_000);
    }
    expect(cancelCount).toBe(8);
    expect(bench.participant.underway).toBe("train aaaa 1");
  });

  test("W-1 one thing is said at a time", () => {
    const bench = new Bench();
    const [train, merge] = [jobs.train(one), jobs.merge(other)];
    bench.look([one, other], [train]);
    expect(bench.finish("train aaaa 1", outcomes.train)).toEqual(["say 1 aaaa contribution"]);
    bench.look([one, other], [merge, train]);
    expect(bench.finish(jobKey(merge), outcomes.merge("r"))).toEqual([]);
    expect(bench.said(1)).toEqual(["say 2 bbbb revision"]);
    expect(bench.said(7)).toEqual([]);
    expect(bench.said(2)).toEqual([]);
  });
});

describe("W-7 what fails", () => {
  test("W-7 is tried again with growing patience, while other work goes on", () => {
    const bench = new Bench();
    const one = active("aaaa");
    const other = runOf("bbbb");
    const due = [jobs.train(one), jobs.prepare(other)];
    bench.look([one, other], due);
    expect(bench.fail("train aaaa 1")).toEqual(["begin prepare bbbb 0"]);
    expect(bench.later(499)).toEqual([]);
    expect(bench.later(1)).toEqual(["cancel prepare bbbb 0", "begin train aaaa 1"]);
    expect(bench.fail("train aaaa 1")).toEqual(["begin prepare bbbb 0"]);
    expect(bench.later(999)).toEqual([]);
    expect(bench.later(1)).toEqual(["cancel prepare bbbb 0", "begin train aaaa 1"]);
  });

  test("W-7 says that it is gone where work is hopeless here, and says nothing where nobody counts on it", () => {
    const bench = new Bench();
    const run = active("aaaa");
    bench.look([run], [jobs.train(run)]);
    expect(bench.fail("train aaaa 1", true)).toEqual(["say 1 aaaa gone"]);
    expect(bench.words.said).toEqual({ saying: "gone", reason: "memory_lacking" });
    expect(bench.later(60_000)).toEqual([]);
    const stranger = new Bench();
    const unknown = runOf("aaaa");
    stranger.look([unknown], [jobs.prepare(unknown)]);
    expect(stranger.fail("prepare aaaa 0", true)).toEqual([]);
    expect(stranger.later(60_000)).toEqual([]);
  });

  test("W-12 an evaluation is given up where it is hopeless, and the run is not", () => {
    const bench = new Bench();
    const run = runOf("aaaa", { workers: [worker] });
    const job = jobs.evaluate(run);
    bench.look([run], [job]);
    expect(bench.finish(jobKey(job), outcomes.evaluate)).toEqual(["say 1 aaaa evaluation"]);
    const unable = new Bench();
    unable.look([run], [job]);
    expect(unable.fail(jobKey(job), true)).toEqual([]);
    expect(unable.later(60_000)).toEqual([]);
    const next = active("aaaa");
    expect(unable.look([next], [jobs.train(next)])).toEqual(["begin train aaaa 1"]);
  });

  test("W-6 a revision that others were first to make is made here to its end, and then held", () => {
    const bench = new Bench();
    const fresh = runOf("aaaa", { workers: [worker] });
    bench.look([fresh], [jobs.prepare(fresh)]);
    bench.finish("prepare aaaa 0", outcomes.prepare(0));
    const scored = active("aaaa", { window: { ...window, stage: "scored" } });
    const merge = jobs.merge(scored);
    bench.look([scored], [merge]);
    const past = {
      ...({ number: 1, outcome: "promoted", reason: "", revision: 1, acceptedSlots: 4 } as const),
      ...{ sizeBytes: 1, tookMs: 1, endedMs: 1, anchor: window.anchor },
    };
    const revision = { number: 1, digest: digest("promoted"), artifact: digest("a") };
    const promoted = runOf("aaaa", { revision, past, workers: [worker] });
    expect(bench.look([promoted], [jobs.prepare(promoted)])).toEqual([]);
    expect(bench.finish(jobKey(merge), outcomes.merge("promoted"))).toEqual(["say 1 aaaa ready"]);
    expect(bench.words.said).toMatchObject({ revision: 1, digest: digest("promoted") });
    const late = new Bench();
    late.look([scored], [merge]);
    const next = { ...past, number: 2, revision: 2, anchor: digest("another") };
    const further = runOf("aaaa", { past: next, revision: { ...revision, number: 2 } });
    expect(late.look([further], [])).toEqual([`cancel ${jobKey(merge)}`]);
  });

  test("W-6 a revision that this node made is here once it is the run's, and no other is", () => {
    for (const [name, expected] of [
      ["promoted", []],
      ["another", ["begin prepare aaaa 1"]],
    ] as const) {
      const bench = new Bench();
      const fresh = runOf("aaaa", { workers: [worker] });
      bench.look([fresh], [jobs.prepare(fresh)]);
      bench.finish("prepare aaaa 0", outcomes.prepare(0));
      const scored = active("aaaa", { window: { ...window, stage: "scored" } });
      const merge = jobs.merge(scored);
      bench.look([scored], [merge]);
      expect(bench.finish(jobKey(merge), outcomes.merge(name))).toEqual(["say 1 aaaa revision"]);
      bench.said(1);
      const revision = { number: 1, digest: digest("promoted"), artifact: digest("a") };
      const workers = [{ ...worker, revision: 1, statement: digest("revision") }];
      const promoted = runOf("aaaa", { revision, workers });
      expect(bench.look([promoted], [jobs.prepare(promoted)])).toEqual([...expected]);
    }
  });
});
