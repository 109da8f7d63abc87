import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ChartLine } from "../chart-model.ts";
import { type Curve, elapsedSeconds, type Values, valueAt } from "../curve.ts";
import { formatCount, formatDuration, formatFigure, formatShort } from "../format.ts";
import { isActive, type RunLine, type RunStatus, tokensPerStep } from "../protocol.ts";
import { axes, type Axis, comparedMaximum, hashOf } from "../router.ts";
import { type Series, stepSeconds } from "../series.ts";
import { ChartGrid, type GridChart, lossManner, normManner, rateManner } from "./chart-grid.tsx";
import { Loading, RefusalNote, StateMark } from "./pieces.tsx";
import { figures, Table } from "./table.tsx";
import { useAnswer } from "./use-answer.ts";
import { useSeries } from "./use-series.ts";

const axisNames: Readonly<Record<Axis, string>> = {
  step: "Steps",
  tokens: "Tokens",
  seconds: "Time of training",
};

interface Compared {
  readonly status: RunStatus;
  readonly series: Series;
}

/** Several runs over one another. Which ones stands in the address, so a comparison is a link. */
export function CompareView({
  runs,
  axis,
}: {
  readonly runs: readonly string[];
  readonly axis: Axis;
}) {
  const all = useAnswer<{ runs: RunLine[] }>(
    "runs",
    {},
    {
      on: ({ type }) => type === "run.created" || type === "run.state",
    },
  );
  const [compared, setCompared] = useState<ReadonlyMap<string, Compared>>(new Map());
  const chosen = runs.flatMap((run) => {
    const found = compared.get(run);
    return found ? [{ run, ...found }] : [];
  });
  const go = (next: readonly string[], over: Axis) => {
    location.replace(hashOf({ view: "compare", runs: next, axis: over }));
  };
  const toggle = (name: string) =>
    go(runs.includes(name) ? runs.filter((each) => each !== name) : [...runs, name], axis);
  return (
    <>
      <h1>Compare</h1>
      <RefusalNote refused={all.refused} />
      <section class="panel" aria-labelledby="choice-title">
        <h2 id="choice-title">Runs</h2>
        {all.value === null ? (
          all.refused === null && <Loading what="runs" />
        ) : all.value.runs.length === 0 ? (
          <p class="empty">
            No runs yet. <a href="#/">Start one</a>, then compare it with another.
          </p>
        ) : (
          <RunChoice {...{ runs, toggle }} all={all.value.runs} />
        )}
        <fieldset class="choices">
          <legend>Over</legend>
          {axes.map((each) => (
            <label key={each}>
              <input
                type="radio"
                name="axis"
                checked={axis === each}
                onChange={() => go(runs, each)}
              />{" "}
              {axisNames[each]}
            </label>
          ))}
        </fieldset>
      </section>
      {runs.map((run) => (
        <RunLoader
          key={run}
          run={run}
          onLoaded={(found) => setCompared((before) => new Map(before).set(run, found))}
        />
      ))}
      {runs.length === 0 ? (
        <p class="empty">Choose two runs or more to see their curves over one another.</p>
      ) : (
        <Curves {...{ chosen, axis }} />
      )}
      {chosen.length > 0 && <Figures chosen={chosen} />}
    </>
  );
}

function RunChoice(props: {
  readonly all: readonly RunLine[];
  readonly runs: readonly string[];
  toggle(name: string): void;
}) {
  const { all, runs, toggle } = props;
  return (
    <ul class="run-choice scroll" tabIndex={0} aria-label={`Choose up to ${comparedMaximum} runs`}>
      {all.map(({ run, name, state, valLoss }) => {
        const isChosen = runs.includes(name) || runs.includes(run);
        return (
          <li key={run}>
            <label>
              <input
                type="checkbox"
                checked={isChosen}
                disabled={!isChosen && runs.length >= comparedMaximum}
                onChange={() => toggle(runs.includes(run) ? run : name)}
              />
              <span>{name}</span> <StateMark state={state} />
              <span class="figure muted">{formatFigure(valLoss)}</span>
            </label>
          </li>
        );
      })}
    </ul>
  );
}

