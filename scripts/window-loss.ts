/**
 * What training in windows costs in loss, and what it saves in bytes: workers in one process, one after
 * another, with the real kernels, codec and outer step, against one machine that reads the same tokens in
 * steps of all workers' rows together. Nothing is signed, judged or lost here.
 *
 *     bun scripts/window-loss.ts --file book.txt --size micro --workers 4 --batch 4 --window-steps 32 \
 *       --codec top-k --decay 1000 --outer-rate 1 --momentum 0 --threads 2
 *
 * `--single LOSS` takes the single machine's loss from an earlier call. Losses are exact/1: the same on every
 * machine; time plays no part. Figures go to docs/LOG.md with their command.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as v from "valibot";
import type { Dataset } from "#src/dataset/dataset.ts";
import { machineClock } from "#src/node/clock.ts";
import { machineDisk } from "#src/node/disk.ts";
import { codecSettingsSchema, DeltaCodec } from "#src/train/delta/codec.ts";
import { layoutOf, readParameters, writeParameters } from "#src/train/delta/layout.ts";
import { DeltaMean, outerOf, outerStep, pseudoGradient } from "#src/train/delta/outer.ts";
import { Executor } from "#src/train/executor.ts";
import { openBackend } from "#src/train/open-backend.ts";
import { openData } from "#src/train/prepare-data.ts";
import { firstRevision } from "#src/train/revision.ts";
import { usualDecayPerMille } from "#src/train/run-document.ts";
import { manifestOf } from "#src/train/run-request.ts";
import { planOf } from "#src/train/run-plan.ts";
import { trainParameters } from "#src/train/train-parameters.ts";
import { Trainer } from "#src/train/trainer.ts";
import { assignTrainingData } from "#src/train/training-data.ts";

const { values: words } = parseArgs({
  options: {
    file: { type: "string" },
    size: { type: "string" },
    /** Steps of the single machine; each slot is one worker's part of one. */
    steps: { type: "string" },
    seed: { type: "string", default: "0" },
    threads: { type: "string", default: "1" },
    workers: { type: "string", default: "4" },
    /** Rows of one worker's local step. */
    batch: { type: "string", default: "4" },
    "window-steps": { type: "string", default: "32" },
    codec: { type: "string", default: "top-k" },
    decay: { type: "string" },
    "outer-rate": { type: "string", default: "1" },
    momentum: { type: "string", default: "0" },
    /** Of the local steps; by default the single machine's. */
    "learning-rate": { type: "string" },
    /** Begin every window with moments of zero, as a worker does that lost its own. */
    fresh: { type: "boolean", default: false },
    /** Windows between two lines with a loss; 0 for none. */
    every: { type: "string", default: "10" },
    single: { type: "string" },
  },
});
const [workers, batch, windowSteps] = [words.workers, words.batch, words["window-steps"]].map(
  Number,
) as [number, number, number];
const say = (text: string) => process.stdout.write(`${text}\n`);

interface Course {
  readonly trainer: Trainer;
  /** Steps of the schedule. */
  readonly steps: number;
  release(): void;
}

/** A trainer whose step reads so many rows. */
async function openCourse(dataset: Dataset, rows: number, rate?: number): Promise<Course> {
  const request = v.parse(trainParameters, {
    files: words.file === undefined ? [] : [words.file],
    seed: Number(words.seed),
    batch: rows,
    microBatches: 1,
    ...(words.size === undefined ? {} : { size: words.size }),
    ...(words.steps === undefined ? {} : { steps: Number(words.steps) }),
    ...(rate === undefined ? {} : { learningRate: rate }),
  });
  const manifest = manifestOf(request, dataset);
  const { backend } = await openBackend(null, Number(words.threads));
  const executor = new Executor(backend, planOf(manifest), machineClock);
  return {
    trainer: new Trainer(executor, manifest, assignTrainingData(dataset, manifest)),
    steps: manifest.schedule.steps,
    release() {
      executor.release();
      backend.release();
    },
  };
}

async function trainSingle(dataset: Dataset): Promise<number> {
  const { trainer, steps, release } = await openCourse(dataset, workers * batch);
  await trainer.initialise();
  while (trainer.step < steps) await trainer.trainStep();
  const { loss } = await trainer.evaluate("full");
  release();
  return loss;
}

/** What a worker keeps to itself from one window to the next. */
class Private {
  residual: Float32Array | null = null;
  age = 0;
  readonly #moments: readonly Uint8Array[];

