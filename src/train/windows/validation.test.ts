import { expect, test } from "bun:test";
import { digestBytes } from "#src/codec/digest.ts";
import { DeltaCodec } from "../delta/codec.ts";
import { layoutOf } from "../delta/layout.ts";
import { MemoryDisk } from "../train.fixture.ts";
import { type Commitments, commitmentsDigest, privateAtEnd, workDigest } from "./commitments.ts";
import type { LocalWork, ResultOf, RevisionPlace, TaskOf } from "./tasks.ts";
import { codecs, seed, Site, tinyWork } from "./worker.fixture.ts";

/** Everything a validator is given of one contribution. */
type Case = Omit<TaskOf<"validate">, "kind">;

async function honest(
  worker: Site,
  work: LocalWork,
  options: { readonly revision?: RevisionPlace; readonly own?: string | null } = {},
): Promise<{ readonly given: Case; readonly result: ResultOf<"train"> }> {
  const { revision = seed, own = null } = options;
  const result = await worker.train(work, { revision, own });
  const { commitments, segments, private: after, directory } = result;
  return {
    result,
    given: {
      ...{ revision, work, contribution: directory, privateBefore: own },
      stated: { commitments, segments, private: after },
      ...{ segment: null, state: null },
    },
  };
}

function stateAt(worker: Site, window: number, index: number): Promise<string> {
  return worker.do({ kind: "state", window, index }).then(({ directory }) => directory);
}

/** A machine of its own on the same disk. */
function validator(worker: Site, codec?: (typeof codecs)[keyof typeof codecs]): Site {
  return new Site({ disk: worker.disk, directory: "/validator", ...(codec ? { codec } : {}) });
}

async function reasonsOf(site: Site, given: Case): Promise<readonly string[]> {
  return (await site.do({ kind: "validate", ...given })).reasons;
}

/** Changes the list of commitments and states what follows from it, as a liar that knows the format does. */
function restate(worker: Site, given: Case, change: (commitments: Commitments) => void): Case {
  const path = `${given.contribution}/commitments.json`;
  const commitments = JSON.parse(
    new TextDecoder().decode(worker.disk.files.get(path)),
  ) as Commitments;
  change(commitments);
  worker.disk.files.set(path, new TextEncoder().encode(JSON.stringify(commitments)));
  return {
    ...given,
    stated: {
      commitments: commitmentsDigest(commitments),
      segments: commitments.states.length - 1,
      private: privateAtEnd(commitments),
    },
  };
}

/** Puts another delta in its place and commits to it. */
function replaceDelta(worker: Site, given: Case, bytes: Uint8Array): Case {
  worker.disk.files.set(`${given.contribution}/delta.bin`, bytes);
  return restate(worker, given, (commitments) => {
    commitments.delta = digestBytes(bytes);
    commitments.deltaBytes = bytes.byteLength;
  });
}

const deltaOf = (worker: Site, { contribution }: Case) =>
  worker.disk.files.get(`${contribution}/delta.bin`)!.slice();

/** The tiny model's delta as values, changed and encoded again without a residual. */
function scaled(worker: Site, given: Case, factor: number): Uint8Array {
  const codec = new DeltaCodec(codecs.dense);
  const layout = layoutOf(worker.session.run.executor.plan);
  const values = codec.decode(layout, deltaOf(worker, given)).map((value) => value * factor);
  return codec.encode(layout, values, null).bytes;
}

test("W-8 honest work is accepted in every segment of every window, by every codec", async () => {
  for (const codec of Object.values(codecs)) {
    const worker = new Site({ codec });
    const checker = validator(worker, codec);
    let own: string | null = null;
    for (const window of [1, 2, 3]) {
      const work = tinyWork({ window, slices: [{ first: 8 * window, count: 7 }] });
      const { given, result } = await honest(worker, work, { own });
      expect(await reasonsOf(checker, given)).toEqual([]);
      for (let segment = 0; segment < result.segments; segment++) {
        const state = await stateAt(worker, window, segment);
        const verdict = await checker.do({ kind: "validate", ...given, segment, state });
        expect(verdict).toMatchObject({ reasons: [], finding: "", segment });
        expect(verdict.recomputed).toBe(verdict.committed);
      }
      own = result.private;
    }
  }
}, 60_000);

