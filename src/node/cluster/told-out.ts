import type { LinkView } from "#src/peer/link.ts";

/** How long nobody but refusers may answer until the node believes that it is no member any more. */
export const toldOutMs = 10_000;

/**
 * Others may know of an eviction that this node's own log never told it: they refuse its links. One that
 * is behind the others may refuse a new member too, so it counts only while nobody takes the node in.
 */
export class ToldOut {
  #sinceMs: number | null = null;

  look(links: readonly LinkView[], nowMs: number): void {
    const isUp = links.some(({ state }) => state === "connected" || state === "degraded");
    const isTold = links.some(
      ({ state, reason }) => state === "refused" && reason?.code === "member_unknown",
    );
    if (isUp || !isTold) this.#sinceMs = null;
    else this.#sinceMs ??= nowMs;
  }

  isOut(nowMs: number): boolean {
    return this.#sinceMs !== null && nowMs - this.#sinceMs >= toldOutMs;
  }
}
