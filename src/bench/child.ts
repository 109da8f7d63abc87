/** The process in which benchmarks run: native calls block it, and nobody else. */
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { availableLanes, type Lane } from "#src/kernel/cpu/lane.ts";
import { openCpuBackend } from "#src/kernel/cpu/cpu-backend.ts";
import { dieWithParent } from "#src/kernel/cpu/library.ts";
import { measureBandwidth, measurePeak } from "#src/kernel/cpu/measure.ts";
import type { Clock } from "#src/port/clock.ts";
import type { ParentProcess } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { packRefusal } from "#src/train/messages.ts";
import { prepareProduct, productShapes } from "./product-rows.ts";
import { callRows, measureCalls } from "./call-rows.ts";
import { isWanted, median, rowOf, type Row } from "./row.ts";
import { prepareTraining, trainingShapes } from "./training-rows.ts";

const benchRequestSchema = v.object({
  /** Rows whose name starts with one of these; all when empty. */
  names: v.array(v.string()),
  threadCounts: v.array(v.number()),
  isa: v.nullable(v.string()),
  /** Seconds of measuring per row, at least. */
  secondsPerRow: v.number(),
});
export type BenchRequest = v.InferOutput<typeof benchRequestSchema>;

const repetitionMinimum = 5;
const repetitionMaximum = 1_000;

export async function runBench(parent: ParentProcess, services: Services): Promise<void> {
  const { clock } = services;
  dieWithParent();
  const message = await new Promise<unknown>((resolve) => parent.onMessage(resolve));
  try {
    const request = v.parse(benchRequestSchema, message);
    for (const name of callRows.filter((row) => isWanted(request.names, row)))
      parent.send(await measureCalls(services, name, request.secondsPerRow));
    for (const threads of request.threadCounts) {
      await new Measurement(clock, request, threads, (row) => parent.send(row)).run();
    }
    parent.send({ type: "finished" });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    parent.send({ type: "refused", refusal: packRefusal(error) });
  }
  // Messages on their way are lost when a process ends; the parent closes the line when it has them.
  await new Promise<void>((resolve) => parent.gone.addEventListener("abort", () => resolve()));
}

class Measurement {
  readonly #lane: Lane;
  constructor(
    readonly clock: Clock,
    readonly request: BenchRequest,
    readonly threads: number,
    readonly report: (row: Row) => void,
  ) {
    this.#lane = (request.isa as Lane | null) ?? availableLanes()[0]!;
  }

  async run(): Promise<void> {
    const { threads } = this;
    const lane = this.#lane;
    if (this.#wants("peak-fma")) {
      const rates = Array.from({ length: 5 }, () =>
        measurePeak(lane, threads, this.request.secondsPerRow / 5),
      );
      this.#report("peak-fma", { gflops: median(rates) / 1e9, percentOfPeak: 100 });
    }
    if (this.#wants("copy-bandwidth")) {
      const rates = Array.from({ length: 3 }, () =>
        measureBandwidth(lane, threads, this.request.secondsPerRow / 3),
      );
      this.#report("copy-bandwidth", { gigabytesPerSecond: median(rates) / 1e9 });
    }
    const backend = openCpuBackend({ lane, threads });
    try {
      for (const shape of productShapes.filter(({ name }) => this.#wants(name))) {
        const { run, flops, release } = prepareProduct(backend, shape);
        await this.#time(shape.name, run, flops, null);
        release();
      }
      for (const shape of trainingShapes.filter(({ name }) => this.#wants(name))) {
        const { run, flops, tokens, release } = await prepareTraining(backend, this.clock, shape);
        await this.#time(shape.name, run, flops, tokens);
        release();
      }
    } finally {
      backend.release();
    }
  }

  #wants(name: string): boolean {
    return isWanted(this.request.names, name);
  }

  /** Times `run` after one warm-up, the machine's peak right before and after. */
  async #time(
    name: string,
    run: () => unknown,
    flops: number,
    tokens: number | null,
  ): Promise<void> {
    const { clock, request, threads } = this;
    await run();
    const peaks = [measurePeak(this.#lane, threads, 0.05)];
    const times: number[] = [];
    const startedMs = clock.monotonicMs();
    let nowMs = startedMs;
    while (
      times.length < repetitionMinimum ||
      (times.length < repetitionMaximum && nowMs - startedMs < request.secondsPerRow * 1000)
    ) {
      await run();
      const endedMs = clock.monotonicMs();
      times.push(endedMs - nowMs);
      nowMs = endedMs;
    }
    peaks.push(measurePeak(this.#lane, threads, 0.05));
    const milliseconds = median(times);
    const gflops = flops / milliseconds / 1e6;
    this.#report(name, {
      gflops,
      percentOfPeak: (100 * gflops * 1e9) / Math.max(...peaks),
      tokensPerSecond: tokens === null ? null : (tokens * 1000) / milliseconds,
      milliseconds,
    });
  }

  #report(name: string, figures: Partial<Row>): void {
    this.report(rowOf(name, this.threads, figures));
  }
}
