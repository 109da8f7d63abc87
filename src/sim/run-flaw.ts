import type { Event } from "#src/cluster/event.ts";
import type { Reduce } from "#src/cluster/mesh-fold.ts";
import { reduce } from "#src/cluster/reduce.ts";
import type { MeshState } from "#src/cluster/state.ts";
import { idOf } from "#src/window/reduce.ts";
import type { Run, Worker } from "#src/window/run.ts";

/**
 * Mistakes in what events mean to runs, planted as those of the mesh are: the reducers are shown another run than
 * there is, or a part of what they did is taken back.
 */
export const stateFlaws = [
  /** What comes after a window was sealed counts in it. */
  "late-counts",
  /** Slots that were given out and not used are not given back. */
  "slots-forgotten",
  /** A window that is sealed can be sealed again. */
  "seals-twice",
  /** One alone makes a revision. */
  "promotes-without-quorum",
  /** Nobody is drawn to judge. */
  "accepts-without-verdicts",
  /** A statement may vouch for any history. */
  "anchor-ignored",
  /** A node's statements may come again and in any order. */
  "previous-ignored",
  /** Anybody signs for anybody. */
  "signature-ignored",
  /** After another draw a worker's slots count twice. */
  "redraw-counts-twice",
  /** Who gave work that does not count keeps the private state it gave. */
  "private-of-the-refused",
  /** What is left out because nobody can have it counts on. */
  "lost-counts",
  /** Events change a run and leave its chain. */
  "chain-stands-still",
] as const;

/** Mistakes in what nodes say of themselves. */
export const partFlaws = [
  /** Statements name the one before the latest. */
  "previous-of-before",
  /** Statements vouch for a history that is none. */
  "anchor-made-up",
] as const;

export const runFlaws = [...stateFlaws, ...partFlaws] as const;

type StateFlaw = (typeof stateFlaws)[number];
type Change = (run: Run, event: Event) => Run;

const same: Change = (run) => run;

/** Shows the reducer a run that was changed, and changes what it made of it. */
function around(show: Change, mend: (after: Run, before: Run, event: Event) => Run): Reduce {
  return (state, event) => {
    const before = runOf(state, event);
    if (before === undefined) return reduce(state, event);
    const after = reduce(withRun(state, show(before, event)), event);
    const run = runOf(after, event);
    return run === undefined ? after : withRun(after, mend(run, before, event));
  };
}

function runOf(state: MeshState, { command }: Event): Run | undefined {
  if (!("run" in command) && command.kind !== "run-stated") return undefined;
  const id = idOf(command);
  return state.runs.find((each) => each.run === id);
}

function withRun(state: MeshState, run: Run): MeshState {
  const runs = state.runs.map((each) => (each.run === run.run ? run : each));
  return { ...state, runs };
}

function mapWorker(run: Run, node: string, change: (worker: Worker) => Worker): Run {
  const workers = run.workers.map((worker) => (worker.node === node ? change(worker) : worker));
  return { ...run, workers };
}

const isLateWork = ({ window }: Run, { command }: Event) =>
  command.kind === "run-stated" &&
  command.statement.said.saying === "contribution" &&
  window !== null &&
  window.stage !== "active" &&
  window.number === command.statement.said.window;

export const flawedRuns: Readonly<Record<StateFlaw, Reduce>> = {
  "late-counts": around(
    (run, event) =>
      isLateWork(run, event) && event.command.kind === "run-stated"
        ? {
            ...run,
            window: {
              ...run.window!,
              stage: "active",
              anchor: event.command.statement.anchor ?? run.window!.anchor,
            },
          }
        : run,
    (after, before, event) => {
      if (!isLateWork(before, event)) return after;
      const { stage, anchor, draws } = before.window!;
      const late = after.window!.contributions.at(-1)!;
      const drawn = { worker: late.worker, validators: [], segment: null };
      const window = { ...after.window!, stage, anchor, draws: [...draws, drawn] };
      return { ...after, window };
    },
  ),
  "slots-forgotten": around(same, (after, before) =>
    before.window !== null && after.window?.number !== before.window.number
      ? { ...after, pool: before.pool }
      : after,
  ),
  "seals-twice": around(
    (run, { command }) =>
      command.kind === "window-sealed" && run.window?.stage === "sealed"
        ? { ...run, window: { ...run.window, stage: "active" } }
        : run,
    (after) => after,
  ),
  "promotes-without-quorum": around(
    (run) => ({ ...run, spec: { ...run.spec, quorum: 1 } }),
    (after, { spec }) => ({ ...after, spec }),
  ),
  "accepts-without-verdicts": around(
    (run) => ({ ...run, spec: { ...run.spec, validators: 0 } }),
    (after, { spec }) => ({ ...after, spec }),
  ),
  "anchor-ignored": around(
    (run, { command }) =>
      command.kind === "run-stated" && command.statement.anchor !== null && run.window !== null
        ? { ...run, window: { ...run.window, anchor: command.statement.anchor } }
        : run,
    (after, { window }) =>
      window !== null && after.window?.stage === window.stage
        ? { ...after, window: { ...after.window, anchor: window.anchor } }
        : after,
  ),
  "previous-ignored": around(
    (run, { command }) =>
      command.kind === "run-stated"
        ? mapWorker(run, command.statement.node, (worker) => ({
            ...worker,
            statement: command.statement.previous,
          }))
        : run,
    (after) => after,
  ),
  "signature-ignored": (state, event) => {
    const { command } = event;
    if (command.kind !== "run-stated") return reduce(state, event);
    try {
      return reduce(state, event);
    } catch (error) {
      const run = runOf(state, event);
      const { said, node } = command.statement;
      if (run === undefined || said.saying !== "gone") throw error;
      const gone = mapWorker(run, node, (worker) => ({ ...worker, revision: null }));
      return withRun(state, { ...gone, chain: run.chain.split("").toReversed().join("") });
    }
  },
  "redraw-counts-twice": around(same, (after, before) => {
    const isPromoted = after.revision.number > before.revision.number;
    if (!isPromoted || (before.window?.redraws ?? 0) === 0) return after;
    return mapWorker(after, before.window!.accepted[0]!, (worker) => ({
      ...worker,
      acceptedSlots: 2 * worker.acceptedSlots,
    }));
  }),
  "private-of-the-refused": around(same, (after, before) => {
    const { window } = before;
    if (window === null || after.window?.number === window.number) return after;
    return window.contributions.reduce(
      (run, { worker, private: own }) =>
        mapWorker(run, worker, (each) => ({ ...each, private: own })),
      after,
    );
  }),
  "lost-counts": around(same, (after, before, { command }) =>
    command.kind === "contribution-lost" && after.window !== null
      ? { ...after, window: { ...after.window, accepted: before.window!.accepted } }
      : after,
  ),
  "chain-stands-still": around(same, (after, { chain }) => ({ ...after, chain })),
};
