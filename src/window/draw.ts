import { digestJson, type Digest } from "#src/codec/digest.ts";
import { perMillion, workerMaximum } from "./bounds.ts";
import type { Draw, Run, Window } from "./run.ts";
import type { Surroundings } from "./surroundings.ts";
import { memberOf, workerOf } from "./workers.ts";

/**
 * Who validates whom and what is recomputed: out of a number that nobody knew when the work was committed to. Every
 * contribution goes to the next on a ring, so that all have as much to judge, and nobody judges itself.
 */
export function drawsOf(
  run: Run,
  window: Window,
  seed: Digest,
  around: Surroundings,
): readonly Draw[] {
  const validators = validatorsFor(run, window, around);
  return window.contributions.map(({ worker, segments }) => {
    const ring = silentLast(run, window, ringAfter(validators, seed, worker));
    const next = ring.slice(0, run.spec.validators);
    const segment = next.length > 0 ? segmentOf(run, seed, worker, segments) : null;
    return { worker, validators: next, segment };
  });
}

/**
 * Others in the place of those who have not judged; the segment stays. Where there is no other, one who cannot be
 * waited for is left out, unless nobody would be left.
 */
export function drawsAgain(
  run: Run,
  window: Window,
  seed: Digest,
  around: Surroundings,
): readonly Draw[] {
  const validators = validatorsFor(run, window, around);
  return window.draws.map((draw) => {
    const missing = missingOf(window, draw);
    if (missing.length === 0) return draw;
    const ring = silentLast(run, window, ringAfter(validators, seed, draw.worker));
    const others = ring.filter((node) => !draw.validators.includes(node));
    const replaced = new Map(missing.map((node, place) => [node, others[place] ?? node]));
    const again = draw.validators.map((node) => replaced.get(node) ?? node);
    const kept = again.filter((node) => !missing.includes(node) || isReady(around, node));
    return { ...draw, validators: kept.length > 0 ? kept : again };
  });
}

/** Of those drawn for a contribution, who has not judged it. */
export function missingOf({ verdicts }: Window, { worker, validators }: Draw): readonly string[] {
  return validators.filter(
    (validator) =>
      !verdicts.some((verdict) => verdict.worker === worker && verdict.validator === validator),
  );
}

/** Whether nobody whom it waits for is there any more. */
export function isHopeless(window: Window, draw: Draw, around: Surroundings): boolean {
  const missing = missingOf(window, draw);
  return missing.length > 0 && missing.every((node) => !isReady(around, node));
}

function isReady(around: Surroundings, node: string): boolean {
  return memberOf(around, node)?.isReady === true;
}

/**
 * Who contributed, and the mesh's validators; a run has room for a bounded number of nodes. A trainer that does not ask
 * for work of the run, or no more, cannot be waited for: it may never be able to.
 */
function validatorsFor(run: Run, window: Window, around: Surroundings): readonly string[] {
  let room = workerMaximum - run.workers.length;
  const contributors = new Set(window.contributions.map(({ worker }) => worker));
  const tasked = new Set(window.tasks.map(({ worker }) => worker));
  return around.members
    .filter(({ node, isReady: isThere, isTrainer, isValidator }) => {
      const worker = workerOf(run, node);
      if (!isThere || worker?.isQuarantined === true) return false;
      const isAsking = worker === undefined ? !isTrainer : worker.revision !== null;
      if (!isAsking && !tasked.has(node)) return false;
      if (!contributors.has(node) && !isValidator) return false;
      return worker !== undefined || room-- > 0;
    })
    .map(({ node }) => node);
}

/** The others on the ring, from the place of a node on. */
function ringAfter(nodes: readonly string[], seed: Digest, node: string): readonly string[] {
  const ring = [...new Set([...nodes, node])]
    .map((each) => ({ node: each, place: digestJson({ seed, node: each }) }))
    .toSorted((a, b) => (a.place < b.place ? -1 : 1))
    .map((each) => each.node);
  const from = ring.indexOf(node);
  return [...ring.slice(from + 1), ...ring.slice(0, from)];
}

/**
 * Who had work in the window and gave nothing, or does not hold the revision that it once asked to work on, is probably
 * gone: it judges only where there are too few others.
 */
function silentLast(
  run: Run,
  { tasks, contributions, revision }: Window,
  nodes: readonly string[],
): readonly string[] {
  const given = new Set(contributions.map(({ worker }) => worker));
  const tasked = new Set(tasks.map(({ worker }) => worker));
  const isAway = (node: string) => {
    const worker = workerOf(run, node);
    const isBehind = worker !== undefined && worker.revision !== revision;
    return !given.has(node) && (isBehind || tasked.has(node));
  };
  return [...nodes.filter((node) => !isAway(node)), ...nodes.filter(isAway)];
}

const chances = 2 ** 32;

function segmentOf({ spec }: Run, seed: Digest, worker: string, segments: number): number | null {
  const lot = digestJson({ seed, worker, lottery: "replay" });
  const drawn = Math.floor((Number.parseInt(lot.slice(0, 8), 16) * perMillion) / chances);
  if (drawn >= spec.replayPerMillion) return null;
  return Number.parseInt(lot.slice(8, 16), 16) % segments;
}
