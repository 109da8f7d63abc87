/** This machine's measured peaks, so that a run need not measure again what does not change. */
import type { Store } from "#src/port/store.ts";

/** Measured again after this long: frequency limits and virtual machines do change. */
const validMs = 24 * 3_600_000;

export class PeakStore {
  constructor(readonly store: Store) {}

  /** FLOP/s of a lane and thread count (`best/2`), or null when it is to be measured. */
  get(name: string, nowMs: number): number | null {
    const row = this.store.get("SELECT * FROM machine_peak WHERE name = ?", name);
    if (!row || nowMs - Number(row["measured_ms"]) > validMs) return null;
    return Number(row["flops"]);
  }

  /** The highest value seen lately counts: a busy moment measures too little. */
  put(name: string, flops: number, nowMs: number): void {
    this.store.run(
      "INSERT OR REPLACE INTO machine_peak VALUES (?, ?, ?)",
      name,
      Math.max(flops, this.get(name, nowMs) ?? 0),
      nowMs,
    );
  }
}
