import { useMemo, useState } from "preact/hooks";
import { csvName, csvText } from "../csv.ts";
import { formatBytes, formatCount, formatDuration, formatPercent } from "../format.ts";
import { isAddition, type RunStatus, type Sample } from "../protocol.ts";
import type { Series } from "../series.ts";
import { heldOutOver, marksOf, timelineOf, windowColumns } from "../timeline.ts";
import type { MeshRun, RunHappening, ShownWindow, WindowsAnswer } from "../window-answers.ts";
import { codecText, isMeshRunOver } from "../window-words.ts";
import { download } from "./chart.tsx";
import { Digest } from "./digest.tsx";
import { MeshRunHead, MeshRunReadings } from "./mesh-run-head.tsx";
import { ParticipantTable } from "./participant-table.tsx";
import { AlertList, Facts, Loading, RefusalNote } from "./pieces.tsx";
import { PromptBox } from "./prompt-box.tsx";
import { RunCharts } from "./run-charts.tsx";
import { Checkpoints, Records, Samples } from "./run-records.tsx";
import { useAnswer } from "./use-answer.ts";
import { WindowTimeline } from "./window-timeline.tsx";
import { RunEvents, WindowDetails, WindowTable } from "./window-tables.tsx";

/** Windows asked for, the newest. */
const windowsAsked = 200;
const noWindows: readonly ShownWindow[] = [];

interface MeshRunViewProps {
  /** What this node has of it; null while the run's data has not come here. */
  readonly here: RunStatus | null;
  readonly mesh: MeshRun;
  readonly series: Series | null;
  readonly samples: readonly Sample[];
  onChanged(): void;
}

/** A run that several machines work on: its windows as they come and go, who takes part, and its curves. */
export function MeshRunView({ here, mesh, series, samples, onChanged }: MeshRunViewProps) {
  const { run, name } = mesh;
  const answer = useAnswer<WindowsAnswer>(
    "run/windows",
    { run, limit: windowsAsked },
    {
      on: ({ type, subject }) => subject === run || type.startsWith("cluster."),
      everyMs: isMeshRunOver(mesh) ? 30_000 : 3_000,
    },
  );
  const windows = answer.value?.windows ?? noWindows;
  const events = answer.value?.events ?? mesh.events;
  const { slots, scheduleSteps } = mesh;
  const marks = useMemo(
    () => marksOf(events, { slots, scheduleSteps }),
    [events, slots, scheduleSteps],
  );
  // This node's own steps are of the schedule, what was measured is of revisions.
  const curves = useMemo(() => {
    if (series === null) return null;
    const heldOut = heldOutOver(windows, series.evaluations, { slots, scheduleSteps });
    return { ...series, evaluations: { ...series.evaluations, ...heldOut } };
  }, [series, windows, slots, scheduleSteps]);
  return (
    <>
      <MeshRunHead {...{ mesh, onChanged }} />
      <RefusalNote refused={answer.refused} />
      <RefusalNote refused={mesh.trouble} />
      <AlertList alerts={here?.alerts ?? []} isOfRun={false} />
      <MeshRunReadings mesh={mesh} isTask={here !== null && isAddition(here)} />
      <Windows {...{ mesh, windows, events }} isLoading={answer.value === null} />
      <ParticipantTable mesh={mesh} />
      <RunEvents events={events} />
      {here !== null && <RunCharts {...{ name, marks }} series={curves} />}
      <div class="columns">
        {here === null ? (
          <section class="panel" aria-labelledby="absent-title">
            <h2 id="absent-title">Not on this node yet</h2>
            <p>
              The run's data has not come here, so this node has no curves, checkpoints and texts of
              it. It asks the members that have it.
            </p>
          </section>
        ) : (
          <PromptBox
            run={run}
            checkpoints={here.checkpoints}
            place="revision"
            isTask={isAddition(here)}
          />
        )}
        {here !== null && <Samples samples={samples} />}
        {here !== null && <Checkpoints checkpoints={here.checkpoints} place="revision" />}
        <Agreement mesh={mesh} />
        {here !== null && <Records status={here} />}
      </div>
    </>
  );
}

