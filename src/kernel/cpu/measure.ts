import { kernels } from "./library.ts";
import { laneBits, type Lane } from "./lane.ts";

/**
 * This machine's own ceiling: floating point operations per second of fused multiply-adds on
 * registers, `threadCount` threads together. Blocks for about `seconds`.
 */
export function measurePeak(lane: Lane, threadCount: number, seconds = 0.15): number {
  return kernels().psi_peak_flops(laneBits[lane], threadCount, seconds);
}

/** Bytes per second read plus written when copying 64 MiB buffers. Blocks for about `seconds`. */
export function measureBandwidth(lane: Lane, threadCount: number, seconds = 0.3): number {
  return kernels().psi_copy_bandwidth(laneBits[lane], threadCount, seconds);
}
