/** How figures are written on the page: short, of even width, and never `NaN`. */

/** What stands for a figure that is not there. */
export const missing = "–";

type Figure = number | null | undefined;

const isMissing = (value: Figure): value is null | undefined =>
  value === null || value === undefined || Number.isNaN(value);

/** A loss or a norm: four decimals where they tell something, powers of ten at the far ends. */
export function formatFigure(value: Figure): string {
  if (isMissing(value)) return missing;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace("-", "−");
  if (size >= 1000) return formatCount(Math.round(value));
  return value.toFixed(size < 10 ? 4 : size < 100 ? 3 : 1).replace("-", "−");
}

/** A whole number with thin spaces between thousands. */
export function formatCount(value: Figure): string {
  if (isMissing(value)) return missing;
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** 12.3k, 4.56M: three figures and a letter. */
export function formatShort(value: Figure): string {
  if (isMissing(value)) return missing;
  const scales = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const;
  // Rounding comes first, so that 999,999 is 1.00M and not 1000k.
  const rounded = Number(value.toPrecision(3));
  for (const [scale, letter] of scales) {
    if (Math.abs(rounded) >= scale) return `${threeFigures(rounded / scale)}${letter}`;
  }
  return Number.isInteger(rounded) ? String(rounded) : threeFigures(rounded);
}

function threeFigures(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export function formatPercent(value: Figure): string {
  return isMissing(value) ? missing : `${value.toFixed(Math.abs(value) < 10 ? 1 : 0)}\u202f%`;
}

/** Bytes in binary units, as memory and files are spoken of. */
export function formatBytes(value: Figure): string {
  if (isMissing(value)) return missing;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1023.5 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  const text = unit === 0 ? String(scaled) : threeFigures(scaled);
  return `${text}\u202f${units[unit]}`;
}

/** Seconds as people say them: 0.42 s, 12 s, 3 min 20 s, 5 h 12 min, 2 d 3 h. */
export function formatDuration(seconds: Figure): string {
  if (isMissing(seconds) || !Number.isFinite(seconds)) return missing;
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** How long ago: "just now", "3 min ago", then the date. */
export function formatAgo(atMs: Figure, nowMs: number): string {
  if (isMissing(atMs)) return missing;
  const seconds = (nowMs - atMs) / 1000;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return formatTime(atMs).slice(0, 10);
}

/** A moment in the reader's own time zone: 2026-11-21 14:03:07. */
export function formatTime(atMs: Figure): string {
  if (isMissing(atMs)) return missing;
  const date = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * A mark of an axis: no more decimals than tell two marks apart, whatever the format of a single
 * figure.
 */
export function formatTick(
  format: (value: number) => string,
  value: number,
  increment: number,
): string {
  const size = Math.abs(value);
  if (format === formatFigure && (size === 0 || (size >= 1e-3 && size < 1e4))) {
    const decimals = increment > 0 ? Math.ceil(-Math.log10(increment) - 1e-9) : 0;
    return value.toFixed(Math.min(6, Math.max(0, decimals))).replace("-", "−");
  }
  return format(value)
    .replace(/(\.\d*?)0+(?!\d)/, "$1")
    .replace(/\.(?!\d)/, "");
}

/** A digest's beginning, enough to tell two apart. */
export function formatDigest(digest: string | null | undefined): string {
  return digest ? digest.slice(0, 12) : missing;
}

/** A message as a sentence: it begins with a capital and ends with a full stop. */
export function sentenceOf(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…:]$/.test(first) ? first : `${first}.`;
}

/** `learningRate` as `learning rate`. */
export function formatName(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, (_, before: string, letter: string) => {
    return `${before} ${letter.toLowerCase()}`;
  });
}
