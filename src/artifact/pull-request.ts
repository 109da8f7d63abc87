import type { Digest } from "#src/codec/digest.ts";
import type { Holder } from "./holder.ts";
import type { HolderReport } from "./holder-ranking.ts";
import type { Keep } from "./kept.ts";

/** Every bound of a pull. */
export interface PullLimits {
  /** Chunks in flight; each has a buffer. */
  readonly concurrency: number;
  /** A holder that sends nothing for so long has stalled. */
  readonly stallMs: number;
  /** A chunk that takes longer than this has stalled, however steadily it drips. */
  readonly chunkMs: number;
  /** A holder that failed is asked again after so long, then twice that. */
  readonly retryMs: number;
  readonly progressMs: number;
}

export const pullLimits: PullLimits = {
  concurrency: 8,
  stallMs: 10_000,
  chunkMs: 120_000,
  retryMs: 250,
  progressMs: 250,
};

/** Holders of one pull at most. */
export const holderMaximum = 32;

export interface PullProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** Null before anything is known. */
  readonly etaSeconds: number | null;
  /** True while another pull of the same artifact does the work. */
  readonly isJoined: boolean;
}

export interface PullRequest {
  readonly artifact: Digest;
  readonly holders: readonly Holder[];
  readonly name: string | null;
  readonly quotaBytes: number | null;
  /** Bytes of an artifact that can be what is wanted; a larger one is refused before it is fetched. */
  readonly mostBytes?: number | null;
  /** For work that keeps it by itself: it gets no name then, and no receipt. */
  readonly keep?: Keep;
  readonly signal: AbortSignal;
  readonly limits?: Partial<PullLimits>;
  onProgress?(progress: PullProgress): void;
  /** A holder was dropped: its report says why. */
  onDropped?(report: HolderReport): void;
}

export interface Pulled {
  readonly artifact: Digest;
  readonly sizeBytes: number;
  /** Bytes of chunks that came from holders, this time. */
  readonly fetchedBytes: number;
  readonly fetchedChunks: number;
  /** True when all of it was here, or another pull brought it. */
  readonly isJoined: boolean;
  readonly holders: readonly HolderReport[];
}
