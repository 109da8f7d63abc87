/** The trainings of a daemon: one at a time, durable in what should run, stopped in order. */
import type { Event, Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import * as v from "valibot";
import { RunIntents } from "./run-intents.ts";
import { RunSampler } from "./run-sampler.ts";
import { RunStore, type Run } from "./run-store.ts";
import { trainParameters, type TrainRequest } from "./train-parameters.ts";
import type { TrainContext } from "./train-context.ts";
import type { TrainResult } from "./train-event.ts";
import { train } from "./train-run.ts";
import type { NamedRun, Trainings } from "./trainings.ts";

/** The one training there is, from its request on. */
interface Slot {
  run: Run | null;
  readonly stop: AbortController;
  /** Resolves when nothing of it works any more; never rejects. */
  readonly ended: Promise<void>;
}

const named = ({ id, name }: Run): NamedRun => ({ run: id, name });

export class NodeTrainings implements Trainings {
  #slot: Slot | null = null;
  #isDraining = false;
  /** Of the latest run; it may outlive the training by one sample. */
  #sampler: RunSampler | null = null;

  constructor(
    readonly services: Services,
    /** The run of the mesh that works here; null while there is none. */
    readonly engaged: () => { readonly run: string; readonly name: string } | null = () => null,
  ) {}

  active(): readonly NamedRun[] {
    const run = this.#slot?.run;
    return run ? [named(run)] : [];
  }

  async start(request: TrainRequest, emit: (event: Event) => void = () => {}): Promise<NamedRun> {
    const begun = Promise.withResolvers<NamedRun>();
    let isBegun = false;
    const tell = (event: Event) => {
      if (isBegun) return;
      emit(event);
      const [run] = this.active();
      if (event.type !== "started" || !run) return;
      isBegun = true;
      begun.resolve(run);
    };
    const never = new AbortController().signal;
    void this.train(request, { services: this.services, signal: never, emit: tell }).then(
      ({ run, name }) => begun.resolve({ run, name }),
      (error: unknown) => begun.reject(error),
    );
    return begun.promise;
  }

  async stop(runText: string) {
    const runs = new RunStore(this.services.store);
    const run = runs.resolve(runText);
    const slot = this.#slot;
    if (slot?.run?.id !== run.id) throw notRunning(run, runs.stateOf(run, this.#nowMs()));
    new RunIntents(this.services.store).drop(run.id);
    slot.stop.abort(
      new Refusal("interrupted", `Run ${run.name} was stopped.`, "", { ...named(run) }),
    );
    await slot.ended;
    return { ...named(run), state: runs.byId(run.id).state };
  }

  async train(request: TrainRequest, context: TrainContext): Promise<TrainResult> {
    const end = Promise.withResolvers<void>();
    const slot: Slot = { run: null, stop: new AbortController(), ended: end.promise };
    this.#take(slot);
    const signal = AbortSignal.any([context.signal, slot.stop.signal]);
    const emit = (event: Event) => {
      if (event.type === "checkpoint") this.#sampler?.offer(Number(event["step"]));
      context.emit(event);
    };
    try {
      return await train(request, { ...context, signal, emit }, (run) => {
        slot.run = run;
        this.#sampler?.stop();
        this.#sampler = new RunSampler(this.services, run, request.isa ?? null);
        const { threads, isa, minutes } = request;
        const options = { threads, isa, ...(run.manifest.stepsOpen ? { minutes } : {}) };
        this.#intents.want(run.id, options, this.#nowMs());
      });
    } finally {
      try {
        this.#settle(slot.run);
      } finally {
        // A store that cannot be written (a full disk) must not keep the place for ever.
        this.#slot = null;
        end.resolve();
      }
    }
  }

  async resumeWanted(): Promise<void> {
    const runs = new RunStore(this.services.store);
    // Whoever was quicker than this has closed what was abandoned.
    if (this.#slot === null) runs.closeAbandoned();
    for (const { run: id, options } of this.#intents.wanted()) {
      const { state } = runs.byId(id);
      if (this.#slot?.run?.id === id) continue;
      const isOpen = state === "interrupted" || state === "planned" || state === "running";
      if (!isOpen || this.#slot !== null) {
        this.#intents.drop(id);
        continue;
      }
      const request = v.parse(trainParameters, { ...options, resume: id });
      await this.start(request).catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        runs.recordEvent(id, "not-resumed", { message }, this.#nowMs());
      });
    }
  }

  async stopAll(drainMs: number): Promise<void> {
    this.#isDraining = true;
    this.#sampler?.stop();
    const slot = this.#slot;
    if (slot === null) return;
    slot.stop.abort(new Refusal("interrupted", "The daemon is going down.", ""));
    const patience = new AbortController();
    const late = this.services.clock.sleep(drainMs, patience.signal).catch(() => {});
    await Promise.race([slot.ended, late]);
    patience.abort(new Error("the run has stopped"));
  }

  get #intents(): RunIntents {
    return new RunIntents(this.services.store);
  }

  #nowMs(): number {
    return Math.floor(this.services.clock.wallMs());
  }

  #take(slot: Slot): void {
    if (this.#isDraining)
      throw new Refusal(
        "daemon_absent",
        "The daemon is going down and starts nothing any more.",
        "Start it again with `psionic up --detach`.",
      );
    const busy = this.#slot;
    if (busy !== null) {
      const name = busy.run?.name ?? null;
      throw new Refusal(
        "training_busy",
        name === null ? "Another run is being prepared." : `Run ${name} is training.`,
        name === null
          ? "Ask again when it trains, or after it was refused."
          : `Wait for it, or stop it: \`psionic run stop ${name}\`.`,
        busy.run === null ? {} : { ...named(busy.run) },
      );
    }
    const engaged = this.engaged();
    if (engaged !== null)
      throw new Refusal(
        "training_busy",
        `This node works on the run ${engaged.name} of its mesh.`,
        `Wait for it, or pause it: \`psionic run pause ${engaged.name}\`.`,
        { run: engaged.run, name: engaged.name },
      );
    this.#slot = slot;
  }

  /** What a daemon that goes down interrupts stays wanted; everything else has come to its end. */
  #settle(run: Run | null): void {
    if (run === null) return;
    const { state } = new RunStore(this.services.store).byId(run.id);
    if (this.#isDraining && state === "interrupted") return;
    this.#intents.drop(run.id);
  }
}

function notRunning(run: Run, state: string): Refusal {
  return new Refusal(
    "run_not_running",
    `Run ${run.name} does not train in this daemon; it is ${state}.`,
    "`psionic runs` shows the state of every run.",
    { ...named(run), state },
  );
}
