/** The backend a run is executed on. Loaded at first use: the native library is not needed to list runs. */
import type { Plan } from "#src/graph/plan.ts";
import type { Backend } from "#src/kernel/contract.ts";
import type { Start } from "./messages.ts";

const burstCount = 8;
const burstSeconds = 0.02;

export interface OpenedBackend {
  readonly backend: Backend;
  /** FLOP/s of this machine in this lane with these threads; null where it means nothing. */
  measurePeak(): number | null;
}

/** Well below what an array may hold; native memory has no such limit. */
const arrayMaximum = 2 ** 31;

/**
 * A backend that holds a state and computes nothing: the plain one, which every machine has, or native
 * memory where a space is larger than an array can be. Refuses with `backend_unavailable`.
 */
export async function openHoldingBackend(plan: Pick<Plan, "spaces">): Promise<Backend> {
  const isLarge = plan.spaces.some(({ sizeBytes }) => sizeBytes > arrayMaximum);
  return (await openBackend(isLarge ? null : "reference", 1)).backend;
}

/** Refuses with `lane_unavailable`, `backend_unavailable`. */
export async function openBackend(isa: Start["isa"], threads: number): Promise<OpenedBackend> {
  if (isa === "reference") {
    const { openReferenceBackend } = await import("#src/kernel/reference/reference-backend.ts");
    return { backend: openReferenceBackend(), measurePeak: () => null };
  }
  const { openCpuBackend } = await import("#src/kernel/cpu/cpu-backend.ts");
  const { measurePeak } = await import("#src/kernel/cpu/measure.ts");
  const backend = openCpuBackend({ lane: isa ?? undefined, threads });
  // Short bursts, of which the fastest counts: other work on the machine takes from most of them.
  const bursts = () =>
    Array.from({ length: burstCount }, () => measurePeak(backend.lane, threads, burstSeconds));
  return { backend, measurePeak: () => Math.max(...bursts()) };
}
