/**
 * The worker process: the role in which this executable does a mesh run's native work. A crash of native code ends
 * this process and nothing else; its parent starts another, which goes on from what is committed on the disk.
 */
import type { Services } from "#src/command/define.ts";
import { requireMemory } from "#src/model/cost.ts";
import type { ParentProcess } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { stateBytes } from "../checkpoint-writer.ts";
import { Executor } from "../executor.ts";
import { packRefusal } from "../messages.ts";
import { openBackend } from "../open-backend.ts";
import { openRunData, readRunDocument } from "../run-document.ts";
import { pinnedPlan } from "../run-plan.ts";
import { assignTrainingData } from "../training-data.ts";
import { InterruptibleClock } from "./interruptible-clock.ts";
import { type FromWorker, type Open, readToWorker, type ToWorker } from "./messages.ts";
import { WorkerSession } from "./session.ts";
import type { Task } from "./tasks.ts";

/** A run is its user's: nobody else of the machine reads its weights. */
const ownerOnly = 0o700;
/** How often a process says that it can still listen. */
const aliveMs = 1_000;

/** Opens one run, does its tasks one at a time, and ends when told to. */
export async function runWorker(parent: ParentProcess, services: Services): Promise<void> {
  const over = new AbortController();
  parent.gone.addEventListener("abort", () => over.abort(new Error("the parent has gone away")));
  const worker = new Worker(parent, services, over);
  parent.onMessage((message) => worker.hear(message));
  await worker.beat(over.signal);
}

class Worker {
  #session: Promise<WorkerSession> | null = null;
  #task: { readonly id: number; readonly given: AbortController } | null = null;

  constructor(
    readonly parent: ParentProcess,
    readonly services: Services,
    readonly over: AbortController,
  ) {}

  /** Says now and then that this process can listen, until it is over. */
  async beat(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      this.#send({ type: "alive", id: this.#task?.id ?? null });
      await this.services.clock.sleep(aliveMs, over).catch(() => {});
    }
  }

  hear(message: unknown): void {
    let read: ToWorker;
    try {
      read = readToWorker(message);
    } catch (error) {
      this.#refuse(null, error);
      return;
    }
    switch (read.type) {
      case "open":
        this.#session ??= this.#open(read);
        this.#session.catch((error: unknown) => this.#refuse(null, error));
        break;
      case "task":
        void this.#perform(read.id, read.task);
        break;
      case "cancel":
        if (this.#task?.id === read.id) this.#task.given.abort(new Error("the task is given up"));
        break;
      case "end":
        this.over.abort(new Error("told to end"));
    }
  }

  async #open(open: Open): Promise<WorkerSession> {
    const { clock, disk, machine } = this.services;
    await protectFromOrphanhood(open);
    const document = await readRunDocument(disk, open.document);
    await disk.makeDirectory(open.directory, ownerOnly);
    const plan = pinnedPlan(document.manifest);
    // Whoever began the run chose its model.
    requireMemory(plan, (await machine.facts()).memoryBytes);
    const dataset = await openRunData(disk, open.document, document);
    const threads = open.threads ?? (await machine.facts()).coreCount;
    const { backend } = await openBackend(open.isa, threads);
    const interruptible = new InterruptibleClock(clock);
    const executor = new Executor(backend, plan, interruptible);
    this.#send({
      type: "opened",
      backend: backend.name,
      lane: backend.name.slice(backend.name.lastIndexOf("/") + 1),
      threads: backend.threadCount,
      plannedBytes: executor.plannedBytes,
      stateBytes: stateBytes(plan),
    });
    return new WorkerSession({
      ...{ run: open.run, document, executor, disk, clock: interruptible },
      data: assignTrainingData(dataset, document.manifest),
      directory: open.directory,
      keepBytes: open.keepBytes,
    });
  }

  async #perform(id: number, task: Task): Promise<void> {
    if (this.#task !== null) return this.#refuse(id, outOfTurn("while another was under way"));
    const given = new AbortController();
    this.#task = { id, given };
    try {
      const session = await this.#opened();
      const result = await session.perform(
        task,
        (told) => this.#send({ ...told, id }),
        given.signal,
      );
      this.#send({ type: "done", id, result });
    } catch (error) {
      this.#refuse(id, error);
    } finally {
      if (this.#task?.id === id) this.#task = null;
    }
  }

  async #opened(): Promise<WorkerSession> {
    if (this.#session !== null) return await this.#session;
    throw outOfTurn("before its run was opened");
  }

  /** A bug ends the process, loudly; its parent sees the status. */
  #refuse(id: number | null, error: unknown): void {
    if (error instanceof Refusal) this.#send({ type: "refused", id, refusal: packRefusal(error) });
    else
      queueMicrotask(() => {
        throw error;
      });
  }

  #send(message: FromWorker): void {
    this.parent.send(message);
  }
}

function outOfTurn(when: string): Refusal {
  return new Refusal(
    "trainer_protocol",
    `A task came to the worker process ${when}.`,
    "Stop all psionic processes of this home and start again with one version.",
  );
}

/** A child stuck in native code outlives a killed parent unless the system ends it. */
async function protectFromOrphanhood({ isa }: Open): Promise<void> {
  if (isa === "reference") return;
  const { dieWithParent } = await import("#src/kernel/cpu/library.ts");
  dieWithParent();
}