test("W-8 a worker that lost its private state may begin from zeros; one that took another's may not", async () => {
  const disk = new MemoryDisk();
  const ada = new Site({ disk, directory: "/ada" });
  const first = await ada.train(tinyWork());
  const fresh = new Site({ disk, directory: "/fresh" });
  const work = tinyWork({ window: 2 });
  const zeros = await honest(fresh, work, { own: first.private });
  expect(await reasonsOf(validator(ada), zeros.given)).toEqual([]);
  const copied = await honest(ada, work, { own: first.private });
  const given = { ...copied.given, privateBefore: null };
  expect(await reasonsOf(validator(ada), given)).toEqual(["start_differs"]);
}, 60_000);

test("W-8 other parameters at the start are seen without computing anything", async () => {
  const worker = new Site();
  const { given } = await honest(worker, tinyWork());
  const lie = restate(worker, given, ({ states }) => {
    Object.assign(states[0]!, { parameters: "1".repeat(64) });
  });
  expect(await reasonsOf(validator(worker), lie)).toEqual(["start_differs"]);
}, 60_000);

test("W-8 a changed or short list of commitments, and one of other work, does not fit what was stated", async () => {
  const worker = new Site();
  const { given } = await honest(worker, tinyWork());
  const checker = validator(worker);
  const changes: ((case_: Case) => Case)[] = [
    (each) => ({ ...each, stated: { ...each.stated, commitments: "0".repeat(64) } }),
    (each) => ({ ...each, stated: { ...each.stated, private: "0".repeat(64) } }),
    (each) => ({ ...each, stated: { ...each.stated, segments: 2 } }),
    (each) => ({ ...each, work: tinyWork({ slices: [{ first: 0, count: 8 }] }) }),
    (each) => ({ ...each, work: tinyWork({ window: 4 }) }),
    (each) => ({ ...each, contribution: "/nowhere" }),
    (each) => restate(worker, each, ({ states }) => void states.pop()),
    (each) => restate(worker, each, (list) => void (list.steps = 5)),
    (each) => restate(worker, each, (list) => void (list.residualAfter = null)),
    (each) => restate(worker, each, (list) => void Object.assign(list, { extra: 1 })),
  ];
  for (const change of changes) {
    const kept = new Map(worker.disk.files);
    expect(await reasonsOf(checker, change(given))).toEqual(["commitments_differ"]);
    worker.disk.files.clear();
    for (const [path, bytes] of kept) worker.disk.files.set(path, bytes);
  }
  expect(await reasonsOf(checker, given)).toEqual([]);
}, 60_000);

test("W-8 a delta that is cut, of another model, not finite or not the one committed to is refused", async () => {
  const worker = new Site({ codec: codecs.dense });
  const checker = validator(worker, codecs.dense);
  const { given } = await honest(worker, tinyWork());
  const good = deltaOf(worker, given);
  const put = (bytes: Uint8Array) =>
    worker.disk.files.set(`${given.contribution}/delta.bin`, bytes);
  const other = good.slice();
  other[70]! ^= 1;
  put(other);
  expect(await reasonsOf(checker, given)).toEqual(["delta_malformed"]);
  const cases: [Uint8Array, string][] = [
    [good.slice(0, -1), "delta_malformed"],
    [new Uint8Array(0), "delta_malformed"],
    [good.map((byte, index) => (index === 40 ? byte ^ 1 : byte)), "delta_malformed"],
    [withFloat(good, NaN), "delta_not_finite"],
    [withFloat(good, Infinity), "delta_not_finite"],
  ];
  for (const [bytes, reason] of cases) {
    const lie = replaceDelta(worker, given, bytes);
    expect(await reasonsOf(checker, lie)).toEqual([reason]);
  }
}, 60_000);

function withFloat(bytes: Uint8Array, value: number): Uint8Array {
  const changed = bytes.slice();
  new DataView(changed.buffer).setFloat32(64 + 4 * 100, value, true);
  return changed;
}

test("W-8 a delta scaled beyond what the steps can have moved is seen at once, a lesser one when its end is drawn", async () => {
  const worker = new Site({ codec: codecs.dense });
  const checker = validator(worker, codecs.dense);
  const { given, result } = await honest(worker, tinyWork());
  const good = deltaOf(worker, given);
  const large = replaceDelta(worker, given, scaled(worker, given, 1_000));
  expect(await reasonsOf(checker, large)).toEqual(["delta_too_large"]);
  worker.disk.files.set(`${given.contribution}/delta.bin`, good);
  const small = replaceDelta(worker, given, scaled(worker, given, 1.5));
  expect(await reasonsOf(checker, small)).toEqual([]);
  const segment = result.segments - 1;
  const state = await stateAt(worker, 1, segment);
  expect(await reasonsOf(checker, { ...small, segment, state })).toEqual(["delta_not_of_state"]);
}, 60_000);

