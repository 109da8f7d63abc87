import type { Services } from "#src/command/define.ts";
import { clusterOf, isOwner } from "#src/cluster/command-parts.ts";
import {
  defaultTokenLifetimeMs,
  defaultTokenRoles,
  makeToken,
  type MadeToken,
} from "#src/cluster/make-token.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { JoinLine } from "../daemon/control.ts";
import { machineAddresses } from "./places.ts";

/** A line that was printed is printed again while it is good for so long. */
const freshMs = 1_800_000;

/** The join line that `up` prints. Asked for again it is the same one, so that looking makes no tokens. */
export class JoinLines {
  #made: MadeToken | null = null;

  constructor(readonly services: Services) {}

  /** Null where this node may make no token, has no door, or nobody leads its mesh. */
  async line(signal: AbortSignal): Promise<JoinLine | null> {
    const cluster = clusterOf(this.services);
    if (cluster.contact().places.length === 0 || !isOwner(cluster)) return null;
    const { random, clock } = this.services;
    try {
      if (this.#made === null || !this.#isGood(this.#made)) {
        const request = { roles: defaultTokenRoles, isReusable: false };
        this.#made = await makeToken(
          { cluster, random, nowMs: clock.wallMs() },
          { ...request, lifetimeMs: defaultTokenLifetimeMs },
          signal,
        );
      }
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
    const { line, places } = this.#made;
    return { line, place: places[0]!, addresses: machineAddresses() };
  }

  #isGood({ token, expiryMs }: MadeToken): boolean {
    const known = clusterOf(this.services)
      .state()
      .tokens.find((each) => each.token === token);
    const isOpen = known !== undefined && known.useCount === 0 && !known.isRevoked;
    return isOpen && expiryMs - this.services.clock.wallMs() > freshMs;
  }
}
