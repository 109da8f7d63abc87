import type { Digest } from "#src/codec/digest.ts";
import { deny } from "./deny.ts";
import type { Saying, SayingOf, Statement } from "./event.ts";
import { withNamed } from "./list.ts";
import { takeRevision } from "./promotion.ts";
import { rateOf } from "./rate.ts";
import { isOver, type Contribution, type Run, type Verdict, type Window } from "./run.ts";
import { isSignedBy, statementDigest } from "./statement.ts";
import type { Step } from "./step.ts";
import type { RunMember, Surroundings } from "./surroundings.ts";
import { judged, windowIn } from "./windows.ts";
import { knownWorker, memberOf, withStatement, withWorker, workerOf } from "./workers.ts";

interface Said<S extends Saying = Saying> {
  readonly node: string;
  readonly member: RunMember;
  readonly anchor: Digest | null;
  /** Digest of the statement. */
  readonly statement: Digest;
  readonly said: S;
}

/**
 * What a node states of its own work: signed with the key the mesh knows of it, naming its statement before and the
 * history it vouches for. Everything is checked before anything changes.
 */
export function takeStatement(run: Run, statement: Statement, around: Surroundings): Step {
  const member = requireAuthor(statement, around);
  requireNewest(run, statement);
  const { node, anchor, said } = statement;
  if (isOver(run) && said.saying !== "evaluation")
    return deny("run_over", `${run.name} is ${run.phase}`, "nothing more is to be done for it");
  const digest = statementDigest(statement);
  const step = takeSaying(run, { node, member, anchor, statement: digest, said }, around);
  return { ...step, run: withStatement(step.run, node, digest) };
}

function requireAuthor(statement: Statement, around: Surroundings): RunMember {
  const { node, mesh } = statement;
  const member = memberOf(around, node);
  if (member === undefined)
    return deny("worker_unfit", `${node} is no member of this mesh`, "it joins first");
  if (mesh !== around.mesh || !isSignedBy(member.key, statement))
    return deny(
      "statement_forged",
      `the statement is not signed by the key this mesh knows of ${node}, or was made for another mesh`,
      "only a node itself speaks for itself",
    );
  return member;
}

function requireNewest(run: Run, { node, previous }: Statement): void {
  if ((workerOf(run, node)?.statement ?? null) === previous) return;
  deny(
    "statement_stale",
    `${node} said something of ${run.name} since the statement that this one names`,
    "look at the run's state again and state it anew",
  );
}

function takeSaying(run: Run, given: Said, around: Surroundings): Step {
  const { said } = given;
  switch (said.saying) {
    case "ready":
      return takeReady(run, { ...given, said });
    case "gone":
      return takeGone(run, given);
    case "contribution":
      return takeContribution(run, { ...given, said });
    case "verdict":
      return takeVerdict(run, { ...given, said }, around);
    case "revision":
      return takeRevision(run, { ...given, said }, around);
    case "evaluation":
      return takeEvaluation(run, { ...given, said });
  }
}

function requireAnchor(run: Run, { anchor, node }: Said, expected: Digest | null): void {
  if (anchor === expected) return;
  deny(
    "statement_stale",
    `what ${node} says of ${run.name} vouches for another history than the one that stands`,
    "look at the run's state again and state it anew",
  );
}

/** The first to say what the seed's revision is decides it; with every other it must be the same. */
function takeReady(run: Run, given: Said<SayingOf<"ready">>): Step {
  const { node, member, said } = given;
  requireAnchor(run, given, null);
  const known = knownWorker(run, node);
  if (!member.isTrainer || !member.isReady || known.isQuarantined)
    return deny(
      "worker_unfit",
      known.isQuarantined
        ? `${node} is out of ${run.name}: ${known.strikes} contributions were proven wrong`
        : `${node} is no ready trainer of this mesh`,
      "only a ready member with the role trainer takes work",
    );
  if (said.revision !== run.revision.number)
    return deny(
      "window_stale",
      `${run.name} is at revision ${run.revision.number}, ${node} holds ${said.revision}`,
      "bring the present revision there first",
    );
  const digest = run.revision.digest ?? said.digest;
  if (digest !== said.digest)
    return deny(
      "revision_differs",
      `${node} holds another revision ${said.revision} than the one of ${run.name}`,
      "bring the right one there; its digest stands in the run's state",
    );
  const { lane, revision } = said;
  // What its work showed counts for more than what it says.
  const rate = known.rate === 0 ? said.rate : known.rate;
  const next = { ...run, revision: { ...run.revision, digest } };
  return { run: withWorker(next, { ...known, lane, rate, revision }), decided: {} };
}

function takeGone(run: Run, given: Said): Step {
  requireAnchor(run, given, null);
  const known = workerOf(run, given.node);
  if (known === undefined)
    return deny(
      "worker_unfit",
      `${given.node} does not work on ${run.name}`,
      "nobody waits for it",
    );
  return { run: withWorker(run, { ...known, revision: null }), decided: {} };
}

