/**
 * The parent's side of the worker process: one process, one run, one task at a time. Whoever owns it decides
 * what happens after a failure: every task can be asked of a new process and goes on from what the old one
 * left on the disk.
 */
import type { Clock } from "#src/port/clock.ts";
import type { ChildProcess, Processes } from "#src/port/process.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { unpackRefusal } from "../messages.ts";
import {
  type FromWorker,
  type Open,
  type Opened,
  type Progress,
  readFromWorker,
  type ToWorker,
} from "./messages.ts";
import { quietLimitMs, watchSilence } from "./silence.ts";
import type { ResultOf, Task, TaskKind, TaskOf } from "./tasks.ts";

/** How long a process that was told to end may take before it is killed. */
const endMs = 2_000;
/** How long a cancelled task may go on before its process is killed: a large delta is encoded in one piece. */
const cancelMs = 30_000;

export interface WorkerOptions {
  readonly processes: Processes;
  readonly clock: Clock;
  readonly open: Omit<Open, "type">;
  /** Least silence after which the process is taken for hung; longer where its own pauses were longer. */
  readonly quietMs?: number;
  readonly lowerPriority?: boolean;
}

export interface Watching {
  /** Aborted, the task is given up and refused with `interrupted`; the process lives on. */
  readonly signal?: AbortSignal;
  onProgress?(progress: Progress): void;
}

interface Pending {
  readonly id: number;
  readonly answer: PromiseWithResolvers<unknown>;
  readonly watching: Watching;
}

export class WorkerChild {
  /** Resolves when the process has ended, with words that say how: a status or a signal. */
  readonly exited: Promise<string>;
  /** Resolves when the run is open; refuses as the process did, or with `worker_died`, `worker_hung`. */
  readonly opened: Promise<Opened>;
  readonly #child: ChildProcess;
  readonly #opening = Promise.withResolvers<Opened>();
  readonly #over = new AbortController();
  #pending: Pending | null = null;
  #nextId = 1;
  /** Why nothing more can be asked; null while the process serves. */
  #ended: Refusal | null = null;
  #lastHeardMs: number;
  #longestQuietMs = 0;

