/** A curve in one line of text: each column the mean of its share of the values. */
const bars = "▁▂▃▄▅▆▇█";

export function sparkline(values: readonly number[], width: number): string {
  const finite = values.filter(Number.isFinite);
  const columns = Math.min(width, finite.length);
  if (columns <= 0) return "";
  const means = Array.from({ length: columns }, (_, column) => {
    const from = Math.floor((column * finite.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * finite.length) / columns));
    const share = finite.slice(from, to);
    return share.reduce((sum, value) => sum + value, 0) / share.length;
  });
  const least = Math.min(...means);
  const range = Math.max(...means) - least;
  return means
    .map((mean) => bars[range === 0 ? 0 : Math.min(7, Math.floor(((mean - least) / range) * 8))])
    .join("");
}

/** Keeps at most this many points of a series that never ends, by halving when it is full. */
export class Series {
  readonly values: number[] = [];
  #every = 1;
  #seen = 0;

  constructor(readonly maximum = 512) {}

  add(value: number): void {
    if (this.#seen++ % this.#every === 0) this.values.push(value);
    if (this.values.length < this.maximum) return;
    for (let index = 0; 2 * index < this.values.length; index++)
      this.values[index] = this.values[2 * index]!;
    this.values.length = Math.ceil(this.values.length / 2);
    this.#every *= 2;
  }
}