function takeContribution(run: Run, given: Said<SayingOf<"contribution">>): Step {
  const { node, statement, said } = given;
  const window = windowIn(run, said.window, "active");
  const task = window.tasks.find(({ worker }) => worker === node);
  if (task === undefined || window.contributions.some(({ worker }) => worker === node))
    return deny(
      "window_stale",
      task === undefined
        ? `${node} has no work in window ${window.number} of ${run.name}`
        : `${node} has contributed to window ${window.number} of ${run.name} already`,
      "look at the run's state again",
    );
  requireAnchor(run, given, window.anchor);
  const segments = Math.ceil(task.steps / run.spec.segmentSteps);
  if (said.segments !== segments)
    return deny(
      "statement_unfit",
      `${task.steps} steps have ${segments} segments here, not ${said.segments}`,
      "do the steps of the task",
    );
  if (window.contributions.some(({ artifact }) => artifact === said.artifact))
    return deny(
      "delta_repeated",
      `another node contributed the artifact ${said.artifact.slice(0, 12)} to this window`,
      "a contribution is of who did the work",
    );
  const { artifact, sizeBytes, commitments, trainMs } = said;
  const contribution: Contribution = {
    ...{ worker: node, statement, artifact, sizeBytes, commitments, segments, trainMs },
    private: said.private,
  };
  const contributions = withNamed(window.contributions, ({ worker }) => worker, contribution);
  const known = knownWorker(run, node);
  const tokens = task.steps * run.spec.slotTokens;
  const rate = trainMs === 0 ? known.rate : rateOf(tokens, trainMs);
  const next = withWorker(run, { ...known, rate });
  return { run: { ...next, window: { ...window, contributions } }, decided: {} };
}

function takeVerdict(run: Run, given: Said<SayingOf<"verdict">>, { nowMs }: Surroundings): Step {
  const { node, statement, said } = given;
  const window = windowIn(run, said.window, "sealed");
  requireAnchor(run, given, window.anchor);
  requireDrawn(run, window, given);
  const { worker, verdict, reasons, segment } = said;
  const added: Verdict = { worker, validator: node, verdict, reasons, segment, statement };
  const nameOf = (each: Verdict) => `${each.worker} ${each.validator}`;
  const verdicts = withNamed(window.verdicts, nameOf, added);
  return judged({ run: { ...run, window: { ...window, verdicts } }, decided: {} }, nowMs);
}

function requireDrawn(run: Run, window: Window, { node, said }: Said<SayingOf<"verdict">>): void {
  const draw = window.draws.find(({ worker }) => worker === said.worker);
  const contribution = window.contributions.find(({ worker }) => worker === said.worker);
  const isGiven = window.verdicts.some(
    ({ worker, validator }) => worker === said.worker && validator === node,
  );
  if (draw?.validators.includes(node) !== true || isGiven)
    return deny(
      "verdict_undrawn",
      isGiven
        ? `${node} has judged ${said.worker} in window ${window.number} already`
        : `${node} is not drawn to judge ${said.worker} in window ${window.number} of ${run.name}`,
      "who judges whom is drawn when the window is sealed",
    );
  if (said.contribution !== contribution?.statement)
    return deny(
      "statement_unfit",
      `${node} judged another contribution of ${said.worker} than the one that stands`,
      "look at the run's state again",
    );
  requireSense(said, draw.segment);
}

/** A verdict says what it is owed to: nothing where all is well, and then the segment that was drawn came out equal. */
function requireSense(said: SayingOf<"verdict">, drawn: number | null): void {
  const { verdict, reasons, segment, committed, recomputed } = said;
  const isWhole =
    verdict === "accepted"
      ? reasons.length === 0 &&
        segment === drawn &&
        committed === recomputed &&
        (committed === null) === (drawn === null)
      : reasons.length > 0 && (segment === null || segment === drawn);
  if (isWhole) return;
  deny(
    "statement_unfit",
    `a verdict ${verdict} with ${reasons.length} reasons over segment ${segment}, drawn was ${drawn}`,
    "whoever accepts recomputes what is drawn and has no reason; whoever does not, names one",
  );
}

function takeEvaluation(run: Run, given: Said<SayingOf<"evaluation">>): Step {
  const { said, node, member } = given;
  requireAnchor(run, given, null);
  const worker = workerOf(run, node);
  const isWorking = worker !== undefined && worker.revision !== null && !worker.isQuarantined;
  if (!member.isReady || !isWorking)
    return deny(
      "worker_unfit",
      `${node} does not work on ${run.name}`,
      "only who holds a model says what it does",
    );
  const { revision, isFull } = said;
  const known = run.evaluated;
  // None twice, and none of before the latest: what can be said of a run ends with its revisions.
  const isKnown =
    known !== null &&
    (revision < known.revision || (revision === known.revision && (known.isFull || !isFull)));
  if (revision > run.revision.number || run.revision.digest === null || isKnown)
    return deny(
      "window_stale",
      isKnown
        ? `revision ${revision} of ${run.name}, or a later one, was evaluated already`
        : `${run.name} has no revision ${revision} yet`,
      "look at the run's state again",
    );
  return { run: { ...run, evaluated: { revision, isFull } }, decided: {} };
}
