import { assert } from "#src/refusal/refusal.ts";

/**
 * Whether what callers saw of a set of registers could have come from one machine that does one thing after
 * the other: linearizability, searched for as by Wing and Gong (1993) with the memory of configurations
 * of Lowe (2017). Registers are judged one by one, which is enough (Herlihy and Wing 1990).
 */

/** One call as its caller saw it; times are of one clock. */
export interface Operation {
  readonly key: string;
  readonly kind: "write" | "read";
  /** What was written or read; empty for nothing. */
  readonly value: string;
  readonly startedMs: number;
  /** Infinity for a write of which nobody knows whether it was done: it may be at any later time, or never. */
  readonly endedMs: number;
}

export type Verdict =
  | { readonly isLinearizable: true; readonly configurationCount: number }
  | {
      readonly isLinearizable: false;
      readonly key: string;
      /** The most of its operations that could be put into an order, and those that did not fit after them. */
      readonly orderedCount: number;
      readonly unfitting: readonly Operation[];
    };

/** Configurations of one register that are looked at before the search gives up by throwing. */
const configurationMaximum = 2_000_000;
/** Operations that a verdict names. */
const namedMaximum = 12;

/** Judges a history. A read nobody got an answer to says nothing and must not be in it. */
export function judgeHistory(operations: readonly Operation[]): Verdict {
  let configurationCount = 0;
  for (const [key, own] of Map.groupBy(operations, (each) => each.key)) {
    const search = new RegisterSearch(own);
    if (!search.run())
      return {
        ...{ isLinearizable: false, key, orderedCount: search.orderedMost },
        unfitting: search.unfitting,
      };
    configurationCount += search.configurationCount;
  }
  return { isLinearizable: true, configurationCount };
}

/** A point of the search: what has been put into the order so far, and what the register holds then. */
interface Configuration {
  /** All certain operations before this place are in the order. */
  readonly prefix: number;
  /** The places after it that are in the order as well, ascending. */
  readonly ahead: readonly number[];
  /** Uncertain writes that were taken to be done, ascending. */
  readonly taken: readonly number[];
  readonly value: string;
}

class RegisterSearch {
  orderedMost = -1;
  unfitting: readonly Operation[] = [];
  /** By ascending start. */
  readonly #certain: readonly Operation[];
  readonly #uncertain: readonly Operation[];
  /** Where each value is read, ascending. */
  readonly #readsOf: ReadonlyMap<string, readonly number[]>;
  readonly #seen = new Set<string>();

  constructor(operations: readonly Operation[]) {
    const sorted = operations.toSorted((one, other) => one.startedMs - other.startedMs);
    for (const { kind, startedMs, endedMs } of sorted)
      assert(startedMs <= endedMs && (kind === "write" || endedMs < Infinity), "a call has an end");
    this.#certain = sorted.filter(({ endedMs }) => endedMs < Infinity);
    const reads = this.#certain.flatMap(({ kind, value }, at) =>
      kind === "read" ? [[value, at] as const] : [],
    );
    this.#readsOf = new Map(
      [...Map.groupBy(reads, ([value]) => value)].map(([value, list]) => [
        value,
        list.map(([, at]) => at),
      ]),
    );
    // One that nobody read may as well never have been done.
    this.#uncertain = sorted.filter(
      ({ endedMs, value }) => endedMs === Infinity && this.#readsOf.has(value),
    );
  }

  get configurationCount(): number {
    return this.#seen.size;
  }

  run(): boolean {
    const stack: Configuration[] = [{ prefix: 0, ahead: [], taken: [], value: "" }];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (next.prefix === this.#certain.length) return true;
      const name = `${next.prefix}|${next.ahead.join()}|${next.taken.join()}|${next.value}`;
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      if (this.#seen.size > configurationMaximum)
        throw new Error(`undecided after ${configurationMaximum} configurations of one register`);
      stack.push(...this.#successors(next));
    }
    return false;
  }

  /** What may come next: nothing that began after something still missing had ended. */
  #successors(from: Configuration): Configuration[] {
    const { candidates, earliestEndMs } = this.#candidates(from);
    this.#remember(from, candidates);
    // A read of what is there may come at once: whatever follows can follow it just as well.
    const fitting = candidates.find((at) => {
      const { kind, value } = this.#certain[at]!;
      return kind === "read" && value === from.value;
    });
    if (fitting !== undefined) return [placed(from, fitting, from.value)];
    const writes = candidates.filter((at) => this.#certain[at]!.kind === "write");
    const doubtful = this.#uncertain.flatMap(({ startedMs, value }, at) => {
      const isOpen = startedMs <= earliestEndMs && !from.taken.includes(at);
      if (!isOpen || value === from.value || !this.#isStillRead(from, value)) return [];
      const taken = [...from.taken, at].toSorted((one, other) => one - other);
      return [{ ...from, taken, value }];
    });
    // The last one is looked at first: certain writes in the order in which they were asked for.
    return [
      ...doubtful.toReversed(),
      ...writes.toReversed().map((at) => placed(from, at, this.#certain[at]!.value)),
    ];
  }

  #candidates({ prefix, ahead }: Configuration) {
    const candidates: number[] = [];
    let earliestEndMs = Infinity;
    for (let at = prefix; at < this.#certain.length; at++) {
      const { startedMs, endedMs } = this.#certain[at]!;
      if (startedMs > earliestEndMs) break;
      if (ahead.includes(at)) continue;
      candidates.push(at);
      earliestEndMs = Math.min(earliestEndMs, endedMs);
    }
    // Those looked at before the earliest end was known may have begun after it.
    return {
      candidates: candidates.filter((at) => this.#certain[at]!.startedMs <= earliestEndMs),
      earliestEndMs,
    };
  }

  #isStillRead({ prefix, ahead }: Configuration, value: string): boolean {
    const reads = this.#readsOf.get(value)!;
    for (let each = reads.length - 1; each >= 0 && reads[each]! >= prefix; each--)
      if (!ahead.includes(reads[each]!)) return true;
    return false;
  }

  #remember({ prefix, ahead }: Configuration, candidates: readonly number[]): void {
    const count = prefix + ahead.length;
    if (count <= this.orderedMost) return;
    this.orderedMost = count;
    this.unfitting = candidates.slice(0, namedMaximum).map((at) => this.#certain[at]!);
  }
}

/** The configuration in which one more certain operation is in the order. */
function placed(from: Configuration, at: number, value: string): Configuration {
  const all = [...from.ahead, at].toSorted((one, other) => one - other);
  let { prefix } = from;
  while (all[0] === prefix) {
    all.shift();
    prefix++;
  }
  return { prefix, ahead: all, taken: from.taken, value };
}
