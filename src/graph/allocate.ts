import { operations } from "#src/kernel/contract.ts";
import { aligned, elementBytes, type Storage } from "./tensor.ts";
import type { SymbolicCall } from "./recorder.ts";

/**
 * Drops calls whose results nobody reads: a recomputed block's last product, values of an
 * evaluation that only the backward pass would need. Storages outside the activations are read by
 * the host or by later phases, so calls that write them stay.
 */
export function dropDeadCalls(calls: readonly SymbolicCall[]): SymbolicCall[] {
  const live = new Set<Storage>();
  const kept: SymbolicCall[] = [];
  for (const call of calls.toReversed()) {
    const { arguments: declared } = operations[call.operation];
    const written = call.arguments.filter(
      (tensor, index) => tensor && declared[index]!.access !== "in",
    );
    const needed = written.some(
      (tensor) => tensor!.storage.space !== "activations" || live.has(tensor!.storage),
    );
    if (!needed) continue;
    for (const [index, tensor] of call.arguments.entries()) {
      if (tensor && declared[index]!.access !== "out") live.add(tensor.storage);
    }
    kept.push(call);
  }
  return kept.reverse();
}

/** Calls [first, last] during which a storage holds something. */
export interface Lifetime {
  readonly storage: Storage;
  readonly first: number;
  last: number;
}

/** The lifetimes of the activations storages of one phase, in order of first use. */
export function lifetimesOf(calls: readonly SymbolicCall[]): Lifetime[] {
  const byStorage = new Map<Storage, Lifetime>();
  for (const [index, call] of calls.entries()) {
    for (const tensor of call.arguments) {
      if (!tensor || tensor.storage.space !== "activations") continue;
      const known = byStorage.get(tensor.storage);
      if (known) known.last = index;
      else byStorage.set(tensor.storage, { storage: tensor.storage, first: index, last: index });
    }
  }
  return [...byStorage.values()];
}

/**
 * Gives every activations storage of a phase its offset, so that storages alive at the same time
 * never overlap. Greedy by size: the largest storages choose first, each takes the tightest gap
 * left between those already placed that it meets in time. Returns the bytes used.
 */
export function allocateActivations(calls: readonly SymbolicCall[]): number {
  const lifetimes = lifetimesOf(calls);
  const bySize = lifetimes.toSorted(
    (one, other) => other.storage.elements - one.storage.elements || one.first - other.first,
  );
  const placed: Lifetime[] = [];
  let sizeBytes = 0;
  for (const lifetime of bySize) {
    const needed = aligned(lifetime.storage.elements * elementBytes);
    const offset = tightestGap(
      placed.filter((other) => other.first <= lifetime.last && lifetime.first <= other.last),
      needed,
    );
    lifetime.storage.offsetBytes = offset;
    sizeBytes = Math.max(sizeBytes, offset + needed);
    placed.push(lifetime);
  }
  return sizeBytes;
}

function tightestGap(neighbours: Lifetime[], needed: number): number {
  const start = (lifetime: Lifetime): number => lifetime.storage.offsetBytes!;
  neighbours.sort((one, other) => start(one) - start(other));
  let end = 0;
  let best = -1;
  let bestSlack = Infinity;
  for (const neighbour of neighbours) {
    const slack = start(neighbour) - end - needed;
    if (slack >= 0 && slack < bestSlack) {
      best = end;
      bestSlack = slack;
    }
    end = Math.max(end, start(neighbour) + aligned(neighbour.storage.elements * elementBytes));
  }
  return best >= 0 ? best : end;
}

/** The most bytes alive at once: no allocation can be smaller. */
export function peakLiveBytes(calls: readonly SymbolicCall[]): number {
  const change = new Array<number>(calls.length + 1).fill(0);
  for (const { storage, first, last } of lifetimesOf(calls)) {
    const sizeBytes = aligned(storage.elements * elementBytes);
    change[first]! += sizeBytes;
    change[last + 1]! -= sizeBytes;
  }
  let live = 0;
  let peak = 0;
  for (const delta of change) {
    live += delta;
    peak = Math.max(peak, live);
  }
  return peak;
}
