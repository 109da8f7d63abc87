/** What the tests of windows share: sessions over a tiny model, files in memory, and honest work of a window. */
import type { Digest } from "#src/codec/digest.ts";
import type { Backend } from "#src/kernel/contract.ts";
import { openCpuBackend } from "#src/kernel/cpu/cpu-backend.ts";
import { machineClock } from "#src/node/clock.ts";
import type { CodecSettings } from "../delta/codec.ts";
import { Executor } from "../executor.ts";
import type { RunManifest } from "../run-manifest.ts";
import { pinnedPlan } from "../run-plan.ts";
import { dataset, MemoryDisk, tinyManifest } from "../train.fixture.ts";
import { assignTrainingData } from "../training-data.ts";
import { InterruptibleClock } from "./interruptible-clock.ts";
import { WorkerSession } from "./session.ts";
import type { LocalWork, ResultOf, RevisionPlace, TaskKind, TaskOf } from "./tasks.ts";
import type { Told } from "./training.ts";

export const outer = { kind: "nesterov", rate: 0.7, momentum: 0.9 } as const;
export const codecs = {
  dense: { name: "dense", decayPerMille: 0 },
  int8: { name: "int8", decayPerMille: 1000 },
  "top-k": { name: "top-k", decayPerMille: 900 },
} as const satisfies Record<string, CodecSettings>;

/** One object, so that its plan is compiled once. */
const tiny = tinyManifest();

export interface SiteOptions {
  readonly disk?: MemoryDisk;
  readonly directory?: string;
  readonly codec?: CodecSettings;
  readonly manifest?: RunManifest;
  readonly backend?: Backend;
  readonly keepBytes?: number;
}

/** One machine's part in a run. */
export class Site {
  readonly disk: MemoryDisk;
  readonly directory: string;
  readonly session: WorkerSession;
  readonly told: Told[] = [];
  /** Called with each progress; may throw, as a process that dies does. */
  watch: (told: Told) => void = () => {};
  #given = new AbortController();

  constructor(options: SiteOptions = {}) {
    const { disk = new MemoryDisk(), directory = "/run", codec = codecs["top-k"] } = options;
    const { manifest = tiny, backend = openCpuBackend({ threads: 1 }) } = options;
    this.disk = disk;
    this.directory = directory;
    const clock = new InterruptibleClock(machineClock);
    const executor = new Executor(backend, pinnedPlan(manifest), clock);
    this.session = new WorkerSession({
      ...{ run: "r1", disk, directory, clock, executor },
      document: { manifest, codec, outer },
      data: assignTrainingData(dataset, manifest),
      keepBytes: options.keepBytes ?? 2 ** 30,
    });
  }

  async do<K extends TaskKind>(task: TaskOf<K>): Promise<ResultOf<K>> {
    const tell = (told: Told) => {
      this.told.push(structuredClone(told));
      this.watch(told);
    };
    return (await this.session.perform(task, tell, this.#given.signal)) as ResultOf<K>;
  }

  cancel(): void {
    this.#given.abort(new Error("given up"));
  }

  train(
    work: LocalWork,
    options: { readonly revision?: RevisionPlace; readonly own?: Digest | null } = {},
  ): Promise<ResultOf<"train">> {
    const { revision = seed, own = null } = options;
    return this.do({ kind: "train", revision, work, private: own });
  }

  /** The bits of every step that was told, by number; a step told twice must be the same. */
  get steps(): Map<number, string> {
    const steps = new Map<number, string>();
    for (const told of this.told) {
      if (told.type !== "steps") continue;
      for (const { step, slot, lossBits, gradientNormBits } of told.records) {
        const bits = `${slot} ${lossBits} ${gradientNormBits}`;
        if (steps.has(step) && steps.get(step) !== bits) throw new Error(`step ${step} differs`);
        steps.set(step, bits);
      }
    }
    return steps;
  }

  get commitments(): Digest[] {
    return this.told.flatMap((told) => (told.type === "committed" ? [told.digest] : []));
  }
}

export const seed: RevisionPlace = { number: 0, directory: null, digest: null };

/** Eight steps over two slices in three segments, the last of them shorter. */
export function tinyWork(changes: Partial<LocalWork> = {}): LocalWork {
  const slices = changes.slices ?? [
    { first: 3, count: 5 },
    { first: 20, count: 3 },
  ];
  const steps = slices.reduce((sum, { count }) => sum + count, 0);
  return {
    ...{ window: 1, slices, steps, segmentSteps: 3 },
    scheduleSteps: Array.from({ length: steps }, (_, step) => 2 * step),
    ...changes,
  };
}