test("W-8 a residual that is not what the delta left is seen when the end is drawn", async () => {
  const worker = new Site();
  const { given, result } = await honest(worker, tinyWork());
  const lie = restate(worker, given, (list) => {
    list.residualAfter = "2".repeat(64);
  });
  const segment = result.segments - 1;
  const state = await stateAt(worker, 1, segment);
  expect(await reasonsOf(validator(worker), { ...lie, segment, state })).toEqual([
    "delta_not_of_state",
  ]);
}, 60_000);

test("W-8 a state that is not the one committed to, or does not hold, is refused", async () => {
  const worker = new Site();
  const { given } = await honest(worker, tinyWork());
  const checker = validator(worker);
  const other = await stateAt(worker, 1, 2);
  const wrong = { ...given, segment: 1 };
  expect(await reasonsOf(checker, { ...wrong, state: other })).toEqual(["state_differs"]);
  expect(await reasonsOf(checker, { ...wrong, state: "/nowhere" })).toEqual(["state_differs"]);
  const state = await stateAt(worker, 1, 1);
  for (const name of ["state.safetensors", "state.json"]) {
    const kept = worker.disk.files.get(`${state}/${name}`)!;
    for (const change of [
      kept.slice(0, kept.length - 5),
      kept.map((byte, index) => (index === kept.length - 30 ? byte ^ 1 : byte)),
    ]) {
      worker.disk.files.set(`${state}/${name}`, change);
      expect(await reasonsOf(checker, { ...wrong, state })).toEqual(["state_differs"]);
    }
    worker.disk.files.set(`${state}/${name}`, kept);
  }
  expect(await reasonsOf(checker, { ...wrong, state })).toEqual([]);
}, 60_000);

test("W-8 work on other data, or fewer steps than stated, is seen in the segment where it was done", async () => {
  const disk = new MemoryDisk();
  const work = tinyWork();
  const lies: [string, LocalWork, readonly number[]][] = [
    [
      "wrong slice",
      tinyWork({
        slices: [
          { first: 3, count: 5 },
          { first: 50, count: 3 },
        ],
      }),
      [1, 2],
    ],
    ["other rates", tinyWork({ scheduleSteps: [0, 2, 4, 7, 8, 10, 12, 14] }), [1]],
  ];
  for (const [name, done, caught] of lies) {
    const liar = new Site({ disk, directory: `/${name}` });
    // It does other work than it was given, and says that it was what it was given.
    const { given } = await honest(liar, done);
    const seen: number[] = [];
    for (const segment of [0, 1, 2]) {
      const lie = await pretend(liar, given, done, work, segment);
      const reasons = await reasonsOf(validator(liar), lie);
      if (reasons.includes("segment_differs")) seen.push(segment);
      else expect(reasons).toEqual([]);
    }
    expect(seen).toEqual([...caught]);
  }
}, 60_000);

test("W-8 a state repeated instead of the steps taken is seen in that segment", async () => {
  const worker = new Site();
  const { given } = await honest(worker, tinyWork());
  // The last segment was not computed: its end is its beginning.
  const lie = restate(worker, given, ({ states }) => {
    Object.assign(states[3]!, states[2]!);
  });
  const checker = validator(worker);
  for (const segment of [0, 1]) {
    const state = await stateAt(worker, 1, segment);
    expect(await reasonsOf(checker, { ...lie, segment, state })).toEqual([]);
  }
  const state = await stateAt(worker, 1, 2);
  const verdict = await checker.do({ kind: "validate", ...lie, segment: 2, state });
  expect(verdict.reasons).toEqual(["segment_differs"]);
  expect(verdict.recomputed).not.toBe(verdict.committed);
}, 60_000);

/** States of the work that was done, with the name of the work that was given written over its own. */
async function pretend(
  liar: Site,
  given: Case,
  done: LocalWork,
  work: LocalWork,
  segment: number,
): Promise<Case> {
  const revision = (await liar.do({ kind: "prepare", revision: seed })).digest;
  const state = await stateAt(liar, 1, segment);
  const path = `${state}/state.json`;
  const text = new TextDecoder().decode(liar.disk.files.get(path));
  const replaced = text.replace(workDigest(done, revision), workDigest(work, revision));
  const copy = `${state}-lie`;
  liar.disk.files.set(`${copy}/state.json`, new TextEncoder().encode(replaced));
  liar.disk.files.set(
    `${copy}/state.safetensors`,
    liar.disk.files.get(`${state}/state.safetensors`)!,
  );
  const lie = restate(liar, given, (list) => {
    list.work = workDigest(work, revision);
  });
  return { ...lie, work, segment, state: copy };
}
