import { expect, test } from "bun:test";
import type { Event } from "#src/command/define.ts";
import type { Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { TrainEvent } from "#src/train/train-event.ts";
import { Sabotage } from "./sabotage.ts";

/** A run of a hundred steps, told to a saboteur whose trainers only note how they were killed. */
class Rehearsal {
  readonly kills: string[] = [];
  readonly events: Event[] = [];
  readonly sabotage = new Sabotage((event) => this.events.push(event));
  #pid = 100;
  readonly #processes: Processes = {
    spawnSelf: () => ({
      pid: ++this.#pid,
      send: () => {},
      kill: (signal) => this.kills.push(signal),
      exited: new Promise(() => {}),
    }),
  };

  spawn(role = "trainer"): void {
    this.sabotage.watch(this.#processes).spawnSelf(role, () => {});
  }

  see(event: object): void {
    this.sabotage.see(event as TrainEvent);
  }

  steps(from: number, to: number, bits = "3f800000"): void {
    for (let step = from; step <= to; step++)
      this.see({ type: "step", step, of: 100, lossBits: `${bits}${step}`, gradientNormBits: "0" });
  }
}

test("demo: the kill waits for the middle, for a checkpoint and for work to lose", () => {
  const rehearsal = new Rehearsal();
  rehearsal.spawn("another-role");
  rehearsal.spawn();
  rehearsal.steps(1, 60);
  expect(rehearsal.kills).toEqual([]);
  rehearsal.see({ type: "checkpoint", step: 60 });
  rehearsal.steps(61, 61);
  expect(rehearsal.kills).toEqual([]);
  rehearsal.steps(62, 70);
  expect(rehearsal.kills).toEqual(["SIGKILL"]);
  expect(rehearsal.sabotage.kill).toEqual({ pid: 102, step: 62, checkpointStep: 60 });
});

function killed(): Rehearsal {
  const rehearsal = new Rehearsal();
  rehearsal.spawn();
  rehearsal.steps(1, 40);
  rehearsal.see({ type: "checkpoint", step: 40 });
  rehearsal.steps(41, 48);
  rehearsal.see({ type: "restart", reason: "it was ended by SIGKILL", attempt: 1 });
  rehearsal.see({ type: "started", step: 40 });
  return rehearsal;
}

test("demo: steps computed a second time with the same bits are counted and announced once", () => {
  const rehearsal = killed();
  const { sabotage, events } = rehearsal;
  rehearsal.steps(41, 60);
  expect(sabotage.recomputedSteps).toBe(8);
  expect(sabotage.resumedFromStep).toBe(40);
  expect(events.filter(({ type }) => type === "recomputed")).toEqual([
    { type: "recomputed", from: 41, to: 48 },
  ]);
  expect(events.filter(({ type }) => type === "killed").length).toBe(1);
});

test("demo: a step computed a second time with other bits is refused by its number", () => {
  const rehearsal = killed();
  rehearsal.steps(41, 43);
  let refusal: unknown;
  try {
    rehearsal.steps(44, 44, "3f800001");
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(Refusal);
  expect(refusal).toMatchObject({ code: "demo_failed", details: { step: 44 } });
});
