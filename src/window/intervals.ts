import type { Interval } from "./run.ts";

/** Lists of stretches of slots that ascend and lie apart. */

export function slotsIn(list: readonly Interval[]): number {
  return list.reduce((sum, { count }) => sum + count, 0);
}

/** The first `count` slots of a list, and what is left of it. There must be as many. */
export function takeSlots(
  list: readonly Interval[],
  count: number,
): { readonly taken: readonly Interval[]; readonly rest: readonly Interval[] } {
  const taken: Interval[] = [];
  const rest: Interval[] = [];
  let missing = count;
  for (const { first, count: length } of list) {
    const part = Math.min(length, missing);
    if (part > 0) taken.push({ first, count: part });
    if (part < length) rest.push({ first: first + part, count: length - part });
    missing -= part;
  }
  return { taken, rest };
}

/** The list with others put back in; neighbours become one. */
export function putBack(
  list: readonly Interval[],
  others: readonly Interval[],
): readonly Interval[] {
  const joined: Interval[] = [];
  for (const next of [...list, ...others].toSorted((a, b) => a.first - b.first)) {
    const last = joined.at(-1);
    if (last === undefined || last.first + last.count < next.first) joined.push(next);
    else joined[joined.length - 1] = { first: last.first, count: last.count + next.count };
  }
  return joined;
}

/** Whether they ascend and none touches the next. */
export function areApart(list: readonly Interval[]): boolean {
  return list.every(({ first, count }, place) => {
    const next = list[place + 1];
    return count > 0 && (next === undefined || first + count < next.first);
  });
}
