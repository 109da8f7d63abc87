/**
 * The saboteur of the demonstration: watches a run through what `train` streams, kills the trainer
 * process without warning once there is a checkpoint to lose work after, and then checks that
 * every step computed again by the next process has the bits it had before.
 */
import type { Event } from "#src/command/define.ts";
import type { ChildProcess, Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { TrainEvent } from "#src/train/train-event.ts";

/** The kill comes in the middle of the run, and so long after a checkpoint that work is lost. */
const killAfterShare = 0.45;
const lostShare = 0.02;

export interface Kill {
  readonly pid: number;
  /** The last step reported before the kill. */
  readonly step: number;
  /** The newest checkpoint at that time. */
  readonly checkpointStep: number;
}

export class Sabotage {
  kill: Kill | null = null;
  /** How the system said the killed process ended. */
  deathReason: string | null = null;
  resumedFromStep: number | null = null;
  /** Steps that two processes computed, with the same bits. */
  recomputedSteps = 0;
  #trainer: ChildProcess | null = null;
  #checkpointStep = 0;
  #lastStep = 0;
  readonly #bits = new Map<number, string>();

  constructor(readonly emit: (event: Event) => void) {}

  /** The same processes, with an eye on the trainer among them. */
  watch(processes: Processes): Processes {
    return {
      spawnSelf: (role, onMessage, options) => {
        const child = processes.spawnSelf(role, onMessage, options);
        if (role === "trainer") this.#trainer = child;
        return child;
      },
    };
  }

  /** To be told every event of the run, in order. */
  see(event: TrainEvent): void {
    if (event.type === "checkpoint") this.#checkpointStep = event.step;
    if (event.type === "restart") this.deathReason ??= event.reason;
    if (event.type === "started" && this.kill !== null) this.resumedFromStep = event.step;
    if (event.type !== "step") return;
    this.#compare(event.step, `${event.lossBits} ${event.gradientNormBits}`);
    this.#strike(event.step, event.of);
  }

  #compare(step: number, bits: string): void {
    this.#lastStep = Math.max(this.#lastStep, step);
    const before = this.#bits.get(step);
    this.#bits.set(step, bits);
    if (before === undefined) return;
    if (before !== bits)
      throw new Refusal(
        "demo_failed",
        `Step ${step} was computed again after the kill and gave other bits than before.`,
        "Memory or processor of this machine cannot be trusted; test the machine's memory.",
        { step, before, after: bits },
      );
    this.recomputedSteps++;
    const { kill } = this;
    if (kill !== null && step === this.#lastStep)
      this.emit({ type: "recomputed", from: (this.resumedFromStep ?? 0) + 1, to: step });
  }

  #strike(step: number, of: number): void {
    if (this.kill !== null || this.#trainer === null || this.#checkpointStep === 0) return;
    if (step < killAfterShare * of || step - this.#checkpointStep < lostShare * of) return;
    const { pid } = this.#trainer;
    this.kill = { pid, step, checkpointStep: this.#checkpointStep };
    this.emit({ type: "killed", ...this.kill });
    this.#trainer.kill("SIGKILL");
  }
}
