import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { contributionBytesMaximum, workerMaximum } from "./bounds.ts";
import { sayings } from "./event.ts";
import { ordersOfRuns } from "./orders.ts";
import { digestOf, plainSpec, TestRuns } from "./run.fixture.ts";
import { runsSchema } from "./state-schema.ts";
import { knownWorker, workerOf } from "./workers.ts";

describe("W-7 a worker that answers and never gives anything", () => {
  test("W-7 holds up ever fewer windows, while others work", () => {
    const mesh = new TestRuns(["a", "b", "c"], { ...plainSpec, slots: 4_000 });
    for (const node of ["a", "b", "c"]) mesh.ready(node);
    let heldUp = 0;
    for (let number = 1; number <= 128; number++) {
      mesh.must(mesh.open());
      const given = mesh.window.tasks.map(({ worker }) => worker).filter((each) => each !== "c");
      if (given.length < mesh.window.tasks.length) heldUp++;
      mesh.toSealed(given);
      mesh.judgeAll();
      for (const node of ["a", "b"]) if (mesh.run.window !== null) mesh.state(node);
      for (const node of ["a", "b", "c"])
        if (workerOf(mesh.run, node)?.revision !== mesh.run.revision.number) mesh.ready(node);
    }
    expect(mesh.run.revision.number).toBe(128);
    expect(workerOf(mesh.run, "c")!.missedCount).toBe(heldUp);
    expect(heldUp).toBeLessThan(12);
  });

  test("W-7 is still given work where it is alone, and again once it gives something", () => {
    const mesh = new TestRuns(["a", "b"], { ...plainSpec, slots: 4_000, quorum: 1 });
    const seats = () => mesh.window.tasks.map(({ worker }) => worker);
    for (let count = 0; count < 8; count++) {
      mesh.ready("a");
      mesh.must(mesh.open());
      expect(seats()).toEqual(["a"]);
      mesh.must(mesh.seal(`seal ${count}`));
    }
    for (let count = 0; count < 8; count++) {
      mesh.ready("a");
      mesh.must(mesh.open());
      mesh.toPromoted();
    }
    for (const node of ["a", "b"]) mesh.ready(node);
    mesh.must(mesh.open());
    expect(seats()).toEqual(["a", "b"]);
  });
});

describe("W-12 what is said of a revision", () => {
  test("W-12 is said by who works on the run, once, and of none before the latest", () => {
    const mesh = new TestRuns(["a", "b", "c"]);
    mesh.change("c", { isTrainer: false });
    mesh.begin(["a", "b"]);
    mesh.toPromoted();
    expect(mesh.evaluate("c", 1)).toBe("worker_unfit");
    expect(mesh.evaluate("a", 1)).toBe("done");
    for (const revision of [0, 1]) expect(mesh.evaluate("b", revision)).toBe("window_stale");
    expect(mesh.evaluate("b", 1, true)).toBe("done");
    expect(mesh.evaluate("b", 2)).toBe("window_stale");
  });

  test("W-12 is not said by who is out of the run", () => {
    const mesh = new TestRuns(["a", "b", "c"], { ...plainSpec, slots: 400, strikes: 1 });
    mesh.begin();
    mesh.toSealed();
    mesh.judgeAll((worker) => (worker === "c" ? "rejected" : "accepted"));
    for (const node of ["a", "b"]) mesh.state(node);
    expect(workerOf(mesh.run, "c")!.isQuarantined).toBe(true);
    expect(mesh.evaluate("c", 1)).toBe("worker_unfit");
    expect(mesh.evaluate("a", 1)).toBe("done");
  });
});

test("W-7 runs that always want an order do not keep others from theirs", () => {
  const mesh = new TestRuns(["a"]);
  const [one] = mesh.runs;
  const runs = Array.from({ length: 12 }, (_, number) => ({
    ...{ ...one!, run: `run0000${String.fromCharCode(97 + number)}`, name: `n${number}` },
    ...{ workers: [{ ...knownWorker(one!, "a"), revision: 0 }] },
  }));
  const ordered = new Set<string>();
  for (let look = 0; look < 40; look++) {
    const nowMs = mesh.nowMs + 60_000 + 50 * look;
    const hearing = { nowMs, ledSinceMs: 0, heardMs: new Map([["a", nowMs]]) };
    const orders = ordersOfRuns(runs, mesh.around, hearing, () => digestOf("drawn"));
    expect(orders.length).toBe(4);
    for (const { run } of orders) ordered.add(run);
  }
  expect(ordered.size).toBe(12);
});

test("W-6 no size that is stated makes a state that a member could not take over", () => {
  const mesh = new TestRuns(["a", "b"], { ...plainSpec, slots: 400 }).begin();
  const said = (sizeBytes: number) => ({
    ...{ saying: "contribution", window: 1, artifact: digestOf("x"), commitments: digestOf("x") },
    ...{ segments: 1, private: digestOf("x"), trainMs: 0, sizeBytes },
  });
  expect(v.is(sayings, said(contributionBytesMaximum))).toBe(true);
  expect(v.is(sayings, said(contributionBytesMaximum + 1))).toBe(false);
  for (const node of ["a", "b"])
    mesh.must(mesh.contribute(node, { sizeBytes: contributionBytesMaximum }));
  mesh.must(mesh.seal());
  mesh.judgeAll();
  for (const node of ["a", "b"]) if (mesh.run.window !== null) mesh.state(node);
  expect(mesh.run.past?.sizeBytes).toBe(2 * contributionBytesMaximum);
  expect(v.is(runsSchema, mesh.runs)).toBe(true);
  expect(Number.isSafeInteger(workerMaximum * contributionBytesMaximum)).toBe(true);
});
