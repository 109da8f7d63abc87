import { getLogger } from "@logtape/logtape";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { isaNames, type IsaName } from "#src/train/isa.ts";
import type { Opened } from "#src/train/windows/messages.ts";
import type { ResultOf, TaskKind, TaskOf } from "#src/train/windows/tasks.ts";
import type { Watching, WorkerChild } from "#src/train/windows/worker-child.ts";
import { RunPaths } from "./run-paths.ts";

const log = getLogger(["psionic", "runs"]);

/** Of one window's kept states: beyond it every k-th is kept, and the rest computed again when asked for. */
const keepBytes = 4 * 1024 ** 3;
/** A share of the free disk, as the states of a run must not fill it. */
const keepShare = 0.1;
/** Processes started for one task before it is given up. */
const attemptMaximum = 3;

/** What ends with the process and goes on in another. */
const deaths: ReadonlySet<string> = new Set(["worker_died", "worker_hung"]);

/**
 * The one worker process of this node: it belongs to one run at a time and does one task at a time; who comes later
 * waits. A process that dies is replaced, and its task asked again.
 */
export class WorkerDesk {
  #child: { readonly run: string; readonly child: WorkerChild } | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #isStopped = false;
  /** Processes that died under a task since the daemon started. */
  deathCount = 0;

  constructor(readonly services: Services) {}

  /** What the process says of itself; null while there is none for this run. */
  async opened(run: string): Promise<Opened | null> {
    return this.#child?.run === run ? this.#child.child.opened : null;
  }

  get pid(): number | null {
    return this.#child?.child.isUsable === true ? this.#child.child.pid : null;
  }

  /**
   * Has a task done, after those that were asked before it. Refused as the process refuses, with `worker_died` or
   * `worker_hung` where several processes in a row ended under it, and with `interrupted`.
   */
  perform<K extends TaskKind>(
    run: string,
    task: TaskOf<K>,
    watching: Watching = {},
  ): Promise<ResultOf<K>> {
    const turn = this.#last.then(() => this.#perform(run, task, watching));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #perform<K extends TaskKind>(
    run: string,
    task: TaskOf<K>,
    watching: Watching,
  ): Promise<ResultOf<K>> {
    for (let attempt = 1; ; attempt++) {
      watching.signal?.throwIfAborted();
      if (this.#isStopped) throw stopping();
      const child = await this.#open(run);
      try {
        return await child.perform(task, watching);
      } catch (error) {
        const isDeath = error instanceof Refusal && deaths.has(error.code);
        if (isDeath) {
          this.deathCount++;
          log.warning("the worker process ended under {task}: {message}", {
            ...{ task: task.kind, run, attempt, message: error.message },
          });
        }
        if (!isDeath || attempt >= attemptMaximum || this.#isStopped) throw error;
      }
    }
  }

  async #open(run: string): Promise<WorkerChild> {
    const known = this.#child;
    if (known !== null && known.run === run && known.child.isUsable) return known.child;
    this.#child = null;
    await known?.child.stop();
    const { WorkerChild } = await import("#src/train/windows/worker-child.ts");
    const { processes, clock, home, disk } = this.services;
    const paths = new RunPaths(home.runs, run);
    const { threads, isa } = this.#settings();
    const freeBytes = await disk.freeBytes(home.root);
    const child = new WorkerChild({
      ...{ processes, clock },
      open: {
        ...{ run, directory: paths.root, document: paths.document, threads, isa },
        keepBytes: Math.floor(Math.min(keepBytes, freeBytes * keepShare)),
      },
    });
    this.#child = { run, child };
    await child.opened;
    return child;
  }

  /** Threads and lane as `train` is set here, in psionic.toml or the environment. */
  #settings(): { readonly threads: number | null; readonly isa: IsaName | null } {
    const { threads, isa } = this.services.configuration.defaultsFor("train");
    return {
      threads: typeof threads === "number" && threads >= 1 ? threads : null,
      isa: isaNames.find((each) => each === isa) ?? null,
    };
  }

  /** Ends the process where it belongs to a run that needs none any more. */
  async release(isNeeded: (run: string) => boolean): Promise<void> {
    const known = this.#child;
    if (known === null || isNeeded(known.run)) return;
    const turn = this.#last.then(async () => {
      if (this.#child !== known) return;
      this.#child = null;
      await known.child.stop();
    });
    this.#last = turn.catch(() => {});
    await turn;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#child?.child.stop();
    this.#child = null;
  }
}

function stopping(): Refusal {
  return new Refusal("interrupted", "this daemon stops", "it goes on after the next start");
}
