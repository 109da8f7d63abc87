import { type Columns } from "./csv.ts";
import {
  type Curve,
  joinCurves,
  positiveOnly,
  smooth,
  stack,
  thinCurve,
  type Values,
} from "./curve.ts";

/** A curve of a chart as its view declares it. */
export interface ChartLine {
  readonly label: string;
  readonly curve: Curve;
  /** Which of the eight colours of the style sheet. */
  readonly colour: number;
  /** Smoothed by the slider; evaluations are not. */
  readonly isSmoothed?: boolean;
}

/** Something that happened at a place of the curves: a letter on them, and what it stands for. */
export interface ChartMark {
  readonly x: number;
  readonly letter: string;
  readonly words: string;
}

export interface ChartChoices {
  readonly smoothing: number;
  readonly isLogarithmic: boolean;
  readonly isArea: boolean;
  /** Labels of the lines that are switched off. */
  readonly hidden: ReadonlySet<string>;
}

export interface DrawnLine {
  readonly label: string;
  readonly colour: number;
  readonly isFaint: boolean;
  readonly isSparse: boolean;
  readonly isShown: boolean;
}

export interface Drawing {
  readonly lines: readonly DrawnLine[];
  readonly x: number[];
  readonly y: (number | null)[][];
  /** How many points of the run one place of an area is the mean of. */
  readonly averaged: number;
}

/** A curve of so few figures is drawn with its points. */
const sparseCount = 60;

/** What is drawn of the lines under these choices: smoothed, thinned, stacked, on one list of places. */
export function drawingOf(lines: readonly ChartLine[], choices: ChartChoices): Drawing {
  const drawn: DrawnLine[] = [];
  const curves: Curve[] = [];
  const add = (line: ChartLine, y: Values, isFaint: boolean) => {
    const curve = thinCurve({ x: line.curve.x, y });
    const figures = curve.y.reduce<number>((count, value) => count + (value === null ? 0 : 1), 0);
    curves.push(curve);
    drawn.push({
      label: line.label,
      colour: line.colour,
      isFaint,
      isSparse: !isFaint && figures <= (line.isSmoothed ? 1 : sparseCount),
      isShown: !choices.hidden.has(line.label),
    });
  };
  if (choices.isArea) return areaOf(lines, choices);
  for (const line of lines) {
    const isSmooth = line.isSmoothed === true && choices.smoothing > 0;
    if (isSmooth) add(line, line.curve.y, true);
    add(line, isSmooth ? smooth(line.curve.y, choices.smoothing) : line.curve.y, false);
  }
  const joined = joinCurves(curves);
  return {
    lines: drawn,
    x: joined.x,
    y: choices.isLogarithmic ? joined.y.map(positiveOnly) : joined.y,
    averaged: 1,
  };
}

/** An area is drawn at so many places; more would be needles. */
const areaMaximum = 160;

/**
 * Areas share their places; every curve of one chart comes from the same columns. Where there are
 * many, neighbours are averaged: areas tell shares, and a single long step would hide them.
 */
function areaOf(lines: readonly ChartLine[], { hidden }: ChartChoices): Drawing {
  const places = lines[0]?.curve.x ?? [];
  const averaged = Math.max(1, Math.ceil(places.length / areaMaximum));
  const shown = lines.map(({ label, curve }) => {
    const means = averageOf(curve.y, averaged);
    return hidden.has(label) ? means.map(() => 0) : means;
  });
  return {
    lines: lines.map(({ label, colour }) => ({
      ...{ label, colour },
      ...{ isFaint: false, isSparse: false, isShown: !hidden.has(label) },
    })),
    x: places.filter((_, index) => isEnd(index, places.length, averaged)),
    y: stack(shown),
    averaged,
  };
}

/** Stretches are counted from the last place, which ends one. */
const isEnd = (index: number, count: number, stride: number) => (count - 1 - index) % stride === 0;

/** The mean of each stretch of so many values, null where it has none. */
function averageOf(values: Values, stride: number): (number | null)[] {
  const means: (number | null)[] = [];
  let sum = 0;
  let count = 0;
  for (const [index, value] of values.entries()) {
    if (value !== null) {
      sum += value;
      count++;
    }
    if (!isEnd(index, values.length, stride)) continue;
    means.push(count > 0 ? sum / count : null);
    sum = 0;
    count = 0;
  }
  return means;
}

/** The figures themselves, unsmoothed: what the table shows and the CSV holds. */
export function columnsOf(lines: readonly ChartLine[], placeName: string): Columns {
  const joined = joinCurves(lines.map(({ curve }) => curve));
  return {
    names: [placeName, ...lines.map(({ label }) => label)],
    values: [joined.x, ...joined.y],
  };
}

/** A table on the page shows at most this many rows; the CSV has all. */
export const tableRowMaximum = 200;

/** Every n-th row, counted from the last, which is always shown. */
export function tableRows(columns: Columns, most = tableRowMaximum): number[] {
  const count = columns.values[0]?.length ?? 0;
  const every = Math.max(1, Math.ceil(count / most));
  const rows: number[] = [];
  for (let row = count - 1; row >= 0; row -= every) rows.push(row);
  return rows.reverse();
}

/** Marks that are passed on the way from one drawn place to the next, which a reader of the curve is told of. */
export function marksBetween(
  marks: readonly ChartMark[],
  places: readonly number[],
  index: number,
): readonly ChartMark[] {
  const at = places[index];
  if (at === undefined) return [];
  const before = index === 0 ? -Infinity : (places[index - 1] ?? -Infinity);
  const isLast = index === places.length - 1;
  return marks.filter(({ x }) => x > before && (x <= at || isLast));
}
