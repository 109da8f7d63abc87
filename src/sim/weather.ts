import type { Chance } from "./chance.ts";

/** Everything that can go wrong in a simulation, by the name under which it is counted. */
export const faultKinds = [
  "loss",
  "delay",
  "duplication",
  "reordering",
  "partition",
  "one-way-partition",
  "crash",
  "crash-before-write",
  "crash-after-write",
  "torn-write",
  "lost-write",
  "failed-write",
  "slow-disk",
  "clock-drift",
  "clock-jump",
  "pause",
  "work-failed",
  "work-hung",
  "work-lost",
  "work-false",
  "work-withheld",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** How much of what goes wrong, drawn once per seed. Not every seed has everything. */
export interface Weather {
  /** Chance per message. */
  readonly loss: number;
  readonly delay: number;
  readonly duplication: number;
  /** Milliseconds by which messages of a link may overtake each other. */
  readonly spreadMs: number;
  /** Chance per write. */
  readonly writeCrash: number;
  readonly failedWrite: number;
  readonly slowDisk: number;
  /** Mean ticks between two; 0 for never. */
  readonly partitionEvery: number;
  readonly crashEvery: number;
  readonly clockJumpEvery: number;
  readonly pauseEvery: number;
  readonly memberEvery: number;
  readonly transferEvery: number;
  /** Most per cent by which a node's clock runs fast or slow. */
  readonly driftPercent: number;
}

export function drawWeather(chance: Chance): Weather {
  const sometimes = (values: readonly number[]) => (chance.happens(0.6) ? chance.pick(values) : 0);
  return {
    loss: sometimes([0.01, 0.05, 0.15, 0.3]),
    delay: sometimes([0.01, 0.05, 0.1]),
    duplication: sometimes([0.01, 0.05, 0.2]),
    spreadMs: chance.pick([5, 50, 150]),
    writeCrash: sometimes([0.002, 0.01, 0.03]),
    failedWrite: sometimes([0.001, 0.005]),
    slowDisk: sometimes([0.01, 0.1]),
    partitionEvery: sometimes([40, 120, 300]),
    crashEvery: sometimes([30, 100, 300]),
    clockJumpEvery: sometimes([100, 300]),
    pauseEvery: sometimes([80, 250]),
    memberEvery: sometimes([30, 100]),
    transferEvery: sometimes([60, 200]),
    driftPercent: sometimes([5, 20]),
  };
}

/** Nothing goes wrong. */
export const fairWeather: Weather = {
  ...{ loss: 0, delay: 0, duplication: 0, spreadMs: 5, writeCrash: 0, failedWrite: 0, slowDisk: 0 },
  ...{ partitionEvery: 0, crashEvery: 0, clockJumpEvery: 0, pauseEvery: 0 },
  ...{ memberEvery: 0, transferEvery: 0, driftPercent: 0 },
};
