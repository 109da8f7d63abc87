/** Figures as people read them. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** 1024 → `1,024`, for counts worth their last digit. */
export function wholeText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** 2.42e6 and `FLOP` → `2.42 MFLOP`. */
export function quantityText(amount: number, unit: string): string {
  return countText(amount).replace(/[a-zA-Z]?$/, (prefix) => ` ${prefix}${unit}`);
}

/** 812 → `812`, 810000 → `810k`, 124439808 → `124M`. */
export function countText(count: number): string {
  const units = ["", "k", "M", "G", "T", "P"];
  let value = count;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? Math.round(value) : value >= 100 ? value.toFixed(0) : value.toPrecision(3)}${units[unit]}`;
}

export function secondsText(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function percentText(percent: number | null): string {
  return percent === null ? "–" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}
