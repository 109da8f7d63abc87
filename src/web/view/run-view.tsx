import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  formatCount,
  formatDuration,
  formatFigure,
  formatPercent,
  formatShort,
} from "../format.ts";
import { addSight, secondsLeft, type Sight } from "../progress.ts";
import {
  isActive,
  isAddition,
  isSketch,
  type RunSketch,
  type RunStatus,
  type Sample,
  tokensPerStep,
} from "../protocol.ts";
import { hashOf } from "../router.ts";
import { lastStepOf, type Series } from "../series.ts";
import { isMeshRunOver } from "../window-words.ts";
import { asRefused, call, type Refused } from "./node-client.ts";
import { MeshRunView } from "./mesh-run-view.tsx";
import { AlertList, Loading, Progress, Reading, RefusalNote, StateMark } from "./pieces.tsx";
import { PromptBox } from "./prompt-box.tsx";
import { RunCharts } from "./run-charts.tsx";
import { Checkpoints, Records, Samples } from "./run-records.tsx";
import { useAnswer } from "./use-answer.ts";
import { useSeries } from "./use-series.ts";

/** What other nodes do moves a run of the mesh, and this node's journal need not tell of it. */
const meshEveryMs = 2_000;
const statusTypes = /^run\.(started|evaluation|checkpoint|sample|state|alert)$/;

/** One run: its curves as they grow, what it wrote, its checkpoints, and what decided its bits. */
export function RunView({ wanted }: { readonly wanted: string }) {
  const id = useRef("");
  const isOfMesh = useRef(false);
  const status = useAnswer<RunStatus | RunSketch>(
    "run/status",
    { run: wanted },
    {
      on: ({ type, subject }) =>
        subject === id.current && (isOfMesh.current || statusTypes.test(type)),
      everyMs: isOfMesh.current ? meshEveryMs : 15_000,
    },
  );
  const { value } = status;
  const mesh = value?.mesh ?? null;
  id.current = value?.run ?? "";
  isOfMesh.current = mesh !== null && !isMeshRunOver(mesh);
  const isRunning = isOfMesh.current || (value !== null && isActive(value.state));
  // Curves and texts are of this node: there are none where it has only heard of the run.
  const here = value === null || isSketch(value) ? null : value;
  const { series, refused } = useSeries(here?.run ?? null, isRunning);
  const samples = useAnswer<{ samples: Sample[] }>(
    here === null ? null : "run/samples",
    { run: here?.run ?? "" },
    { on: ({ type, subject }) => type === "run.sample" && subject === id.current },
  );
  if (value === null) {
    return (
      <>
        <h1>Run {wanted}</h1>
        <RefusalNote refused={status.refused} />
        {status.refused === null ? <Loading what="the run" /> : <a href="#/">All runs</a>}
      </>
    );
  }
  if (mesh !== null)
    return (
      <>
        <MeshRunView
          {...{ mesh, series }}
          here={here}
          samples={samples.value?.samples ?? here?.samples ?? []}
          onChanged={status.refresh}
        />
        <RefusalNote refused={status.refused ?? refused} />
      </>
    );
  if (here === null) return <Loading what="the run" />;
  return (
    <>
      <RunHead status={here} series={series} onChanged={status.refresh} />
      <RefusalNote refused={status.refused ?? refused} />
      <AlertList alerts={here.alerts ?? []} isOfRun={false} />
      <RunReadings status={here} series={series} />
      {!isRunning && series?.steps.step.length === 0 ? (
        <p class="panel empty">No step was taken, so there are no curves.</p>
      ) : (
        <RunCharts name={here.name} series={series} />
      )}
      <div class="columns">
        <PromptBox run={here.run} checkpoints={here.checkpoints} isTask={isAddition(here)} />
        <Samples samples={samples.value?.samples ?? here.samples ?? []} />
        <Checkpoints checkpoints={here.checkpoints} />
        <Records status={here} />
      </div>
    </>
  );
}

interface RunHeadProps {
  readonly status: RunStatus;
  readonly series: Series | null;
  onChanged(): void;
}

function RunHead({ status, series, onChanged }: RunHeadProps) {
  const { name, state, steps } = status;
  const [refused, setRefused] = useState<Refused | null>(null);
  const [isStopping, setStopping] = useState(false);
  const isRunning = isActive(state);
  const step = Math.max(status.step, lastStepOf(series));
  const sights = useRef<readonly Sight[]>([]);
  const left = useMemo(() => {
    sights.current = addSight(sights.current, { atMs: performance.now(), step });
    return isRunning ? secondsLeft(sights.current, steps) : null;
  }, [step, steps, isRunning]);
  useEffect(() => {
    if (!isRunning) setStopping(false);
  }, [isRunning]);
  const stop = async () => {
    setStopping(true);
    setRefused(null);
    try {
      await call("run/stop", { run: status.run });
      onChanged();
    } catch (error) {
      setRefused(asRefused(error));
      setStopping(false);
    }
  };
  return (
    <div class="run-head">
      <div class="run-title">
        <h1>{name}</h1>
        <StateMark state={state} />
        <span class="run-actions">
          <a href={hashOf({ view: "compare", runs: [name], axis: "step" })}>Compare</a>
          {isRunning && (
            <button type="button" class="danger" disabled={isStopping} onClick={() => void stop()}>
              {isStopping ? "Stopping…" : "Stop"}
            </button>
          )}
        </span>
      </div>
      <div class="run-progress">
        <Progress name={name} step={step} steps={steps} />
        <span class="figure">
          step {formatCount(step)} of {formatCount(steps)}
        </span>
        <span class="figure muted">
          {isRunning ? (left === null ? "…" : `${formatDuration(left)} left`) : ""}
        </span>
      </div>
      {state === "stopped" || state === "interrupted" || state === "crashed" ? (
        <p class="muted">
          Go on with <code>psionic train --resume {name}</code>
        </p>
      ) : null}
      <RefusalNote refused={refused} />
    </div>
  );
}

function RunReadings(props: { readonly status: RunStatus; readonly series: Series | null }) {
  const { status, series } = props;
  const last = <T,>(values: readonly T[] | undefined): T | null => values?.at(-1) ?? null;
  const steps = series?.steps;
  const evaluation = status.evaluations.at(-1);
  const exact = evaluation?.exactMatch;
  const isTask = isAddition(status);
  const perStep = tokensPerStep(status.manifest);
  const step = Math.max(status.step, lastStepOf(series));
  return (
    <dl class="readings">
      <Reading label="Loss" note="training">
        {formatFigure(last(steps?.loss) ?? status.last?.loss)}
      </Reading>
      <Reading
        label="Held out"
        note={evaluation ? `step ${formatCount(evaluation.step)}` : undefined}
      >
        {formatFigure(evaluation?.loss)}
      </Reading>
      {isTask ? (
        <Reading label="Right" note="of held-out problems">
          {formatPercent(typeof exact === "number" ? exact * 100 : null)}
        </Reading>
      ) : (
        <Reading label="Bits per byte" note="held out">
          {formatFigure(evaluation?.bitsPerByte)}
        </Reading>
      )}
      <Reading label="Tokens/s" note={perStep ? `${formatShort(perStep)} a step` : undefined}>
        {formatShort(last(steps?.tokensPerSecond) ?? status.last?.tokensPerSecond)}
      </Reading>
      <Reading label="Of peak" note="of this machine">
        {formatPercent(last(steps?.percentOfPeak) ?? status.percentOfPeak)}
      </Reading>
      <Reading label="Tokens" note={status.manifest.size}>
        {formatShort(perStep === null ? null : perStep * step)}
      </Reading>
    </dl>
  );
}
