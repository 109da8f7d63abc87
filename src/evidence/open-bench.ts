import { canonicalText } from "#src/codec/digest.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { requireMemory } from "#src/model/cost.ts";
import { Executor } from "#src/train/executor.ts";
import type { Backend } from "#src/kernel/contract.ts";
import { openRunData, readRunDocument, specOf } from "#src/train/run-document.ts";
import { pinnedPlan } from "#src/train/run-plan.ts";
import { assignTrainingData } from "#src/train/training-data.ts";
import { InterruptibleClock } from "#src/train/windows/interruptible-clock.ts";
import { Workbench } from "#src/train/windows/workbench.ts";
import { copyArtifact, type BundleContents } from "./contents.ts";
import { linkBroken } from "./parts.ts";

export interface BenchPorts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly backend: Backend;
  /** An absent folder for this verification alone; the caller removes it. */
  readonly directory: string;
  /** Memory of this machine; a model for which it is too small is refused before any is taken. */
  readonly availableBytes: number;
  readonly signal: AbortSignal;
}

/**
 * The run of a bundle, ready to be computed again: its document and data copied out, its model compiled. Refused with
 * `evidence_broken` where the document is none, or another run's than the events have; with `memory_short`.
 */
export async function openBench(contents: BundleContents, ports: BenchPorts): Promise<Workbench> {
  const { bundle, header, artifacts } = contents;
  const { disk, backend, directory, availableBytes, signal } = ports;
  const folder = `${directory}/document`;
  await copyArtifact(bundle, artifacts.get(header.document)!, folder);
  try {
    const document = await readRunDocument(disk, folder);
    if (canonicalText(specOf(document)) !== canonicalText(header.spec))
      throw linkBroken("the document", "its settings are not those that the log has");
    const plan = pinnedPlan(document.manifest);
    requireMemory(plan, availableBytes);
    const dataset = await openRunData(disk, folder, document);
    const clock = new InterruptibleClock(ports.clock);
    clock.signal = signal;
    return new Workbench({
      ...{ run: header.run, document, directory, disk, clock, keepBytes: 0 },
      executor: new Executor(backend, plan, clock),
      data: assignTrainingData(dataset, document.manifest),
    });
  } catch (error) {
    if (!(error instanceof Refusal) || !documentFaults.has(error.code)) throw error;
    throw linkBroken("the document", error.message, { cause: error.code });
  }
}

const documentFaults: ReadonlySet<string> = new Set([
  ...[
    "run_document_wrong",
    "run_changed",
    "not_found",
    "dataset_damaged",
    "data_too_small",
    "model_invalid",
  ],
]);
