import type { Digest } from "#src/codec/digest.ts";
import { deny } from "./deny.ts";
import type { SayingOf } from "./event.ts";
import { withNamed } from "./list.ts";
import type { Computed, Run, Window, Worker } from "./run.ts";
import type { Step } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { holdsPresent, knownWorker, mapWorkers, memberOf, withWorker } from "./workers.ts";

/** Those who can make the next revision, or said what it is. */
function mergersOf(run: Run, window: Window, around: Surroundings): ReadonlySet<string> {
  const able = run.workers.filter((worker) => {
    const member = memberOf(around, worker.node);
    // Who came back with other roles brings no revision here any more.
    return holdsPresent(run, worker) && member?.isReady === true && member.isTrainer;
  });
  return new Set([...able, ...window.computed].map(({ node }) => node));
}

/** How many must state the same revision, as many as there are if that is fewer. */
export function quorumOf(run: Run, window: Window, around: Surroundings): number {
  return Math.max(1, Math.min(run.spec.quorum, mergersOf(run, window, around).size));
}

/** Whether all who can have said what the revision is. */
export function haveAllMerged(run: Run, window: Window, around: Surroundings): boolean {
  return mergersOf(run, window, around).size === window.computed.length;
}

/** Those who stated the same as `node` did, itself included. */
export function agreeingWith({ computed }: Window, node: string): readonly Computed[] {
  const own = computed.find((each) => each.node === node);
  return computed.filter(
    ({ digest, artifact }) => digest === own?.digest && artifact === own.artifact,
  );
}

interface Said {
  readonly node: string;
  readonly anchor: Digest | null;
  readonly statement: Digest;
  readonly said: SayingOf<"revision">;
}

/** A node says what the next revision is. With the quorum's last it is promoted; what comes later must be the same. */
export function takeRevision(run: Run, given: Said, around: Surroundings): Step {
  const { window } = run;
  const { said, node } = given;
  if (window?.number !== said.window) return takeLate(run, given);
  if (window.stage !== "scored")
    return deny(
      "window_stale",
      `window ${said.window} of ${run.name} is ${window.stage}`,
      "a revision is made once it is decided what counts",
    );
  requireAnchor(run, given, window.anchor);
  requireNext(run, said, window.revision + 1);
  if (!holdsPresent(run, knownWorker(run, node)))
    return deny(
      "worker_unfit",
      `${node} has not said that it holds revision ${window.revision} of ${run.name}`,
      "it says that it is ready first",
    );
  const { digest, artifact } = said;
  const stated = { node, digest, artifact, statement: given.statement };
  const computed = withNamed(window.computed, (each) => each.node, stated);
  const merged: Window = { ...window, computed };
  const agreeing = agreeingWith(merged, node);
  if (agreeing.length < quorumOf(run, merged, around))
    return { run: { ...run, window: merged }, decided: { agreeing: agreeing.length } };
  return promote(run, merged, stated, around.nowMs);
}

function requireAnchor(run: Run, { anchor, node }: Said, expected: Digest): void {
  if (anchor === expected) return;
  deny(
    "statement_stale",
    `what ${node} says of ${run.name} vouches for another history than the one that stands`,
    "look at the run's state again and state it anew",
  );
}

function requireNext(run: Run, { revision }: SayingOf<"revision">, expected: number): void {
  if (revision === expected) return;
  deny(
    "statement_unfit",
    `the next revision of ${run.name} is ${expected}, not ${revision}`,
    "look at the run's state again",
  );
}

/** Of a window that ended: whoever made the same revision holds it. */
function takeLate(run: Run, given: Said): Step {
  const { past, revision } = run;
  const { said, node } = given;
  const isPast = past?.outcome === "promoted" && past.number === said.window;
  if (!isPast || past.revision !== revision.number)
    return deny(
      "window_stale",
      `no revision is to be made of window ${said.window} of ${run.name}`,
      "look at the run's state again",
    );
  requireAnchor(run, given, past.anchor);
  requireNext(run, said, revision.number);
  if (said.digest !== revision.digest || said.artifact !== revision.artifact)
    return deny(
      "revision_differs",
      `${node} makes revision ${said.digest.slice(0, 12)} of window ${said.window}, promoted is ${revision.digest?.slice(0, 12)}`,
      "bring the promoted one here; two nodes that compute exactly cannot differ",
    );
  const worker: Worker = { ...knownWorker(run, node), revision: revision.number };
  return { run: withWorker(run, worker), decided: { revision: revision.number } };
}

function promote(run: Run, window: Window, stated: Computed, nowMs: number): Step {
  const { digest, artifact, node } = stated;
  const revision = { number: window.revision + 1, digest, artifact };
  const holders = new Set(agreeingWith(window, node).map((each) => each.node));
  const stepsOf = new Map(window.tasks.map(({ worker, steps }) => [worker, steps]));
  const counted = window.contributions.filter(({ worker }) => window.accepted.includes(worker));
  const privates = new Map(counted.map((each) => [each.worker, each.private]));
  const slots = counted.reduce((sum, { worker }) => sum + (stepsOf.get(worker) ?? 0), 0);
  const { number, anchor, openedMs } = window;
  const past = {
    ...({ number, outcome: "promoted", reason: "", revision: revision.number } as const),
    ...{ acceptedSlots: slots, tookMs: nowMs - openedMs, endedMs: nowMs, anchor },
    sizeBytes: counted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
  const acceptedSlots = run.acceptedSlots + slots;
  const next = { ...run, revision, acceptedSlots, window: null, past, heldCount: 0 };
  const promoted = mapWorkers(next, (worker) => {
    const held = holders.has(worker.node) ? { ...worker, revision: revision.number } : worker;
    const own = privates.get(worker.node);
    if (own === undefined) return held;
    return {
      ...held,
      private: own,
      acceptedSlots: held.acceptedSlots + (stepsOf.get(worker.node) ?? 0),
      acceptedCount: held.acceptedCount + 1,
    };
  });
  return { run: promoted, decided: { revision, past, holders: [...holders] } };
}
