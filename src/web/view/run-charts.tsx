import { useMemo } from "preact/hooks";
import type { ChartLine } from "../chart-model.ts";
import { formatDuration, formatFigure, formatPercent, formatShort } from "../format.ts";
import { type Series, splitParts } from "../series.ts";
import { Chart } from "./chart.tsx";

const noSteps = "No steps yet: curves begin with the first.";

/** All curves of one run over its steps; the cursors move together. */
export function RunCharts({
  name,
  series,
}: {
  readonly name: string;
  readonly series: Series | null;
}) {
  const lines = useMemo(() => linesOf(series), [series]);
  const shared = { subject: name, syncKey: "run", empty: noSteps };
  return (
    <div class="charts">
      <div class="wide">
        <Chart
          {...shared}
          title="Loss"
          lines={lines.loss}
          format={formatFigure}
          smoothing={0.6}
          isTall
        />
      </div>
      <Chart
        {...shared}
        title="Tokens per second"
        lines={lines.rate}
        format={formatShort}
        smoothing={0.9}
      />
      <Chart
        {...shared}
        title="Share of peak"
        lines={lines.peak}
        format={formatPercent}
        smoothing={0.9}
      />
      <Chart {...shared} title="Learning rate" lines={lines.learningRate} format={formatFigure} />
      <Chart
        {...shared}
        title="Gradient norm"
        lines={lines.norm}
        format={formatFigure}
        smoothing={0.6}
      />
      <div class="wide">
        <Chart
          {...shared}
          title="Time of a step"
          lines={lines.split}
          format={formatDuration}
          isArea
        />
      </div>
    </div>
  );
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
