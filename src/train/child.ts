/**
 * The trainer process: the role in which this executable trains one run. A crash of native code
 * ends this process and nothing else; the parent starts another, which goes on from the last
 * checkpoint.
 */
import type { Services } from "#src/command/define.ts";
import type { Execution } from "#src/command/services.ts";
import type { Backend } from "#src/kernel/contract.ts";
import type { ParentProcess } from "#src/port/process.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { Executor } from "./executor.ts";
import {
  packRefusal,
  readFromParent,
  type Start,
  type ToChild,
  type ToParent,
} from "./messages.ts";
import { openBackend } from "./open-backend.ts";
import { reopenRunData } from "./run-data.ts";
import { pinnedPlan } from "./run-plan.ts";
import { runSession } from "./session.ts";
import { assignTrainingData } from "./training-data.ts";

/** Waits for `start`, trains, reports `finished` or `refused`, and ends when told to. */
export async function runTrainer(parent: ParentProcess, services: Services): Promise<void> {
  const inbox = new Inbox(parent);
  const send = (message: ToParent) => parent.send(message);
  try {
    const start = await inbox.start;
    await protectFromOrphanhood(start);
    await train(start, services, inbox, send);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    send({ type: "refused", refusal: packRefusal(error) });
  }
  // Messages on their way are lost when a process ends; the parent says when it has them all.
  await inbox.end;
}

async function train(
  start: Start,
  { clock, disk, home, machine, runtime }: Services,
  inbox: Inbox,
  send: (message: ToParent) => void,
): Promise<void> {
  const startedMs = clock.monotonicMs();
  const plan = pinnedPlan(start.manifest);
  const dataset = await reopenRunData(start.manifest, disk, home.root);
  checkData(start, dataset.manifestDigest);
  const threads = start.threads ?? (await machine.facts()).coreCount;
  const { backend, measurePeak } = await openBackend(start.isa, threads);
  const executor = new Executor(backend, plan, clock);
  const peakFlops = start.peakFlops ?? measurePeak();
  await runSession(
    start,
    executor,
    assignTrainingData(dataset, start.manifest),
    {
      ...{ clock, disk, send, isStopped: () => inbox.isStopped },
      recorded(step) {
        send({ type: "before-checkpoint", step });
        return inbox.recorded(step);
      },
    },
    {
      backend: backend.name,
      threads: backend.threadCount,
      peakFlops,
      startedMs,
      runtime: await runtime.manifest(executionOf(start, backend)),
    },
  );
}

/** What this process knows of its execution that the node does not. */
function executionOf({ manifest }: Start, { name, threadCount }: Backend): Execution {
  const { planDigest, data } = manifest;
  return {
    lane: name.slice(name.lastIndexOf("/") + 1),
    artifactBindings: { plan: planDigest, data: data.digest, tokenizer: data.tokenizerDigest },
    knobs: { threads: threadCount },
  };
}

function checkData(start: Start, found: string): void {
  const { digest, reference } = start.manifest.data;
  if (found === digest) return;
  throw new Refusal(
    "run_changed",
    `The data of this run is no longer what its manifest pins${reference.task === "text" ? ` (${reference.directory})` : ""}.`,
    "Put the prepared data back as it was, or start a new run.",
    { pinned: digest, found },
  );
}

/** A child stuck in native code outlives a killed parent unless the system ends it. */
async function protectFromOrphanhood(start: Start): Promise<void> {
  if (start.isa === "reference") return;
  const { dieWithParent } = await import("#src/kernel/cpu/library.ts");
  dieWithParent();
}

/** The parent's messages, kept in order. */
class Inbox {
  readonly start: Promise<Start>;
  readonly end: Promise<void>;
  isStopped = false;
  #record: { readonly step: number; readonly done: PromiseWithResolvers<void> } | null = null;

  constructor(readonly parent: ParentProcess) {
    const starting = Promise.withResolvers<Start>();
    const ending = Promise.withResolvers<void>();
    this.start = starting.promise;
    this.end = ending.promise;
    parent.gone.addEventListener("abort", () => {
      ending.resolve();
      this.#record?.done.reject(parent.gone.reason);
    });
    parent.onMessage((message) => {
      let read: ToChild;
      try {
        read = readFromParent(message);
      } catch (error) {
        starting.reject(error);
        return;
      }
      if (read.type === "start") starting.resolve(read);
      else if (read.type === "stop") this.isStopped = true;
      else if (read.type === "recorded") {
        if (this.#record?.step === read.step) this.#record.done.resolve();
      } else {
        assert(read.type === "end", "the parent says start, recorded, stop or end");
        ending.resolve();
      }
    });
  }

  /** Resolves when the parent has recorded what came before; rejects where it has gone. */
  recorded(step: number): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#record = { step, done };
    if (this.parent.gone.aborted) done.reject(this.parent.gone.reason);
    return done.promise;
  }
}