  /** Starts the process and has it open the run. Refuses with `backend_unavailable`. */
  constructor(readonly options: WorkerOptions) {
    const { processes, clock, open, lowerPriority = false } = options;
    this.#lastHeardMs = clock.monotonicMs();
    this.#child = processes.spawnSelf("worker", (message) => this.#hear(message), {
      lowerPriority,
    });
    this.opened = this.#opening.promise;
    // Whoever only asks tasks hears of a failed opening by them.
    this.opened.catch(() => {});
    this.exited = this.#child.exited.then(({ status, signal }) => {
      const words =
        signal === null ? `it ended with status ${status}` : `it was ended by ${signal}`;
      this.#end(died(words));
      return words;
    });
    this.#tell({ type: "open", ...open });
    void this.#watch();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** False once the process has ended, was given up, or refused to open the run. */
  get isUsable(): boolean {
    return this.#ended === null;
  }

  get isBusy(): boolean {
    return this.#pending !== null;
  }

  /**
   * Has one task done. Refuses as the process did; with `interrupted` where `signal` was aborted, `worker_died`
   * where the process ended and `worker_hung` where it was killed because it said nothing any more.
   */
  async perform<K extends TaskKind>(
    task: TaskOf<K>,
    watching: Watching = {},
  ): Promise<ResultOf<K>> {
    if (watching.signal?.aborted) throw cancelled(task);
    await this.opened;
    if (this.#ended !== null) throw this.#ended;
    assert(this.#pending === null, "the worker process does one task at a time");
    const pending = { id: this.#nextId++, answer: Promise.withResolvers<unknown>(), watching };
    this.#pending = pending;
    const released = new AbortController();
    const cancel = () => {
      this.#tell({ type: "cancel", id: pending.id });
      void this.#killLate(released.signal);
    };
    watching.signal?.addEventListener("abort", cancel);
    this.#tell({ type: "task", id: pending.id, task: task as Task });
    if (watching.signal?.aborted) cancel();
    try {
      const result = (await pending.answer.promise) as ResultOf<K>;
      assert(result.kind === task.kind, "the answer is that of the task");
      return result;
    } finally {
      released.abort(new Error("the task is over"));
      watching.signal?.removeEventListener("abort", cancel);
      if (this.#pending === pending) this.#pending = null;
    }
  }

  /** Ends the process in order: it is told, and killed where it does not listen. */
  async stop(): Promise<void> {
    this.#tell({ type: "end" });
    const late = this.options.clock.sleep(endMs, this.#over.signal).then(
      () => this.kill(),
      () => {},
    );
    await this.exited;
    await late;
  }

  /** Ends the process at once; what it has made durable stays. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  #hear(message: unknown): void {
    if (this.#ended !== null) return;
    const nowMs = this.options.clock.monotonicMs();
    this.#longestQuietMs = Math.max(this.#longestQuietMs, nowMs - this.#lastHeardMs);
    this.#lastHeardMs = nowMs;
    try {
      this.#take(readFromWorker(message));
    } catch (error) {
      // A message that is not understood, or a listener that failed: this process is of no more use.
      this.#fail(error);
    }
  }

  #take(message: FromWorker): void {
    if (message.type === "opened") return this.#opening.resolve(message);
    if (message.type === "alive") return;
    if (message.type === "refused" && message.id === null)
      return this.#fail(unpackRefusal(message.refusal));
    const pending = this.#pending;
    if (pending === null || pending.id !== message.id) return;
    if (message.type === "done") pending.answer.resolve(message.result);
    else if (message.type === "refused") pending.answer.reject(unpackRefusal(message.refusal));
    else pending.watching.onProgress?.(message);
  }

  /** A process that is over: whatever waits for it is refused. */
  #end(reason: unknown): void {
    if (this.#ended === null)
      this.#ended = reason instanceof Refusal ? reason : died("it was given up");
    this.#over.abort(new Error("the worker process is over"));
    this.#opening.reject(reason);
    this.#pending?.answer.reject(reason);
  }

  #fail(reason: unknown): void {
    this.#end(reason);
    this.kill();
  }

  /** Kills a process that says nothing for far longer than it ever did while it worked. */
  async #watch(): Promise<void> {
    const { clock, quietMs } = this.options;
    const limit = () => quietLimitMs(this.#longestQuietMs, quietMs);
    const heard = () => this.#lastHeardMs;
    const quiet = await watchSilence(clock, heard, limit, this.#over.signal);
    if (quiet !== null) this.#fail(hung(quiet));
  }

  async #killLate(released: AbortSignal): Promise<void> {
    const { clock } = this.options;
    const waited = await clock.sleep(cancelMs, released).then(
      () => true,
      () => false,
    );
    if (waited) this.#fail(hung(cancelMs));
  }

  /** A message to a process that may have died meanwhile; its end is seen elsewhere. */
  #tell(message: ToWorker): void {
    try {
      this.#child.send(message);
    } catch {
      this.kill();
    }
  }
}

function cancelled(task: Task | { readonly kind: TaskKind }): Refusal {
  return new Refusal("interrupted", `The task ${task.kind} was given up.`, "Ask again.");
}

function died(how: string): Refusal {
  return new Refusal(
    "worker_died",
    `The worker process is gone: ${how}.`,
    "Nothing that it had committed is lost; another process goes on from there.",
    { how },
  );
}

function hung(quietMs: number): Refusal {
  return new Refusal(
    "worker_hung",
    `The worker process said nothing for ${Math.round(quietMs)} ms and was ended.`,
    "Nothing that it had committed is lost; another process goes on from there.",
    { quietMs: Math.round(quietMs) },
  );
}
