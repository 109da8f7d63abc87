import type { Backend } from "#src/kernel/contract.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import { checkBundle, type CheckedBundle } from "./check-contents.ts";
import {
  NumberChecker,
  type NumbersProgress,
  type NumbersReport,
  type ReplayWish,
} from "./check-numbers.ts";
import { openBench } from "./open-bench.ts";

export interface VerifyPorts {
  readonly disk: Disk;
  readonly clock: Clock;
  /** An absent folder for what has to lie on a disk meanwhile. */
  readonly directory: string;
  /** Memory of this machine. */
  readonly availableBytes: number;
  readonly signal: AbortSignal;
  /** Opened once it is known that there is something to compute. */
  openBackend(): Promise<Backend>;
  /** What needs no arithmetic holds. */
  onChecked?(checked: CheckedBundle): void;
  onProgress?(progress: NumbersProgress): void;
}

export interface VerifiedBundle extends CheckedBundle {
  readonly numbers: NumbersReport;
  readonly backend: string;
}

/**
 * Verifies a bundle of a run's evidence, all of it, and computes the segments that are wished for again. Refusals:
 * `not_found`, `not_a_file`, `evidence_damaged`, `evidence_broken`, `evidence_differs`, `evidence_unreachable`,
 * `memory_short`, `interrupted`, and those of opening a backend.
 */
export async function verifyBundle(
  path: string,
  wish: ReplayWish,
  ports: VerifyPorts,
): Promise<VerifiedBundle> {
  const { disk, clock, directory, availableBytes, signal } = ports;
  const checked = await checkBundle(disk, path, signal);
  ports.onChecked?.(checked);
  const backend = await ports.openBackend();
  try {
    await disk.makeDirectory(directory, ownerOnly);
    const bench = await openBench(checked.contents, {
      ...{ disk, clock, backend, directory, availableBytes, signal },
    });
    try {
      const tell = (progress: NumbersProgress) => ports.onProgress?.(progress);
      const checker = new NumberChecker(bench, checked.contents, checked.facts, tell);
      return { ...checked, numbers: await checker.run(wish), backend: backend.name };
    } finally {
      bench.run.executor.release();
    }
  } finally {
    backend.release();
    await disk.remove(directory).catch(() => {});
  }
}

/** What a bundle holds is for whoever verifies it. */
const ownerOnly = 0o700;
