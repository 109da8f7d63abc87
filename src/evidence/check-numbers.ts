import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { DeltaMean, outerStep } from "#src/train/delta/outer.ts";
import {
  digestRevision,
  firstRevision,
  writeRevision,
  type Revision,
} from "#src/train/revision.ts";
import type { LoadedRevision, Workbench } from "#src/train/windows/workbench.ts";
import { digestRoots } from "#src/train/windows/worker-state.ts";
import {
  beganWithZeros,
  contributionName,
  readCommitments,
  readContribution,
  workOf,
  type ReadContribution,
} from "./check-contribution.ts";
import type { BundleContents } from "./contents.ts";
import { digestFile } from "./digest-file.ts";
import { linkBroken } from "./parts.ts";
import { recompute } from "./recompute.ts";
import type { ContributionFacts, RunFacts, WindowFacts } from "./run-facts.ts";
import {
  drawSegments,
  placeOf,
  planRecomputing,
  segmentsOf,
  type DrawnSegments,
  type Recomputing,
  type Segment,
  type TrailStep,
} from "./segments.ts";

export interface ReplayWish {
  /** Segments to compute again; null for all. */
  readonly count: number | null;
  readonly seed: string;
  /** Local steps that one of them may cost. */
  readonly budgetSteps: number;
}

export interface NumbersReport extends DrawnSegments {
  /** Revisions whose digest was computed and found equal, the seed's included. */
  readonly revisions: number;
  /** Whether the files of the last revision are in the bundle and are those that were computed. */
  readonly hasRevision: boolean;
  /** Of the last one. */
  readonly digest: Digest;
  readonly recomputedSteps: number;
}

/** `window`: its revision was found equal; `segment`: a drawn one was; `steps`: so many of all were taken again. */
export type NumbersProgress =
  | { readonly kind: "window"; readonly window: number; readonly of: number }
  | (Omit<Segment, "costSteps"> & { readonly kind: "segment" })
  | { readonly kind: "steps"; readonly done: number; readonly of: number };

/**
 * Computes what of a run can be computed from its seed and what was contributed: every revision, and of the contributions'
 * own work the segments that were drawn. One revision is in memory at a time. Refusals: `evidence_broken`,
 * `evidence_differs`, `evidence_unreachable`.
 */
export class NumberChecker {
  readonly #kept = new Map<string, string>();
  #recomputedSteps = 0;
  #plannedSteps = 0;

  constructor(
    readonly bench: Workbench,
    readonly contents: BundleContents,
    readonly facts: RunFacts,
    readonly tell: (progress: NumbersProgress) => void,
  ) {}

  async run(wish: ReplayWish): Promise<NumbersReport> {
    const { bench, facts } = this;
    const trail = await this.#trail();
    const segments = drawn(trail, wish);
    const plan = planRecomputing(trail, segments.drawn);
    for (const step of trail)
      this.#plannedSteps += stepsOf(step, plan.get(placeOf(step))?.segments ?? 0);
    const { outer } = bench.run.document;
    let revision = this.#held(await firstRevision(bench.trainer, bench.layout, outer));
    if (facts.seedDigest !== null && facts.seedDigest !== revision.digest)
      throw linkBroken("revision 0", "the seed makes another than the first worker stated", {
        ...{ stated: facts.seedDigest, computed: revision.digest },
      });
    let revisions = 1;
    let parent: LoadedRevision | null = null;
    for (const window of facts.windows) {
      const next = await this.#window(window, revision, plan);
      if (next === null) continue;
      revisions++;
      [parent, revision] = [revision, next];
    }
    return {
      ...segments,
      ...{ revisions, digest: revision.digest, recomputedSteps: this.#recomputedSteps },
      hasRevision: parent !== null && (await this.#compareFiles(parent, revision)),
    };
  }

  /** Every contribution that counted, with where its worker began. */
  async #trail(): Promise<TrailStep[]> {
    const { bench, contents, facts } = this;
    const trail: TrailStep[] = [];
    for (const window of facts.windows)
      for (const contribution of accepted(window)) {
        const { worker, segments, task } = contribution;
        const commitments = await readCommitments(contents, window, contribution);
        trail.push({
          ...{ window: window.number, worker, segments, steps: task.steps },
          segmentSteps: facts.spec.segmentSteps,
          isFresh: beganWithZeros(bench, commitments),
        });
      }
    return trail;
  }

  /** The revision a window made; null where it made none. */
  async #window(
    window: WindowFacts,
    revision: LoadedRevision,
    plan: ReadonlyMap<string, Recomputing>,
  ): Promise<LoadedRevision | null> {
    const { promoted, number } = window;
    if (promoted === null) return null;
    const { bench, contents, facts } = this;
    const mean = new DeltaMean(bench.layout);
    for (const contribution of accepted(window)) {
      const { worker, task } = contribution;
      bench.run.clock.check();
      const read = await readContribution(
        bench,
        contents,
        facts.spec,
        window,
        contribution,
        revision,
      );
      mean.add(worker, task.steps * facts.spec.slotTokens, this.#decoded(read, number, worker));
      const wanted = plan.get(placeOf({ window: number, worker }));
      if (wanted !== undefined)
        await this.#recompute(window, contribution, { read, revision, wanted });
    }
    const next = this.#merged(revision, mean, promoted.number);
    if (next.digest !== promoted.digest)
      throw linkBroken(
        `revision ${promoted.number}`,
        "what counted in its window makes another than the one that was promoted",
        { window: number, promoted: promoted.digest, computed: next.digest },
      );
    this.tell({ kind: "window", window: number, of: facts.run.windowCount });
    return next;
  }

  #decoded({ delta }: ReadContribution, window: number, worker: string): Float32Array {
    const { codec, layout } = this.bench;
    try {
      return codec.decode(layout, delta);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw linkBroken(contributionName(window, worker), error.message, { cause: error.code });
    }
  }

