import { flaws, type Flaw } from "#src/log/flaw.ts";
import { meshFlaws, type MeshFlaw } from "./mesh-flaw.ts";

/** Every mistake that can be planted: in the log and in what its events mean. */
export const plantedFlaws = [...flaws, ...meshFlaws] as const;
export type PlantedFlaw = (typeof plantedFlaws)[number];

export function logFlawOf(flaw: PlantedFlaw | null): Flaw | null {
  return flaws.find((each) => each === flaw) ?? null;
}

export function meshFlawOf(flaw: PlantedFlaw | null): MeshFlaw | null {
  return meshFlaws.find((each) => each === flaw) ?? null;
}
