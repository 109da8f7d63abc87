const units = ["B", "kB", "MB", "GB", "TB"] as const;

/** A size as people write it: `500MB`, `20GB`; units are powers of a thousand. */
export const byteSizeShape = /^(\d{1,6})(kB|MB|GB|TB)$/;

/** Bytes of such a text, or null where it is none. */
export function bytesOf(text: string): number | null {
  const match = byteSizeShape.exec(text);
  if (match === null) return null;
  return Number(match[1]) * 1_000 ** units.indexOf(match[2] as (typeof units)[number]);
}

/** A size for people, three digits of it. */
export function showBytes(sizeBytes: number): string {
  let [value, unit] = [sizeBytes, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1_000, unit + 1];
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}