const nameOfEntry = ({ node, shortId }: { readonly node: string; readonly shortId: string }) =>
  [node, shortId] as const;

interface WindowsProps {
  readonly mesh: MeshRun;
  readonly windows: readonly ShownWindow[];
  readonly events: readonly RunHappening[];
  readonly isLoading: boolean;
}

function Windows({ mesh, windows, events, isLoading }: WindowsProps) {
  const { windowSteps, slotTokens, participants } = mesh;
  const [chosen, setChosen] = useState<number | null>(null);
  const [hasTable, setTable] = useState(false);
  const timeline = useMemo(
    () => timelineOf(windows, events, windowSteps),
    [windows, events, windowSteps],
  );
  const names = useMemo(
    () => new Map([...participants, ...windows.flatMap(({ parts }) => parts)].map(nameOfEntry)),
    [participants, windows],
  );
  const shown = windows.find(({ number }) => number === chosen) ?? windows.at(-1);
  return (
    <section class="panel windows" aria-labelledby="windows-title">
      <div class="chart-head">
        <h2 id="windows-title">Windows</h2>
        <div class="chart-tools">
          <button
            type="button"
            class="small"
            aria-expanded={hasTable}
            aria-label="Table of all windows"
            onClick={() => setTable(!hasTable)}
          >
            table
          </button>
          <button
            type="button"
            class="small"
            disabled={windows.length === 0}
            aria-label="Download windows as CSV"
            onClick={() => download(csvName(mesh.name, "windows"), csvText(windowColumns(windows)))}
          >
            CSV
          </button>
        </div>
      </div>
      {shown === undefined ? (
        isLoading ? (
          <Loading what="windows" />
        ) : (
          <p class="empty">No window yet. The first opens when a node is ready to work.</p>
        )
      ) : (
        <>
          <WindowTimeline {...{ timeline, chosen }} onChoose={setChosen} />
          <WindowLegend hiddenCount={timeline.hiddenCount} />
          <WindowDetails
            window={shown}
            slotTokens={slotTokens}
            nameOf={(node) => names.get(node) ?? node.slice(0, 9)}
          />
          {hasTable && <WindowTable windows={windows} />}
        </>
      )}
    </section>
  );
}

/** What fillings and marks of the picture mean. */
function WindowLegend({ hiddenCount }: { readonly hiddenCount: number }) {
  return (
    <p class="muted">
      A cell is filled as high as its node took steps; × was rejected, ? set aside, – gave nothing,
      · waits for its verdict, … is at work. Bars below tell how long a window took.
      {hiddenCount > 0 && ` ${hiddenCount} more nodes stand in the details alone.`}
    </p>
  );
}

/** What was agreed on when the run began, and where it stands. */
function Agreement({ mesh }: { readonly mesh: MeshRun }) {
  const { spent, revisionDigest: digest } = mesh;
  return (
    <section class="panel" aria-labelledby="agreement-title">
      <h2 id="agreement-title">How the mesh works on it</h2>
      <Facts
        facts={[
          ["begun by", mesh.author],
          ["revision", formatCount(mesh.revision)],
          ...(digest === null
            ? []
            : [["its digest", <Digest name="revision" value={digest} />] as const]),
          ["steps of a window", formatCount(mesh.windowSteps)],
          ["commitment every", `${formatCount(mesh.segmentSteps)} steps`],
          ["codec", codecText(mesh)],
          ["received here", formatBytes(spent?.receivedBytes)],
          ["sent from here", formatBytes(spent?.sentBytes)],
          ["trained here", formatDuration(spent?.trainSeconds)],
          ["judged here", formatDuration(spent?.validateSeconds)],
          ["validators", `${mesh.validators} of each contribution`],
          ["recomputed", `a segment of ${formatPercent(100 * mesh.replay)} of contributions`],
          ["quorum", `${mesh.quorum} must compute the same revision`],
        ]}
      />
    </section>
  );
}
