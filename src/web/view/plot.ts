import uPlot from "uplot";
import type { ChartMark } from "../chart-model.ts";
import { formatTick } from "../format.ts";

/** What uPlot draws; figures stay outside so that they can be replaced without drawing anew. */
export interface PlotShape {
  readonly lines: readonly PlotLine[];
  readonly isLogarithmic: boolean;
  readonly isArea: boolean;
  readonly formatX: (value: number) => string;
  readonly formatY: (value: number) => string;
  readonly syncKey: string;
  /** As they are when it is drawn. */
  marks(): readonly ChartMark[];
}

export interface PlotLine {
  readonly label: string;
  /** Which of the eight colours. */
  readonly colour: number;
  readonly isFaint: boolean;
  /** Drawn with its points: few figures, far apart. */
  readonly isSparse: boolean;
  readonly isShown: boolean;
}

export const colourCount = 8;

/** Colours come from the style sheet, so that both themes have theirs in one place. */
function colours(element: Element) {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    line: (index: number) => read(`--series-${index % colourCount}`),
    grid: read("--grid"),
    text: read("--muted"),
  };
}

// The package declares these names for the compiler only.
const linear: unknown = 1;
const logarithmic: unknown = 3;

const font = "11px system-ui, sans-serif";

/** At least one nearly empty decade on a logarithmic axis would leave uPlot without marks. */
function rangeY(isLogarithmic: boolean, isArea: boolean): uPlot.Scale.Range {
  if (isLogarithmic) {
    return (_plot, least, most) =>
      least === null || most === null || least <= 0
        ? [0.1, 10]
        : uPlot.rangeLog(least, most, 10, false);
  }
  return (_plot, least, most) => {
    if (least === null || most === null) return [0, 1];
    if (isArea) return [0, most > 0 ? most * 1.08 : 1];
    const room = (most - least || Math.abs(most) || 1) * 0.06;
    // Figures that are never negative get an axis that is not either.
    return [least >= 0 ? Math.max(0, least - room) : least - room, most + room];
  };
}

export function createPlot(
  element: HTMLElement,
  shape: PlotShape,
  size: { width: number; height: number },
  data: uPlot.AlignedData,
  onCursor: (index: number | null) => void,
): uPlot {
  const palette = colours(element);
  const axis = {
    stroke: palette.text,
    font,
    grid: { stroke: palette.grid, width: 1 },
    ticks: { stroke: palette.grid, width: 1, size: 4 },
  };
  return new uPlot(
    {
      ...size,
      padding: [8, 22, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: shape.syncKey, scales: ["x", null] },
        points: { size: 6 },
        drag: { x: true, y: false },
      },
      scales: {
        x: { time: false, range: (_plot, least, most) => rangeX(least, most) },
        y: {
          distr: (shape.isLogarithmic ? logarithmic : linear) as uPlot.Scale.Distr,
          range: rangeY(shape.isLogarithmic, shape.isArea),
        },
      },
      axes: [
        {
          ...axis,
          size: 26,
          values: (_plot, marks) => marks.map((mark) => formatTick(shape.formatX, mark, 1)),
        },
        {
          ...axis,
          size: 58,
          values: (_plot, marks, _axis, _space, increment) =>
            marks.map((mark) => (mark === null ? "" : formatTick(shape.formatY, mark, increment))),
        },
      ],
      series: [
        {},
        ...shape.lines.map((line): uPlot.Series => {
          const stroke = palette.line(line.colour);
          return {
            label: line.label,
            show: line.isShown,
            stroke: line.isFaint ? `${stroke}55` : stroke,
            width: line.isFaint ? 1 : 1.6,
            spanGaps: true,
            points: { show: line.isSparse, size: 5, fill: stroke },
            ...(shape.isArea ? { fill: stroke, width: 0, points: { show: false } } : {}),
          };
        }),
      ],
      hooks: {
        setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
        draw: [(plot) => drawMarks(plot, shape.marks(), palette.text)],
      },
    },
    data,
    element,
  );
}

/** Marks closer than this, in pixels, have their letters in one place. */
const letterRoom = 22;
/** Letters of one place; what more there is stands in the view's list. */
const lettersMaximum = 3;

/** A dashed line for each place where something happened, the letters of what it was at the top. */
function drawMarks(plot: uPlot, marks: readonly ChartMark[], colour: string): void {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  const groups: { readonly at: number; readonly letters: Set<string> }[] = [];
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  ctx.lineWidth = ratio;
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  const lines = new Set<number>();
  for (const { x, letter } of marks) {
    const at = Math.round(plot.valToPos(x, "x", true));
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    lines.add(at);
    const last = groups.at(-1);
    if (last !== undefined && at - last.at < letterRoom * ratio) last.letters.add(letter);
    else groups.push({ at, letters: new Set([letter]) });
  }
  for (const at of lines) {
    ctx.beginPath();
    ctx.moveTo(at, bbox.top + 14 * ratio);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
  }
  for (const { at, letters } of groups) {
    const text = [...letters].join("");
    const shown = letters.size > lettersMaximum ? `${text.slice(0, lettersMaximum)}+` : text;
    ctx.fillText(shown, at, bbox.top + ratio);
  }
  ctx.restore();
}

function rangeX(least: number | null, most: number | null): [number, number] {
  if (least === null || most === null) return [0, 1];
  return most > least ? [least, most] : [least - 1, most + 1];
}

/** Moves the cursor to a place of the data, as a mouse would. */
export function moveCursor(plot: uPlot, index: number | null): void {
  const place = index === null ? undefined : plot.data[0][index];
  if (place === undefined) plot.setCursor({ left: -10, top: -10 });
  else plot.setCursor({ left: plot.valToPos(place, "x"), top: plot.over.clientHeight / 2 });
}
