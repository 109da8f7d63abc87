import { useEffect, useRef, useState } from "preact/hooks";
import {
  formatAgo,
  formatBytes,
  formatCount,
  formatDuration,
  formatFigure,
  formatPercent,
  formatShort,
} from "../format.ts";
import { addSight, secondsLeft, type Sight } from "../progress.ts";
import { isActive, type NodeStatus, type RunLine } from "../protocol.ts";
import { hashOf } from "../router.ts";
import {
  AlertList,
  Loading,
  Progress,
  Reading,
  RefusalNote,
  StateMark,
  useNow,
} from "./pieces.tsx";
import { StartForm } from "./start-form.tsx";
import { figures, Table } from "./table.tsx";
import { type Answer, useAnswer } from "./use-answer.ts";

/** The list shows at most this many runs until more are asked for. */
const shownMaximum = 50;

const isOfRuns = ({ type }: { readonly type: string }) => type.startsWith("run.");

/** The node and its runs at a glance. */
export function HomeView() {
  const status = useAnswer<NodeStatus>(
    "status",
    {},
    {
      on: ({ type }) => ["run.state", "run.alert", "run.created", "daemon.started"].includes(type),
      everyMs: 10_000,
    },
  );
  const runs = useAnswer<{ runs: RunLine[] }>("runs", {}, { on: isOfRuns, everyMs: 15_000 });
  const all = runs.value?.runs ?? [];
  const active = all.filter(({ state }) => isActive(state));
  const sights = useSights(active);
  return (
    <>
      <h1>Runs</h1>
      <RefusalNote refused={status.refused ?? runs.refused} />
      <AlertList alerts={status.value?.alerts ?? []} />
      <NodeReadings status={status} />
      {active.length > 0 && <ActiveRuns runs={active} sights={sights} />}
      <StartForm isOpen={runs.value !== null && all.length === 0} />
      <section class="panel" aria-labelledby="runs-title">
        <div class="panel-head">
          <h2 id="runs-title">All runs</h2>
          {all.length > 1 && (
            <a
              href={hashOf({
                view: "compare",
                runs: all.slice(0, 2).map(({ name }) => name),
                axis: "step",
              })}
            >
              Compare the newest two
            </a>
          )}
        </div>
        {runs.value === null ? (
          runs.refused === null && <Loading what="runs" />
        ) : all.length === 0 ? (
          <p class="empty">
            No runs yet. Start one above, or with <code>psionic train book.txt</code>.
          </p>
        ) : (
          <RunTable runs={all} />
        )}
      </section>
    </>
  );
}

function useSights(active: readonly RunLine[]): ReadonlyMap<string, readonly Sight[]> {
  const kept = useRef(new Map<string, readonly Sight[]>());
  const key = active.map(({ run, step }) => `${run} ${step}`).join(",");
  useEffect(() => {
    const atMs = performance.now();
    kept.current = new Map(
      active.map(({ run, step }) => [run, addSight(kept.current.get(run) ?? [], { atMs, step })]),
    );
  }, [key]);
  return kept.current;
}

function NodeReadings({ status }: { readonly status: Answer<NodeStatus> }) {
  const nowMs = useNow();
  const { value } = status;
  const machine = value?.machine;
  const daemon = value?.daemon;
  const used =
    machine?.memoryBytes && machine.freeMemoryBytes !== undefined
      ? `${formatBytes(machine.freeMemoryBytes)} free`
      : undefined;
  return (
    <dl class="readings" aria-busy={value === null}>
      <Reading label="Node" note={value?.state}>
        {value?.node?.nodeId.slice(0, 12)}
      </Reading>
      <Reading label="Up for" note={daemon?.version ? `version ${daemon.version}` : undefined}>
        {formatDuration(daemon ? Math.max(0, (nowMs - daemon.startedMs) / 1000) : null)}
      </Reading>
      <Reading label="Processor" note={machine?.architecture}>
        {machine?.coreCount ? `${machine.coreCount} cores` : "–"}
      </Reading>
      <Reading label="Memory" note={used}>
        {formatBytes(machine?.memoryBytes)}
      </Reading>
      <Reading
        label="Disk free"
        note={value?.disk?.totalBytes ? `of ${formatBytes(value.disk.totalBytes)}` : undefined}
      >
        {formatBytes(value?.disk?.freeBytes)}
      </Reading>
      <Reading label="Runs" note={`${value?.runs?.active?.length ?? 0} active`}>
        {formatCount(value?.runs?.count)}
      </Reading>
    </dl>
  );
}

function ActiveRuns(props: {
  readonly runs: readonly RunLine[];
  readonly sights: ReadonlyMap<string, readonly Sight[]>;
}) {
  return (
    <section class="panel" aria-labelledby="active-title">
      <h2 id="active-title">Active</h2>
      <ul class="active-runs">
        {props.runs.map((line) => {
          const { run, name, step, steps, loss, tokensPerSecond, percentOfPeak } = line;
          const left = secondsLeft(props.sights.get(run) ?? [], steps);
          return (
            <li key={run}>
              <span>
                <a href={hashOf({ view: "run", run: name })}>{name}</a> <MeshMark of={line} />
              </span>
              <Progress name={name} step={step} steps={steps} />
              <span class="figure">
                {formatCount(step)} / {formatCount(steps)}
              </span>
              <span class="figure">loss {formatFigure(loss)}</span>
              <span class="figure">{formatShort(tokensPerSecond)} tokens/s</span>
              <span class="figure">{formatPercent(percentOfPeak)} of peak</span>
              <span class="figure">{left === null ? "…" : `${formatDuration(left)} left`}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** Tells runs of the mesh from those of this node alone. */
function MeshMark({ of }: { readonly of: RunLine }) {
  return of.mesh ? <span class="badge">mesh</span> : null;
}

const runColumns = [
  ...["Name", "State", figures("Step"), figures("Loss"), figures("Held out")],
  ...[figures("Tokens/s"), figures("Of peak"), "Size", "Created"],
];

function RunTable({ runs }: { readonly runs: readonly RunLine[] }) {
  const nowMs = useNow();
  const [count, setCount] = useState(shownMaximum);
  return (
    <>
      <Table label="List of runs" columns={runColumns}>
        {runs.slice(0, count).map((line) => (
          <tr key={line.run}>
            <th scope="row">
              <a href={hashOf({ view: "run", run: line.name })}>{line.name}</a>{" "}
              <MeshMark of={line} />
            </th>
            <td>
              <StateMark state={line.state} />
            </td>
            <td class="number">
              {formatCount(line.step)} / {formatCount(line.steps)}
            </td>
            <td class="number">{formatFigure(line.loss)}</td>
            <td class="number">{formatFigure(line.valLoss)}</td>
            <td class="number">{formatShort(line.tokensPerSecond)}</td>
            <td class="number">{formatPercent(line.percentOfPeak)}</td>
            <td>{line.size}</td>
            <td>{formatAgo(line.createdMs, nowMs)}</td>
          </tr>
        ))}
      </Table>
      {runs.length > count && (
        <button type="button" onClick={() => setCount(count + shownMaximum)}>
          Show {Math.min(shownMaximum, runs.length - count)} more
        </button>
      )}
    </>
  );
}
