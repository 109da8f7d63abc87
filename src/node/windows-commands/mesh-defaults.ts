import type { RunSpec } from "#src/window/run.ts";

/** What a run of the mesh is given where nothing else is said. All numbers worth tuning stand here. */
export const meshDefaults = {
  /** A window takes about so long where the run is long enough for it. */
  windowSeconds: 30,
  /** A run has at least and at most so many windows, where nobody leaves. */
  windowsLeast: 30,
  windowsMost: 150,
  /** However short the run is, a window is worth its round of messages. */
  windowStepsLeast: 8,
  /** Segments of a window: of one of them each validator recomputes all steps. */
  segments: 8,
  /** A quarter of the bytes of dense values, at no loss that was seen. */
  codec: "int8",
  /**
   * The mean of the contributions as it is: momentum over few windows of a short run takes longer to pay than the run
   * lasts (docs/LOG.md, windows and loss).
   */
  outerRate: 1,
  outerMomentum: 0,
  pace: "measured",
  participants: 16,
  validators: 1,
  /** Share of contributions replayed, where a segment takes longer or its state is larger than this; else all. */
  replay: 0.25,
  alwaysReplayedSeconds: 3,
  alwaysReplayedBytes: 8 * 1024 * 1024,
  strikes: 2,
  /** Waits are this many times what the work should take, and so much more. */
  patienceTimes: 8,
  trainLeastMs: 60_000,
  judgeLeastMs: 30_000,
  mergeLeastMs: 30_000,
  patienceMostMs: 86_400_000,
  silenceMs: 5_000,
  /** Exact kernels reach about this share of a machine's peak in training. */
  shareOfPeak: 0.5,
  /** FLOP/s of a node in training that nobody measured. */
  assumedFlops: 2e10,
} as const satisfies Readonly<Record<string, number | RunSpec["codec"] | RunSpec["pace"]>>;