  constructor(readonly executor: Executor) {
    this.#moments = this.#live().map((view) => new Uint8Array(view.byteLength));
  }

  #live(): Uint8Array[] {
    return (["first", "second"] as const).flatMap((space) => {
      const memory = this.executor.memory(space);
      return memory ? [memory.view(0, memory.sizeBytes)] : [];
    });
  }

  /** Puts the moments into the executor. */
  resume(): void {
    for (const [index, view] of this.#live().entries()) view.set(this.#moments[index]!);
  }

  /** Takes them out of it. */
  keep(): void {
    for (const [index, view] of this.#live().entries()) this.#moments[index]!.set(view);
  }

  forget(): void {
    this.age = 0;
    for (const moments of this.#moments) moments.fill(0);
  }
}

async function trainInWindows(dataset: Dataset) {
  const rate = words["learning-rate"] === undefined ? undefined : Number(words["learning-rate"]);
  const { trainer, steps, release } = await openCourse(dataset, batch, rate);
  const { executor } = trainer;
  const layout = layoutOf(executor.plan);
  const settings = v.parse(codecSettingsSchema, {
    name: words.codec,
    decayPerMille: Number(
      words.decay ?? usualDecayPerMille[words.codec as keyof typeof usualDecayPerMille],
    ),
  });
  const codec = new DeltaCodec(settings);
  const optimizer = outerOf(Number(words["outer-rate"]), Number(words.momentum));
  const slots = steps * workers;
  let revision = await firstRevision(trainer, layout, optimizer);
  const privates = Array.from({ length: workers }, () => new Private(executor));
  let window = 0;
  for (let progress = 0; progress < slots; window++) {
    const mean = new DeltaMean(layout);
    const taken = Math.min(windowSteps, Math.ceil((slots - progress) / workers));
    for (const [nth, own] of privates.entries()) {
      if (words.fresh) own.forget();
      own.resume();
      writeParameters(executor, layout, revision.parameters);
      for (let step = 0; step < taken; step++) {
        const slot = progress + nth * taken + step;
        const schedule = Math.floor((steps * (progress + step * workers)) / slots);
        await trainer.trainStep({ slot, schedule, age: own.age++, counter: slot });
      }
      own.keep();
      const delta = pseudoGradient(revision.parameters, readParameters(executor, layout));
      const { bytes, residual } = codec.encode(layout, delta, own.residual);
      own.residual = residual;
      const name = String(nth).padStart(4, "0");
      mean.add(name, taken * trainer.tokensPerStep, codec.decode(layout, bytes));
    }
    const { number } = revision;
    revision = { number: number + 1, ...outerStep(layout, revision, mean.mean(), optimizer) };
    progress += taken * workers;
    const every = Number(words.every);
    if (every === 0 || (window + 1) % every > 0) continue;
    writeParameters(executor, layout, revision.parameters);
    const { loss } = await trainer.evaluate("sample");
    say(`window ${window + 1}  slots ${progress}/${slots}  loss ${loss.toFixed(4)} (sample)`);
  }
  writeParameters(executor, layout, revision.parameters);
  const { loss } = await trainer.evaluate("full");
  release();
  const dense = new DeltaCodec({ name: "dense", decayPerMille: 0 });
  const sizes = { sizeBytes: codec.sizeBytes(layout), denseBytes: dense.sizeBytes(layout) };
  return { loss, windows: window, parameters: layout.count, ...sizes };
}

const folder = mkdtempSync(join(tmpdir(), "psionic-window-loss-"));
try {
  const request = v.parse(trainParameters, {
    files: words.file === undefined ? [] : [words.file],
    ...(words.size === undefined ? {} : { size: words.size }),
  });
  const dataset = await openData(request, machineDisk, folder, () => {});
  const single = words.single === undefined ? await trainSingle(dataset) : Number(words.single);
  say(`one machine, ${workers * batch} rows a step: held-out loss ${single.toFixed(4)}`);
  const { loss, windows, parameters, sizeBytes, denseBytes } = await trainInWindows(dataset);
  const excess = (100 * (loss - single)) / single;
  say(
    `${workers} workers of ${batch} rows, ${windows} windows of ${windowSteps} steps: held-out loss ${loss.toFixed(4)}, ${excess.toFixed(2)} % above`,
  );
  say(
    `a worker sends ${sizeBytes} bytes a window for ${parameters} parameters: ${(denseBytes / sizeBytes).toFixed(1)} times fewer than dense`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
