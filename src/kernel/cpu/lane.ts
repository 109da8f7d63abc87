import { Refusal } from "#src/refusal/refusal.ts";
import { kernels } from "./library.ts";

/** The instruction sets of the CPU backend, by their bit in the library. */
export const laneBits = { baseline: 1, avx2: 2, avx512: 4, neon: 8 } as const;
export type Lane = keyof typeof laneBits;

const bestFirst = ["avx512", "avx2", "neon", "baseline"] as const satisfies readonly Lane[];

/** Lanes this processor can run, best first. */
export function availableLanes(): readonly Lane[] {
  const bits = kernels().psi_lanes();
  return bestFirst.filter((lane) => bits & laneBits[lane]);
}

/** The named lane, or the best one; refuses a lane this processor lacks. */
export function chooseLane(wanted?: Lane): Lane {
  const lanes = availableLanes();
  const lane = wanted ?? lanes[0]!;
  if (!lanes.includes(lane)) {
    throw new Refusal(
      "lane_unavailable",
      `this processor cannot run the ${lane} kernels`,
      `Leave out --isa, or choose one of: ${lanes.join(", ")}.`,
      { wanted: lane, available: lanes },
    );
  }
  return lane;
}
