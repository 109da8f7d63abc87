import type { Statement } from "#src/window/event.ts";
import { Chance } from "./chance.ts";
import { Plane } from "./plane.ts";
import { drawRunWeather, fairRunWeather, type RunWeather } from "./run-weather.ts";
import { drawWorkplace, type Workplace } from "./workplace.ts";

/** Where the chance of runs comes from. */
export const runStream = 600;
/** Of the seeds, in how many runs are played. */
const runsShare = 0.3;
/** Statements that are kept, for who says them again. */
const statementMaximum = 256;

/** What all that works on runs shares, beside the rest of a simulation. */
export class RunShared {
  readonly plane: Plane;
  /** Changes once, when the faults stop. */
  weather: RunWeather;
  /** Work that is not what it says it is: `RUN WINDOW WORKER`. */
  readonly lies = new Set<string>();
  #statements: readonly Statement[] = [];
  readonly #workplaces: ReadonlyMap<string, Workplace>;

  constructor(chance: Chance, sites: readonly string[], isUp: (site: string) => boolean) {
    this.plane = new Plane(isUp);
    this.weather = drawRunWeather(chance);
    const liarCount = chance.happens(0.8) ? chance.between(1, Math.floor(sites.length / 2)) : 0;
    const liars = chance.shuffled(sites).slice(0, liarCount);
    this.#workplaces = new Map(
      sites.map((site) => [site, drawWorkplace(chance, liars.includes(site))]),
    );
  }

  /** Latest statements, signed by whoever they name. */
  get statements(): readonly Statement[] {
    return this.#statements;
  }

  signed(statement: Statement): void {
    this.#statements = [...this.#statements, statement].slice(-statementMaximum);
  }

  workplace(site: string): Workplace {
    return this.#workplaces.get(site)!;
  }

  calm(): void {
    this.weather = fairRunWeather;
    this.plane.serveAll();
  }
}

/** Whether a seed has runs, by the first draw of their stream. */
export function hasRuns(seed: number): boolean {
  return new Chance(seed, runStream).happens(runsShare);
}

/** What all that works on runs shares in this seed; null where it has none. */
export function drawRuns(
  chance: Chance,
  sites: readonly string[],
  isUp: (site: string) => boolean,
): RunShared | null {
  return chance.happens(runsShare) ? new RunShared(chance, sites, isUp) : null;
}
