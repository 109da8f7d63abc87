/**
 * Texts of a model while it learns: after a checkpoint, now and then, a child process of low priority
 * reads it and writes a little. Nothing that goes wrong here touches the run.
 */
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { parameterCount } from "#src/model/cost.ts";
import { isaNames, type IsaName } from "./isa.ts";
import type { Run } from "./run-rows.ts";
import { SampleStore } from "./sample-store.ts";

/** Between the beginnings of two samples. */
export const sampleEveryMs = 20_000;
/** A child that takes longer is ended. */
const patienceMs = 60_000;
/** Share of the free memory that the weights, held a second time, may take. */
const memoryShare = 0.5;

const text = v.pipe(v.string(), v.maxLength(20_000));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What the child is asked. */
export const sampleRequestSchema = v.strictObject({
  type: v.literal("sample"),
  run: text,
  isa: v.nullable(v.picklist(isaNames)),
});
export type SampleRequest = v.InferOutput<typeof sampleRequestSchema>;

const answerSchema = v.strictObject({
  type: v.literal("sampled"),
  step: natural,
  prompt: text,
  text,
});
export type SampleAnswer = v.InferOutput<typeof answerSchema>;

export class RunSampler {
  #offered = 0;
  #sampled = 0;
  #lastMs = -Infinity;
  #working: Promise<void> | null = null;
  readonly #stop = new AbortController();

  constructor(
    readonly services: Services,
    readonly run: Run,
    readonly isa: IsaName | null,
    readonly everyMs = sampleEveryMs,
  ) {}

  /** A checkpoint is there. It, or a later one, is sampled when it is time. */
  offer(step: number): void {
    this.#offered = Math.max(this.#offered, step);
    this.#working ??= this.#work().finally(() => (this.#working = null));
  }

  /** Resolves when everything offered is sampled or given up. */
  async idle(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** Ends the child there may be; nothing is sampled any more. */
  stop(): void {
    this.#stop.abort(new Error("no more samples are wanted"));
  }

  async #work(): Promise<void> {
    const { clock } = this.services;
    try {
      while (this.#offered > this.#sampled) {
        const waitMs = this.#lastMs + this.everyMs - clock.monotonicMs();
        if (waitMs > 0) await clock.sleep(waitMs, this.#stop.signal);
        this.#stop.signal.throwIfAborted();
        this.#lastMs = clock.monotonicMs();
        const offered = this.#offered;
        const answer = (await this.#fits()) ? await this.#ask() : null;
        // What could not be sampled is not tried again: a later checkpoint will come.
        this.#sampled = Math.max(offered, answer?.step ?? 0);
        if (answer) this.#record(answer);
      }
    } catch {
      // Stopped, or the machine gave no child or no row: the run goes on without a sample.
      this.#sampled = this.#offered;
    }
  }

  async #fits(): Promise<boolean> {
    const { freeMemoryBytes } = await this.services.machine.facts();
    return parameterCount(this.run.manifest.model) * 4 <= memoryShare * freeMemoryBytes;
  }

  /** One child from start to end: what it wrote, or null. */
  async #ask(): Promise<SampleAnswer | null> {
    const { processes, clock } = this.services;
    let answer: SampleAnswer | null = null;
    const child = processes.spawnSelf(
      "sampler",
      (message) => {
        const read = v.safeParse(answerSchema, message);
        if (read.success) answer = read.output;
        child.kill("SIGKILL");
      },
      { lowerPriority: true },
    );
    const patience = new AbortController();
    const signal = AbortSignal.any([patience.signal, this.#stop.signal]);
    const late = clock.sleep(patienceMs, signal).catch(() => {});
    try {
      child.send({ type: "sample", run: this.run.id, isa: this.isa } satisfies SampleRequest);
      await Promise.race([child.exited, late]);
    } finally {
      patience.abort(new Error("the child has answered"));
      child.kill("SIGKILL");
      await child.exited;
    }
    return answer;
  }

  #record({ step, prompt, text: written }: SampleAnswer): void {
    const { store, journal, clock } = this.services;
    const atMs = Math.floor(clock.wallMs());
    store.transaction(() => {
      new SampleStore(store).put(this.run.id, { step, atMs, prompt, text: written });
      journal.append("run.sample", this.run.id, { step });
    });
  }
}
