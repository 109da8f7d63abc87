import type { Chance } from "./chance.ts";

/** What goes wrong with the work of runs, drawn once per seed. Not every seed has everything. */
export interface RunWeather {
  /** Chance per piece of work. */
  readonly workFailed: number;
  readonly workHung: number;
  /** Chance that what a machine had done and held is lost in a crash. */
  readonly workLost: number;
  /** Chance that one who lies does so. */
  readonly workFalse: number;
  /** Mean ticks between two times in which a machine gives nothing to others; 0 for never. */
  readonly withholdEvery: number;
}

export function drawRunWeather(chance: Chance): RunWeather {
  const sometimes = (values: readonly number[]) => (chance.happens(0.6) ? chance.pick(values) : 0);
  return {
    workFailed: sometimes([0.02, 0.1]),
    workHung: sometimes([0.02, 0.1]),
    workLost: chance.pick([0, 0.3, 1]),
    workFalse: chance.pick([0.5, 1]),
    withholdEvery: sometimes([60, 150]),
  };
}

/** Nothing goes wrong, and nobody lies. */
export const fairRunWeather: RunWeather = {
  ...{ workFailed: 0, workHung: 0, workLost: 0, workFalse: 0, withholdEvery: 0 },
};
