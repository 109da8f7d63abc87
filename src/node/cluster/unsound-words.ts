import { getLogger } from "@logtape/logtape";
import { RateBound } from "./rate-bound.ts";

const log = getLogger(["psionic", "cluster"]);

/** How often it is told that members say such things; all are counted. */
const tellMs = 60_000;

/** What members say that no node says which keeps to the protocol: counted, and told seldom. */
export class UnsoundWords {
  #count = 0;
  readonly #told = new RateBound(1, tellMs);

  get count(): number {
    return this.#count;
  }

  add(from: string, nowMs: number): void {
    this.#count++;
    if (!this.#told.take(nowMs)) return;
    log.warning("{from} says what no member says that keeps to the protocol: {count} in all", {
      ...{ from, count: this.#count },
      hint: "it is of another version, or lies: psionic node evict takes it out of the mesh",
    });
  }
}
