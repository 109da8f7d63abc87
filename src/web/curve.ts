/** Arithmetic of curves: what stands between a run's figures and what is drawn. */

export type Values = readonly (number | null)[];

/** One curve with places of its own. */
export interface Curve {
  readonly x: readonly number[];
  readonly y: Values;
}

/** Curves over one ascending list of places; null where a curve has no figure. */
export interface Joined {
  readonly x: number[];
  readonly y: (number | null)[][];
}

/** A chart draws at most this many places; more would not be seen. */
export const drawnMaximum = 2_000;

/** Brings curves with different places onto one list. Each curve's places ascend. */
export function joinCurves(curves: readonly Curve[]): Joined {
  const places = [...new Set(curves.flatMap(({ x }) => x))].sort((a, b) => a - b);
  const indexOf = new Map(places.map((place, index) => [place, index]));
  const y = curves.map((curve) => {
    const column = new Array<number | null>(places.length).fill(null);
    for (const [position, place] of curve.x.entries()) {
      column[indexOf.get(place)!] = curve.y[position] ?? null;
    }
    return column;
  });
  return { x: places, y };
}

/**
 * Which of `count` points to keep so that at most `most` are left: the lowest and the highest of
 * each stretch of `values`, so that no spike disappears, and always the first and the last.
 */
export function choosePoints(values: Values, most: number): number[] {
  const count = values.length;
  if (count <= most) return values.map((_, index) => index);
  const stretches = Math.max(1, Math.floor((most - 2) / 2));
  const chosen = new Set<number>([0, count - 1]);
  for (let stretch = 0; stretch < stretches; stretch++) {
    const from = Math.floor((stretch * count) / stretches);
    const to = Math.floor(((stretch + 1) * count) / stretches);
    let lowest = -1;
    let highest = -1;
    for (let index = from; index < to; index++) {
      const value = values[index];
      if (value === null || value === undefined) continue;
      if (lowest < 0 || value < values[lowest]!) lowest = index;
      if (highest < 0 || value > values[highest]!) highest = index;
    }
    if (lowest >= 0) chosen.add(lowest).add(highest);
  }
  return [...chosen].sort((a, b) => a - b);
}

export function thinCurve(curve: Curve, most = drawnMaximum): Curve {
  if (curve.x.length <= most) return curve;
  const chosen = choosePoints(curve.y, most);
  return {
    x: chosen.map((index) => curve.x[index]!),
    y: chosen.map((index) => curve.y[index] ?? null),
  };
}

/**
 * Exponential moving average. `weight` in [0, 1) is the share of the past; 0 changes nothing. The
 * start is corrected for the average's beginning at zero, as Adam does (arXiv:1412.6980, section 3).
 */
export function smooth(values: Values, weight: number): (number | null)[] {
  if (weight <= 0) return [...values];
  let average = 0;
  let past = 1;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return value;
    average = weight * average + (1 - weight) * value;
    past *= weight;
    return average / (1 - past);
  });
}

/** Sums from the last series to the first, so that areas drawn in order lie on one another. */
export function stack(series: readonly Values[]): (number | null)[][] {
  const below: number[] = new Array<number>(series[0]?.length ?? 0).fill(0);
  const stacked: (number | null)[][] = [];
  for (let index = series.length - 1; index >= 0; index--) {
    stacked.unshift(
      series[index]!.map((value, position) => {
        below[position]! += value ?? 0;
        return below[position]!;
      }),
    );
  }
  return stacked;
}

/** A logarithmic axis has no place for zero and below. */
export function positiveOnly(values: Values): (number | null)[] {
  return values.map((value) => (value !== null && value > 0 ? value : null));
}

/** Running sum of seconds per step between points that may be many steps apart. */
export function elapsedSeconds(steps: readonly number[], secondsPerStep: Values): number[] {
  let total = 0;
  let before = 0;
  return steps.map((step, index) => {
    total += (secondsPerStep[index] ?? 0) * Math.max(0, step - before);
    before = step;
    return total;
  });
}

/** The value of `column` at the last place not after `place`, or null before the first. */
export function valueAt(places: readonly number[], column: Values, place: number): number | null {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle]! <= place) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? null : (column[low - 1] ?? null);
}

export interface Extent {
  readonly first: number;
  readonly last: number;
  readonly least: number;
  readonly most: number;
  readonly leastAt: number;
  readonly count: number;
}

/** What a reader who cannot see the curve is told of it; null when it has no figures. */
export function extentOf(curve: Curve): Extent | null {
  let extent: Extent | null = null;
  for (const [index, value] of curve.y.entries()) {
    if (value === null || !Number.isFinite(value)) continue;
    const at = curve.x[index]!;
    if (extent === null) {
      extent = { first: value, last: value, least: value, most: value, leastAt: at, count: 1 };
      continue;
    }
    const isLeast: boolean = value < extent.least;
    extent = {
      first: extent.first,
      last: value,
      least: isLeast ? value : extent.least,
      most: Math.max(extent.most, value),
      leastAt: isLeast ? at : extent.leastAt,
      count: extent.count + 1,
    };
  }
  return extent;
}
