import { RunningCalls } from "#src/command/running-calls.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { httpLimits, type HttpLimits } from "./limits.ts";
import { DoorMetrics } from "./metrics.ts";
import type { HttpParts } from "./parts.ts";

/** How many of one thing are open at the same time, with a bound. */
export class Places {
  #taken = 0;

  constructor(
    readonly maximum: number,
    readonly thing: string,
  ) {}

  get taken(): number {
    return this.#taken;
  }

  /** Takes a place and gives what gives it back. Refused with `door_busy` when all are taken. */
  take(): () => void {
    if (this.#taken >= this.maximum)
      throw new Refusal(
        "door_busy",
        `${this.maximum} ${this.thing} are open already`,
        "try again in a moment, or end some of them",
        { maximum: this.maximum },
      );
    this.#taken += 1;
    let isTaken = true;
    return () => {
      if (isTaken) this.#taken -= 1;
      isTaken = false;
    };
  }
}

/** What the routes share: the socket and the TCP port of one node count together. */
export interface Door {
  readonly parts: HttpParts;
  readonly limits: HttpLimits;
  readonly metrics: DoorMetrics;
  readonly requests: Places;
  readonly calls: Places;
  readonly eventStreams: Places;
  readonly runningCalls: RunningCalls;
}

const doors = new WeakMap<HttpParts, Door>();

/** The door of these parts, the same one for each listener. */
export function doorOf(parts: HttpParts): Door {
  const known = doors.get(parts);
  if (known !== undefined) return known;
  const limits = { ...httpLimits, ...parts.limits };
  const door: Door = {
    parts,
    limits,
    metrics: new DoorMetrics(parts.version),
    requests: new Places(limits.requests, "requests"),
    calls: new Places(limits.calls, "calls"),
    eventStreams: new Places(limits.eventStreams, "streams of events"),
    runningCalls: parts.runningCalls ?? new RunningCalls(),
  };
  doors.set(parts, door);
  return door;
}
