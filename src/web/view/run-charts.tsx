import { useMemo } from "preact/hooks";
import type { ChartLine, ChartMark } from "../chart-model.ts";
import { formatDuration, formatFigure, formatPercent } from "../format.ts";
import { type Series, splitParts } from "../series.ts";
import { ChartGrid, type GridChart, lossManner, normManner, rateManner } from "./chart-grid.tsx";

const noMarks: readonly ChartMark[] = [];
const noSteps = "No steps yet: curves begin with the first.";

/** All curves of one run over its steps; the cursors move together. */
export function RunCharts({
  name,
  series,
  marks = noMarks,
}: {
  readonly name: string;
  readonly series: Series | null;
  /** What happened, on the curve of the loss. */
  readonly marks?: readonly ChartMark[];
}) {
  const lines = useMemo(() => linesOf(series), [series]);
  const shared = { subject: name, syncKey: "run", empty: noSteps };
  const all: readonly GridChart[] = [
    { title: "Loss", lines: lines.loss, ...lossManner, marks },
    { title: "Tokens per second", lines: lines.rate, ...rateManner },
    { title: "Share of peak", lines: lines.peak, ...rateManner, format: formatPercent },
    { title: "Learning rate", lines: lines.learningRate, format: formatFigure },
    { title: "Gradient norm", lines: lines.norm, ...normManner },
    { title: "Time of a step", lines: lines.split, format: formatDuration, isArea: true },
  ];
  const charts = all.filter(({ title, lines: drawn }) => !isUnmeasured(title, drawn));
  return <ChartGrid {...{ charts, shared }} />;
}

/** Not every run measures these: where there are steps and nothing of it, there is no chart. */
const measured: readonly string[] = ["Share of peak", "Time of a step"];

function isUnmeasured(title: string, lines: readonly ChartLine[]): boolean {
  if (!measured.includes(title)) return false;
  const values = lines.flatMap(({ curve }) => [...curve.y]);
  return values.length > 0 && values.every((value) => value === null);
}

function linesOf(series: Series | null) {
  const steps = series?.steps;
  const evaluations = series?.evaluations;
  const x = steps?.step ?? [];
  const line = (
    label: string,
    y: ChartLine["curve"]["y"] | undefined,
    colour: number,
  ): ChartLine => ({
    label,
    curve: { x, y: y ?? [] },
    colour,
  });
  const heldOut = { x: evaluations?.step ?? [], y: evaluations?.loss ?? [] };
  return {
    loss: [
      { ...line("training", steps?.loss, 0), isSmoothed: true },
      { label: "held out", curve: heldOut, colour: 1 },
    ],
    rate: [{ ...line("tokens/s", steps?.tokensPerSecond, 2), isSmoothed: true }],
    peak: [{ ...line("% of peak", steps?.percentOfPeak, 3), isSmoothed: true }],
    learningRate: [line("learning rate", steps?.learningRate, 5)],
    norm: [{ ...line("gradient norm", steps?.gradientNorm, 4), isSmoothed: true }],
    split: splitParts.map((part, index) => line(part, steps?.split[part], index)),
  };
}
