import type { Request } from "#src/cluster/event.ts";
import type { AskOutcome } from "#src/cluster/lanes.ts";
import type { NodeMessage } from "#src/cluster/node-message.ts";
import type { SyncOutcome } from "#src/cluster/reads.ts";
import type { Outcome } from "#src/log/replica.ts";
import type { Agenda } from "./agenda.ts";
import type { Chance } from "./chance.ts";
import type { Checks } from "./checks.ts";
import type { Count } from "./count.ts";
import type { ProbeName } from "./probes.ts";
import type { PlantedFlaw } from "./planted.ts";
import type { RunShared } from "./run-shared.ts";
import type { FaultKind, Weather } from "./weather.ts";

/** Milliseconds between two ticks of a node whose clock is right. */
export const tickMs = 100;
/** What a right clock says when a simulation begins. */
export const epochMs = 1_000_000;

/** A message of one node on its way to another. */
export interface Letter {
  readonly from: string;
  readonly to: string;
  readonly message: NodeMessage;
}

/** What every part of a simulation shares. */
export interface Surroundings {
  readonly agenda: Agenda;
  readonly checks: Checks;
  readonly faults: Count<FaultKind>;
  readonly probes: Count<ProbeName>;
  readonly flaw: PlantedFlaw | null;
  /** What all that works on runs shares; null where there are none. */
  readonly runs: RunShared | null;
  /** Sessions a node remembers; entries after which it takes a snapshot, and keeps behind it. */
  readonly sessionMaximum: number;
  readonly snapshotEvery: number;
  readonly keptEntries: number;
  readonly entriesPerMessage: number;
  /** Changes once, when the faults stop. */
  weather: Weather;
  /** False where the sender may notice that it did not go out. */
  send(letter: Letter): boolean;
  /** Of a request to the log itself. */
  answer(request: number, outcome: Outcome): void;
  /** Of what a node was asked for. */
  asked(request: number, outcome: AskOutcome | SyncOutcome): void;
  /** Has a node asked for something in its own name. `answered` is not called if it loses its power. */
  askAt(
    site: string,
    asked: Request,
    patienceTicks: number,
    answered: (outcome: AskOutcome) => void,
  ): void;
  /** A node lost its power. */
  ended(site: string): void;
  /** Takes something that happened into the hash of the simulation. */
  note(...numbers: readonly number[]): void;
  chance(stream: number): Chance;
}