/** Keeps one run's figures current; draws only its refusal. */
function RunLoader(props: { readonly run: string; onLoaded(found: Compared): void }) {
  const id = useRef("");
  const status = useAnswer<RunStatus>(
    "run/status",
    { run: props.run },
    { on: ({ type, subject }) => type === "run.state" && subject === id.current },
  );
  const { value } = status;
  id.current = value?.run ?? "";
  const { series, refused } = useSeries(
    value?.run ?? null,
    value !== null && isActive(value.state),
  );
  useEffect(() => {
    if (value !== null && series !== null) props.onLoaded({ status: value, series });
  }, [value, series]);
  return <RefusalNote refused={status.refused ?? refused} />;
}

interface Chosen extends Compared {
  readonly run: string;
}

/** The places of a run's steps and evaluations on the chosen axis. */
function placesOf({ status, series }: Compared, axis: Axis) {
  const { step } = series.steps;
  const evaluated = series.evaluations.step;
  if (axis === "tokens") {
    const perStep = tokensPerStep(status.manifest) ?? 1;
    return {
      steps: step.map((each) => each * perStep),
      evaluations: evaluated.map((each) => each * perStep),
    };
  }
  if (axis === "seconds") {
    const elapsed = elapsedSeconds(step, stepSeconds(series.steps));
    return {
      steps: elapsed,
      evaluations: evaluated.map((each) => valueAt(step, elapsed, each) ?? 0),
    };
  }
  return { steps: step, evaluations: evaluated };
}

function Curves({ chosen, axis }: { readonly chosen: readonly Chosen[]; readonly axis: Axis }) {
  const lines = useMemo(() => {
    const placed = chosen.map((each) => ({ ...each, places: placesOf(each, axis) }));
    const over = (pick: (each: (typeof placed)[number]) => Curve, isSmoothed: boolean) =>
      placed.map((each, colour): ChartLine => ({
        label: each.status.name,
        curve: pick(each),
        colour,
        isSmoothed,
      }));
    const steps = (values: (series: Series) => Values) =>
      over(({ places, series }) => ({ x: places.steps, y: values(series) }), true);
    return {
      heldOut: over(
        ({ places, series }) => ({ x: places.evaluations, y: series.evaluations.loss }),
        false,
      ),
      loss: steps(({ steps }) => steps.loss),
      norm: steps(({ steps }) => steps.gradientNorm),
      rate: steps(({ steps }) => steps.tokensPerSecond),
    };
  }, [chosen.map(({ run }) => run).join(), ...chosen.map(({ series }) => series), axis]);
  const shared = {
    subject: "compare",
    syncKey: "compare",
    place: axis === "seconds" ? "second" : axis === "tokens" ? "token" : "step",
    formatX: axis === "seconds" ? formatDuration : axis === "tokens" ? formatShort : formatCount,
    empty: "No figures yet.",
  };
  const charts: readonly GridChart[] = [
    { title: "Training loss", lines: lines.loss, ...lossManner },
    { title: "Held-out loss", lines: lines.heldOut, format: formatFigure, isTall: true },
    { title: "Gradient norm", lines: lines.norm, ...normManner },
    { title: "Tokens per second", lines: lines.rate, ...rateManner },
  ];
  return <ChartGrid key={axis} {...{ charts, shared }} />;
}

const figureColumns = [
  ...["Run", "State", "Size", figures("Steps"), figures("Loss"), figures("Held out")],
  ...["Numerics", "Seed"],
];

function Figures({ chosen }: { readonly chosen: readonly Chosen[] }) {
  return (
    <section class="panel" aria-labelledby="figures-title">
      <h2 id="figures-title">Side by side</h2>
      <Table label="Runs side by side" columns={figureColumns}>
        {chosen.map(({ status, series }) => (
          <tr key={status.run}>
            <th scope="row">
              <a href={hashOf({ view: "run", run: status.name })}>{status.name}</a>
            </th>
            <td>
              <StateMark state={status.state} />
            </td>
            <td>{status.manifest.size}</td>
            <td class="number">{formatCount(series.steps.step.at(-1))}</td>
            <td class="number">{formatFigure(series.steps.loss.at(-1))}</td>
            <td class="number">{formatFigure(series.evaluations.loss.at(-1))}</td>
            <td>{status.manifest.lane}</td>
            <td>{status.manifest.seed}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
