import { type Curve, extentOf } from "./curve.ts";

/** One curve in a sentence, for those who hear the page. */
export function summarise(
  label: string,
  curve: Curve,
  place: string,
  format: (value: number) => string,
): string {
  const extent = extentOf(curve);
  if (extent === null) return `${label}: no figures yet.`;
  const { first, last, least, leastAt, most, count } = extent;
  if (count === 1) return `${label}: ${format(first)}, one figure.`;
  return (
    `${label}: first ${format(first)}, last ${format(last)}, ` +
    `lowest ${format(least)} at ${place} ${leastAt}, highest ${format(most)}, ${count} figures.`
  );
}