  #merged(revision: LoadedRevision, mean: DeltaMean, number: number): LoadedRevision {
    const { layout, run } = this.bench;
    const { values: parameters, momentum } = revision;
    try {
      const next = outerStep(layout, { parameters, momentum }, mean.mean(), run.document.outer);
      return this.#held({ ...next, number });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw linkBroken(`revision ${number}`, error.message, { cause: error.code });
    }
  }

  #held(revision: Revision): LoadedRevision {
    const { layout } = this.bench;
    const { digest, tensors } = digestRevision(layout, revision);
    const { number, parameters: values, momentum } = revision;
    const parameters = digestRoots(tensors.slice(0, layout.tensors.length));
    return { number, digest, values, momentum, parameters };
  }

  async #recompute(
    window: WindowFacts,
    contribution: ContributionFacts,
    of: {
      readonly read: ReadContribution;
      readonly revision: LoadedRevision;
      readonly wanted: Recomputing;
    },
  ): Promise<void> {
    const { bench, facts } = this;
    const { worker } = contribution;
    const { read, revision, wanted } = of;
    const work = workOf(facts.spec, window, contribution);
    const isFresh = beganWithZeros(bench, read.commitments);
    const privateAfter = `${bench.run.directory}/private/${window.number}-${worker}`;
    const before = this.#kept.get(worker) ?? null;
    await bench.run.disk.makeDirectory(`${bench.run.directory}/private`);
    await recompute(
      bench,
      {
        ...{ worker, work, revision, contribution: read, privateAfter },
        privateBefore: isFresh ? null : before,
      },
      wanted,
      (segment) => {
        if (wanted.drawn.includes(segment))
          this.tell({ kind: "segment", window: window.number, worker, segment });
        const steps = stepsOf(work, segment + 1) - stepsOf(work, segment);
        this.#recomputedSteps += steps;
        this.tell({ kind: "steps", done: this.#recomputedSteps, of: this.#plannedSteps });
      },
    );
    if (before !== null) await bench.run.disk.remove(before);
    this.#kept.delete(worker);
    if (wanted.isKept) this.#kept.set(worker, privateAfter);
  }

  /** Holds the files of the last revision, where the bundle has them, against those made of the computed one. */
  async #compareFiles(parent: LoadedRevision, last: LoadedRevision): Promise<boolean> {
    const { bench, contents, facts } = this;
    const { disk, directory, executor } = bench.run;
    const { artifact } = facts.run.revision;
    const bundled = artifact === null ? undefined : contents.artifacts.get(artifact);
    if (bundled === undefined) return false;
    const folder = `${directory}/revision`;
    const { number, values: parameters, momentum } = last;
    const about = { run: facts.run.run, planDigest: executor.plan.digest, parent: parent.digest };
    await writeRevision(disk, folder, bench.layout, { number, parameters, momentum }, about);
    const names = (await disk.list(folder)).map(({ name }) => name);
    if (names.join("\n") !== bundled.files.map(({ name }) => name).join("\n"))
      throw linkBroken(`the files of revision ${number}`, "they are not those of a revision");
    for (const part of bundled.files)
      if ((await digestFile(disk, `${folder}/${part.name}`)) !== part.digest)
        throw linkBroken(`the files of revision ${number}`, `${part.name} is not what it holds`);
    return true;
  }
}

/** Local steps up to the end of so many segments. */
function stepsOf(
  { steps, segmentSteps }: { readonly steps: number; readonly segmentSteps: number },
  segments: number,
): number {
  return Math.min(steps, segments * segmentSteps);
}

function accepted({ contributions }: WindowFacts): ContributionFacts[] {
  return contributions.filter(({ isAccepted }) => isAccepted);
}

function drawn(
  trail: readonly TrailStep[],
  { count, seed, budgetSteps }: ReplayWish,
): DrawnSegments {
  const segments = segmentsOf(trail);
  if (count === null) return { drawn: segments, all: segments.length, reachable: segments.length };
  const draw = drawSegments(segments, { count, seed, budgetSteps });
  if (count === 0 || draw.reachable > 0) return draw;
  const cheapest = segments.reduce((least, { costSteps }) => Math.min(least, costSteps), Infinity);
  throw new Refusal(
    "evidence_unreachable",
    segments.length === 0
      ? "nothing counted in this run, so there is nothing to compute again"
      : `the cheapest segment costs ${cheapest} steps, more than the budget of ${budgetSteps}`,
    segments.length === 0 ? "verify it without --replay" : "raise --steps",
    { budgetSteps, segments: segments.length },
  );
}
