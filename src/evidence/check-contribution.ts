import * as v from "valibot";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import {
  commitmentsDigest,
  committedDigest,
  commitmentsFile,
  commitmentsSchema,
  deltaFile,
  privateAtEnd,
  privateAtStart,
  workDigest,
  type Commitments,
} from "#src/train/windows/commitments.ts";
import type { LocalWork } from "#src/train/windows/tasks.ts";
import type { LoadedRevision, Workbench } from "#src/train/windows/workbench.ts";
import { privateDigest } from "#src/train/windows/worker-state.ts";
import { scheduleStep } from "#src/window/schedule.ts";
import type { RunSpec } from "#src/window/run.ts";
import { readPart } from "./bundle-reader.ts";
import { fileOf, type BundleContents } from "./contents.ts";
import { linkBroken } from "./parts.ts";
import type { ContributionFacts, WindowFacts } from "./run-facts.ts";

/** A contribution that counted, as its files say. */
export interface ReadContribution {
  readonly commitments: Commitments;
  readonly delta: Uint8Array;
}

export function contributionName(window: number, worker: string): string {
  return `the contribution of ${worker} to window ${window}`;
}

/** A worker's steps in a window, as the rules give them. */
export function workOf(
  spec: RunSpec,
  window: WindowFacts,
  { task: { slices, steps } }: ContributionFacts,
): LocalWork {
  return {
    ...{ window: window.number, steps, segmentSteps: spec.segmentSteps },
    slices: slices.map(({ first, count }) => ({ first, count })),
    scheduleSteps: Array.from({ length: steps }, (_, step) =>
      scheduleStep(spec, window.progress, step, window.participants),
    ),
  };
}

/** The list of commitments of a contribution, and that it is the stated one. Refused with `evidence_broken`. */
export async function readCommitments(
  { bundle, artifacts }: BundleContents,
  { number }: WindowFacts,
  { worker, artifact, commitments: stated }: ContributionFacts,
): Promise<Commitments> {
  const link = contributionName(number, worker);
  const part = fileOf(artifacts.get(artifact)!, commitmentsFile);
  if (part === null) throw linkBroken(link, "it has no list of commitments");
  let json: unknown = null;
  try {
    json = JSON.parse(new TextDecoder().decode(await readPart(bundle, part)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const parsed = v.safeParse(commitmentsSchema, json);
  if (!parsed.success) throw linkBroken(link, "its list of commitments is none");
  if (commitmentsDigest(parsed.output) === stated) return parsed.output;
  throw linkBroken(link, "its list of commitments is not the one that was stated");
}

/** Whether a worker began a window with zeros, as it commits to. */
export function beganWithZeros({ zeros }: Workbench, commitments: Commitments): boolean {
  return privateAtStart(commitments) === privateDigest(zeros);
}

/**
 * Reads a contribution that counted and holds it against the work, the revision, the statement and the worker's history.
 * Refused with `evidence_broken`.
 */
export async function readContribution(
  bench: Workbench,
  contents: BundleContents,
  spec: RunSpec,
  window: WindowFacts,
  contribution: ContributionFacts,
  revision: LoadedRevision,
): Promise<ReadContribution> {
  const link = contributionName(window.number, contribution.worker);
  const commitments = await readCommitments(contents, window, contribution);
  const work = workOf(spec, window, contribution);
  const fault = faultOf(
    bench,
    commitments,
    contribution,
    workDigest(work, revision.digest),
    revision,
  );
  if (fault !== null) throw linkBroken(link, fault);
  checkVerdicts(window, commitments, contribution.worker, work);
  const part = fileOf(contents.artifacts.get(contribution.artifact)!, deltaFile);
  if (part === null) throw linkBroken(link, "it has no delta");
  const delta = await readPart(contents.bundle, part, bench.codec.sizeBytes(bench.layout));
  if (digestBytes(delta) !== commitments.delta || delta.byteLength !== commitments.deltaBytes)
    throw linkBroken(link, "its delta is not the one it committed to");
  return { commitments, delta };
}

/** Whoever accepted a segment named the state that was committed to at its end. */
function checkVerdicts(
  { number, judged }: WindowFacts,
  commitments: Commitments,
  worker: string,
  work: LocalWork,
): void {
  for (const each of judged) {
    if (each.worker !== worker) continue;
    if (each.committed === committedDigest(commitments, work, each.segment + 1)) continue;
    throw linkBroken(
      `the verdict of ${each.validator} on ${worker} in window ${number}`,
      `it names another state at the end of segment ${each.segment} than the worker committed to`,
    );
  }
}

function faultOf(
  bench: Workbench,
  commitments: Commitments,
  contribution: ContributionFacts,
  work: Digest,
  revision: LoadedRevision,
): string | null {
  const { states, codec } = commitments;
  if (commitments.work !== work || commitments.revision !== revision.digest)
    return "it commits to other work than it was given";
  if (states.length !== contribution.segments + 1)
    return `it commits to ${states.length} states for ${contribution.segments} segments`;
  if (codec !== bench.codec.settings.name) return `it was made with the codec ${codec}`;
  if (states[0]!.parameters !== revision.parameters)
    return "it began from other parameters than the window's revision";
  if (
    !beganWithZeros(bench, commitments) &&
    privateAtStart(commitments) !== contribution.privateBefore
  )
    return "it began from a private state that is not its worker's";
  if (privateAtEnd(commitments) !== contribution.private)
    return "it ends in another private state than was stated";
  return null;
}
