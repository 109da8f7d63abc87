import { expect, test } from "bun:test";
import { codeOf } from "#src/artifact/artifact.fixture.ts";
import { machineClock } from "#src/node/clock.ts";
import type { Draw, Run } from "#src/window/run.ts";
import type { RunEngine } from "./run-engine.ts";
import { MeshRuns } from "./run-service.ts";
import { RunFollower, type FollowerParts } from "./run-follower.ts";

const { signal } = new AbortController();

/** A node that worked in window 3 of a run, and what it was asked to give. */
function site(draws: readonly Draw[], stage = "sealed") {
  const given: number[] = [];
  const run = { run: "r1a2b3c4", window: { number: 3, stage, draws } } as unknown as Run;
  const engine = {
    parts: {
      node: "me",
      services: { clock: machineClock },
      cluster: { ownState: () => ({ runs: [run] }) },
    },
    drawnState: async (_: Run, __: number, segment: number) => {
      given.push(segment);
      return { artifact: "a".repeat(64) };
    },
  } as unknown as RunEngine;
  return { runs: new MeshRuns(engine), given };
}

const request = { run: "r1a2b3c4", window: 3, segment: 1 };
const draws = [{ worker: "me", validators: ["bo"], segment: 1 }];

test("W-8 a private state is given to who was drawn to judge it, and to nobody else", async () => {
  const { runs, given } = site(draws);
  expect(await runs.state(request, "bo", signal)).toEqual({ artifact: "a".repeat(64) });
  expect(given).toEqual([1]);
  const refused = [
    ...[codeOf(() => runs.state(request, "eve", signal))],
    ...[codeOf(() => runs.state({ ...request, segment: 0 }, "bo", signal))],
    ...[codeOf(() => runs.state({ ...request, window: 2 }, "bo", signal))],
    ...[codeOf(() => runs.state({ ...request, run: "other123" }, "bo", signal))],
    codeOf(() => site(draws, "scored").runs.state(request, "bo", signal)),
  ];
  expect(new Set(await Promise.all(refused))).toEqual(new Set(["window_stale"]));
  expect(given).toEqual([1]);
});

test("W-8 of many who ask and were not drawn few wait, and who was drawn is served meanwhile", async () => {
  const { runs } = site(draws);
  let isOver = false;
  const startMs = machineClock.monotonicMs();
  const askers = Array.from({ length: 500 }, () =>
    codeOf(() => runs.state(request, "eve", signal)),
  );
  const quick = Promise.race(askers);
  expect(await quick).toBe("window_stale");
  expect(machineClock.monotonicMs() - startMs).toBeLessThan(1_500);
  void Promise.all(askers).then(() => (isOver = true));
  expect(await runs.state(request, "bo", signal)).toEqual({ artifact: "a".repeat(64) });
  expect(isOver).toBe(false);
  await Promise.all(askers);
});

test("W-11 a history that nobody has whole is asked for ever more seldom, and no more once it is here", async () => {
  let [nowMs, count, isWhole] = [0, 0, false];
  const history = {
    async whole() {
      count++;
      return { records: [], isWhole };
    },
  };
  const follower = new RunFollower({
    services: { clock: { monotonicMs: () => nowMs, wallMs: () => nowMs } },
    places: { isHere: () => false },
    local: { has: () => false },
    records: { after: () => [] },
    ...{ history, node: "me" },
  } as unknown as FollowerParts);
  const run = { run: "r1a2b3c4", phase: "active", windowCount: 1 } as unknown as Run;
  const look = async () => {
    nowMs += 500;
    follower.follow([run]);
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
  };
  for (let looks = 0; looks < 2_000; looks++) await look();
  expect(count).toBeGreaterThan(5);
  expect(count).toBeLessThan(16);
  isWhole = true;
  for (let looks = 0; looks < 700; looks++) await look();
  const counted = count;
  for (let looks = 0; looks < 700; looks++) await look();
  expect(count).toBe(counted);
});
