/** What a run's record says of slots, windows and recoveries: recounted from the events alone. */

export interface Slice {
  readonly first: number;
  readonly count: number;
}

export interface RunEntry {
  readonly index: number;
  /** By the coordinator's clock. */
  readonly atMs: number;
  readonly author: string;
  readonly command: {
    readonly kind: string;
    readonly worker?: string;
    readonly statement?: {
      readonly node: string;
      readonly said: { readonly saying: string } & Record<string, unknown>;
    };
  };
  readonly decided: {
    readonly tasks?: readonly {
      readonly worker: string;
      readonly steps: number;
      readonly slices: readonly Slice[];
    }[];
    readonly accepted?: readonly string[];
    readonly scores?: readonly {
      readonly worker: string;
      readonly outcome: string;
      readonly reasons: readonly string[];
    }[];
    readonly past?: { readonly outcome: string; readonly acceptedSlots: number };
    readonly held?: string;
  };
  readonly chain: string;
}

const sayingOf = ({ command }: RunEntry) => command.statement?.said.saying ?? null;
export const isPromotion = ({ decided }: RunEntry) => decided.past?.outcome === "promoted";

/** Slices of all promoted windows. */
export function acceptedSlices(entries: readonly RunEntry[]): readonly Slice[] {
  const found: Slice[] = [];
  let tasks: NonNullable<RunEntry["decided"]["tasks"]> = [];
  let accepted = new Set<string>();
  for (const entry of entries) {
    const { command, decided } = entry;
    if (decided.tasks !== undefined) tasks = decided.tasks;
    if (decided.accepted !== undefined) accepted = new Set(decided.accepted);
    if (command.kind === "contribution-lost") accepted.delete(command.worker!);
    if (isPromotion(entry))
      found.push(
        ...tasks.filter(({ worker }) => accepted.has(worker)).flatMap(({ slices }) => slices),
      );
  }
  return found;
}

/** How many slots the slices have together; fails where one of them is in two. */
export function countApart(slices: readonly Slice[]): number {
  let count = 0;
  let end = 0;
  for (const slice of slices.toSorted((a, b) => a.first - b.first)) {
    if (slice.first < end) throw new Error(`slot ${slice.first} counts twice`);
    end = slice.first + slice.count;
    count += slice.count;
  }
  return count;
}

/**
 * Slots promoted between two moments, and the milliseconds that took: from the last promotion before the one, or the
 * first at all, to the first after the other.
 */
export function progressIn(
  entries: readonly RunEntry[],
  fromMs: number,
  toMs: number,
): { readonly slots: number; readonly spanMs: number; readonly windows: number } {
  const promotions = entries.filter(isPromotion);
  const first = promotions.findLastIndex(({ atMs }) => atMs <= fromMs);
  const last = promotions.findIndex(({ atMs }) => atMs >= toMs);
  const [begin, ...rest] = promotions.slice(
    Math.max(0, first),
    last < 0 ? promotions.length : last + 1,
  );
  const slots = rest.reduce((sum, { decided }) => sum + decided.past!.acceptedSlots, 0);
  const spanMs = (rest.at(-1)?.atMs ?? 0) - (begin?.atMs ?? 0);
  return { slots, spanMs: Math.max(0, spanMs), windows: rest.length };
}

const work: readonly (string | null)[] = ["contribution", "verdict", "revision"];

/** When somebody's work stood in the log for the first time after a moment; null where none did. */
export function workAfter(
  entries: readonly RunEntry[],
  afterMs: number,
  isOf: (node: string) => boolean,
): number | null {
  const found = entries.find(
    (entry) =>
      entry.atMs > afterMs && work.includes(sayingOf(entry)) && isOf(entry.command.statement!.node),
  );
  return found?.atMs ?? null;
}

/** What the scores call a lie. */
export function rejections(entries: readonly RunEntry[]): readonly string[] {
  return entries.flatMap(({ decided }) =>
    (decided.scores ?? [])
      .filter(({ outcome }) => outcome !== "accepted")
      .map(({ outcome, reasons }) => `${outcome}: ${reasons.join(" ")}`),
  );
}

export interface WindowTimes {
  readonly openedMs: number;
  /** The longest training that a contribution tells of. */
  readonly trainMs: number;
  readonly contributedMs: number;
  /** The longest judging that a verdict tells of. */
  readonly judgeMs: number;
  readonly sealedMs: number;
  readonly scoredMs: number;
  readonly endedMs: number;
  readonly isPromoted: boolean;
}

/** When each window came where; those that were held before they were judged are left out. */
export function windowTimes(entries: readonly RunEntry[]): readonly WindowTimes[] {
  const found: WindowTimes[] = [];
  let now: { -readonly [K in keyof WindowTimes]?: WindowTimes[K] } = {};
  for (const entry of entries) {
    const { atMs, command, decided } = entry;
    if (command.kind === "window-opened") now = { openedMs: atMs, trainMs: 0, judgeMs: 0 };
    if (sayingOf(entry) === "contribution") {
      now.contributedMs = atMs;
      now.trainMs = Math.max(now.trainMs ?? 0, Number(command.statement!.said["trainMs"]));
    }
    if (sayingOf(entry) === "verdict")
      now.judgeMs = Math.max(now.judgeMs ?? 0, Number(command.statement!.said["tookMs"]));
    if (command.kind === "window-sealed") now.sealedMs = atMs;
    if (decided.accepted !== undefined) now.scoredMs = atMs;
    if (!isPromotion(entry) && decided.held === undefined) continue;
    const { openedMs, trainMs, judgeMs, contributedMs, sealedMs, scoredMs } = now;
    if (openedMs === undefined || contributedMs === undefined || trainMs === undefined) continue;
    if (sealedMs === undefined || scoredMs === undefined || judgeMs === undefined) continue;
    const ended = { endedMs: atMs, isPromoted: isPromotion(entry) };
    found.push({ openedMs, trainMs, judgeMs, contributedMs, sealedMs, scoredMs, ...ended });
    now = {};
  }
  return found;
}

export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Medians of what the parts of a window take, in milliseconds. */
export function stageMedians(entries: readonly RunEntry[]) {
  const windows = windowTimes(entries).filter(({ isPromoted }) => isPromoted);
  const of = (part: (window: WindowTimes, next: WindowTimes | undefined) => number | null) =>
    medianOf(windows.flatMap((window, place) => part(window, windows[place + 1]) ?? []));
  return {
    windows: windows.length,
    trainMs: of(({ trainMs }) => trainMs),
    judgeMs: of(({ judgeMs }) => judgeMs),
    openedToContributedMs: of(({ openedMs, contributedMs }) => contributedMs - openedMs),
    contributedToSealedMs: of(({ contributedMs, sealedMs }) => sealedMs - contributedMs),
    sealedToScoredMs: of(({ sealedMs, scoredMs }) => scoredMs - sealedMs),
    scoredToPromotedMs: of(({ scoredMs, endedMs }) => endedMs - scoredMs),
    promotedToOpenedMs: of(({ endedMs }, next) => (next ? next.openedMs - endedMs : null)),
  };
}
