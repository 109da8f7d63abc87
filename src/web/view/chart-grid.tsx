import type { ChartLine, ChartMark } from "../chart-model.ts";
import { formatFigure, formatShort } from "../format.ts";
import { Chart, type ChartProps } from "./chart.tsx";

/** How a figure of a run is drawn, whichever view draws it. */
type Manner = Pick<ChartProps, "format" | "smoothing" | "isTall" | "isArea">;

export const lossManner: Manner = { format: formatFigure, smoothing: 0.6, isTall: true };
export const rateManner: Manner = { format: formatShort, smoothing: 0.9 };
export const normManner: Manner = { format: formatFigure, smoothing: 0.6 };

export interface GridChart extends Manner {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  readonly marks?: readonly ChartMark[];
}

interface ChartGridProps {
  readonly charts: readonly GridChart[];
  /** What all of them have in common. */
  readonly shared: Pick<ChartProps, "subject" | "syncKey" | "place" | "formatX" | "empty">;
}

/** Charts beside one another; the tall ones and areas take the whole width. */
export function ChartGrid({ charts, shared }: ChartGridProps) {
  return (
    <div class="charts">
      <h2 class="visually-hidden">Curves</h2>
      {charts.map((chart) => (
        <div key={chart.title} class={chart.isTall || chart.isArea ? "wide" : ""}>
          <Chart {...shared} {...chart} />
        </div>
      ))}
    </div>
  );
}
