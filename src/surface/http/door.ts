import type { Caller } from "#src/command/caller.ts";
import { RunningCalls } from "#src/command/running-calls.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { httpLimits, type HttpLimits } from "./limits.ts";
import { DoorMetrics } from "./metrics.ts";
import type { Arrival, HttpParts } from "./parts.ts";

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

/**
 * Places of one thing for each kind of those who want them, so that no kind takes what another needs:
 * whoever fills the TCP port with slow requests keeps no terminal from its daemon.
 */
export class PlacesByKind<Kind extends string> {
  readonly #places: ReadonlyMap<Kind, Places>;

  constructor(maxima: Readonly<Record<Kind, number>>, thing: string) {
    const kinds = Object.keys(maxima) as Kind[];
    this.#places = new Map(kinds.map((kind) => [kind, new Places(maxima[kind], thing)]));
  }

  get taken(): number {
    return [...this.#places.values()].reduce((taken, places) => taken + places.taken, 0);
  }

  /** As `Places.take`, among those of the kind. */
  take(kind: Kind): () => void {
    return this.#places.get(kind)!.take();
  }
}

/** What the routes share: the socket and the TCP port of one node are one door. */
export interface Door {
  readonly parts: HttpParts;
  readonly limits: HttpLimits;
  readonly metrics: DoorMetrics;
  readonly requests: PlacesByKind<Arrival["via"]>;
  readonly calls: PlacesByKind<Caller["provenance"]>;
  readonly eventStreams: Places;
  readonly runningCalls: RunningCalls;
}

const doors = new WeakMap<HttpParts, Door>();

/** The door of these parts, the same one for each listener. */
export function doorOf(parts: HttpParts): Door {
  const known = doors.get(parts);
  if (known !== undefined) return known;
  const limits = { ...httpLimits, ...parts.limits };
  const { calls, requests } = limits;
  const anonymous = Math.min(calls, limits.strangerCalls);
  const door: Door = {
    parts,
    limits,
    metrics: new DoorMetrics(parts.version),
    requests: new PlacesByKind({ tcp: requests, socket: requests }, "requests"),
    calls: new PlacesByKind({ local: calls, token: calls, peer: calls, anonymous }, "calls"),
    eventStreams: new Places(limits.eventStreams, "streams of events"),
    runningCalls: parts.runningCalls ?? new RunningCalls(),
  };
  doors.set(parts, door);
  return door;
}
