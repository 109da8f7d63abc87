import { useCallback, useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import {
  type ChartLine,
  type ChartMark,
  columnsOf,
  drawingOf,
  marksBetween,
} from "../chart-model.ts";
import { csvName, csvText } from "../csv.ts";
import { formatCount, missing } from "../format.ts";
import { summarise } from "../summary.ts";
import { useCell } from "./cell.ts";
import { DataTable } from "./data-table.tsx";
import { createPlot, moveCursor } from "./plot.ts";
import { theme } from "./session.ts";
import { useThrottled } from "./use-answer.ts";

export interface ChartProps {
  readonly title: string;
  /** Whose figures: stands in the name of the CSV file. */
  readonly subject: string;
  readonly lines: readonly ChartLine[];
  readonly place?: string;
  readonly formatX?: (value: number) => string;
  readonly format: (value: number) => string;
  /** Lines lie on one another and fill the room between them. */
  readonly isArea?: boolean;
  /** How strongly noisy lines are smoothed at first, 0 to 1; without it they are not. */
  readonly smoothing?: number;
  readonly syncKey?: string;
  /** Shown in place of curves while there are no figures. */
  readonly empty: string;
  readonly isTall?: boolean;
  /** What happened, by ascending place; also to be found in words on the view. */
  readonly marks?: readonly ChartMark[];
}

const noMarks: readonly ChartMark[] = [];

/** Four drawings a second at most. */
const redrawMs = 250;
const noLabels: ReadonlySet<string> = new Set();

export function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** True in dark, drawn anew when the theme or the system's preference changes. */
function usePalette(): string {
  const chosen = useCell(theme);
  const [system, setSystem] = useState(0);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setSystem((count) => count + 1);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return `${chosen} ${system}`;
}

export function Chart(props: ChartProps) {
  const { title, lines, format, isArea = false, marks = noMarks } = props;
  const canSmooth = props.smoothing !== undefined;
  const place = props.place ?? "step";
  const formatX = props.formatX ?? formatCount;
  const id = useId();
  const [isLogarithmic, setLogarithmic] = useState(false);
  const [smoothing, setSmoothing] = useState(props.smoothing ?? 0);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(noLabels);
  const [hasTable, setTable] = useState(false);
  const [cursor, setCursor] = useState<number | null>(null);
  const drawing = useMemo(
    () => drawingOf(lines, { smoothing, isLogarithmic, isArea, hidden }),
    [lines, smoothing, isLogarithmic, isArea, hidden],
  );
  const isEmpty = drawing.x.length === 0;
  const summary = lines.map(({ label, curve }) => summarise(label, curve, place, format)).join(" ");
  const toggle = (label: string) => {
    const next = new Set(hidden);
    if (!next.delete(label)) next.add(label);
    setHidden(next);
  };
  const at = cursor === null ? drawing.x.length - 1 : cursor;
  const figureAt = (label: string, index: number) => {
    const line = lines.find((each) => each.label === label);
    const value = line && index >= 0 ? nearestFigure(line, drawing.x[index] ?? 0) : null;
    return value === null ? missing : format(value);
  };
  const shown = lines.filter(({ label }) => !hidden.has(label));
  const spokenAt = (index: number) =>
    `${place} ${formatX(drawing.x[index] ?? 0)}: ` +
    shown.map(({ label }) => `${label} ${figureAt(label, index)}`).join(", ") +
    marksBetween(marks, drawing.x, index)
      .map(({ words }) => `; ${words}`)
      .join("");
  return (
    <section class="panel chart" aria-labelledby={`${id}-title`}>
      <div class="chart-head">
        <h3 id={`${id}-title`}>{title}</h3>
        <div class="chart-tools">
          {canSmooth && (
            <label class="slider">
              <span>Smoothing</span>
              <input
                type="range"
                min="0"
                max="0.98"
                step="0.02"
                value={smoothing}
                aria-label={`Smoothing of ${title}`}
                onInput={(event) => setSmoothing(Number(event.currentTarget.value))}
              />
            </label>
          )}
          {!isArea && (
            <button
              type="button"
              class="small"
              aria-pressed={isLogarithmic}
              aria-label={`Logarithmic scale, ${title}`}
              onClick={() => setLogarithmic(!isLogarithmic)}
            >
              log
            </button>
          )}
          <button
            type="button"
            class="small"
            aria-expanded={hasTable}
            aria-label={`Table of ${title}`}
            onClick={() => setTable(!hasTable)}
          >
            table
          </button>
          <button
            type="button"
            class="small"
            disabled={isEmpty}
            aria-label={`Download ${title} as CSV`}
            onClick={() =>
              download(csvName(props.subject, title), csvText(columnsOf(lines, place)))
            }
          >
            CSV
          </button>
        </div>
      </div>
      <p class="visually-hidden">{summary}</p>
      {isEmpty ? (
        <div class={`plot plot-empty${props.isTall ? " tall" : ""}`}>
          <p class="empty">{props.empty}</p>
        </div>
      ) : (
        <Plot
          {...{ title, drawing, isLogarithmic, isArea, formatX, format, spokenAt, marks }}
          isTall={props.isTall ?? false}
          syncKey={props.syncKey ?? id}
          onCursor={setCursor}
        />
      )}
      <ul class="legend" aria-label={`Curves of ${title}`}>
        {lines.map(({ label, colour }) => (
          <li key={label}>
            <button
              type="button"
              class="legend-entry"
              aria-pressed={!hidden.has(label)}
              onClick={() => toggle(label)}
            >
              <span class={`swatch series-${colour % 8}`} aria-hidden="true" />
              <span>{label}</span>
              <span class="figure">{figureAt(label, at)}</span>
            </button>
          </li>
        ))}
        <li class="legend-place figure">
          {drawing.averaged > 1 && `means of ${drawing.averaged} points · `}
          {!isEmpty && `${place} ${formatX(drawing.x[at] ?? 0)}`}
        </li>
      </ul>
      {hasTable && (
        <DataTable caption={title} columns={columnsOf(lines, place)} format={[formatX, format]} />
      )}
    </section>
  );
}

/** The last figure at or before a place, without smoothing. */
function nearestFigure({ curve }: ChartLine, at: number): number | null {
  let found: number | null = null;
  for (const [index, place] of curve.x.entries()) {
    if (place > at) break;
    found = curve.y[index] ?? found;
  }
  return found;
}

interface PlotProps {
  readonly title: string;
  readonly drawing: ReturnType<typeof drawingOf>;
  readonly isLogarithmic: boolean;
  readonly isArea: boolean;
  readonly isTall: boolean;
  readonly formatX: (value: number) => string;
  readonly format: (value: number) => string;
  readonly syncKey: string;
  readonly marks: readonly ChartMark[];
  /** The figures at a place in words. */
  readonly spokenAt: (index: number) => string;
  readonly onCursor: (index: number | null) => void;
}

function Plot(props: PlotProps) {
  const { drawing, isLogarithmic, isArea, formatX, format, syncKey } = props;
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const palette = usePalette();
  const shape = JSON.stringify([drawing.lines, isLogarithmic, isArea, palette]);
  const data = () => {
    const { x, y } = latest.current.drawing;
    return [x, ...y] as unknown as uPlot.AlignedData;
  };
  useEffect(() => {
    const host = element.current;
    if (!host) return undefined;
    const size = () => ({ width: host.clientWidth, height: host.clientHeight });
    const created = createPlot(
      host,
      {
        ...{ lines: drawing.lines, isLogarithmic, isArea, formatX, formatY: format, syncKey },
        marks: () => latest.current.marks,
      },
      size(),
      data(),
      (index) => latest.current.onCursor(index),
    );
    plot.current = created;
    const observer = new ResizeObserver(() => created.setSize(size()));
    observer.observe(host);
    return () => {
      observer.disconnect();
      created.destroy();
      plot.current = null;
    };
  }, [shape]);
  const redraw = useThrottled(() => plot.current?.setData(data()), redrawMs);
  useEffect(redraw, [drawing, props.marks, redraw]);
  const [spoken, setSpoken] = useState("");
  // Where the keyboard reads: uPlot's own cursor goes to the nearest pixel, and is lost with the plot.
  const reading = useRef<number | null>(null);
  const onKeyDown = useCallback((event: KeyboardEvent) => {
    const current = plot.current;
    if (!current) return;
    const { drawing, onCursor, spokenAt } = latest.current;
    const last = drawing.x.length - 1;
    const from = Math.min(last, reading.current ?? current.cursor.idx ?? last);
    const stride = event.shiftKey ? Math.max(1, Math.round(last / 20)) : 1;
    const targets: Record<string, number | null> = {
      ArrowLeft: Math.max(0, from - stride),
      ArrowRight: Math.min(last, from + stride),
      Home: 0,
      End: last,
      Escape: null,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    reading.current = target;
    moveCursor(current, target);
    onCursor(target);
    setSpoken(target === null ? "" : spokenAt(target));
  }, []);
  return (
    <>
      <div
        ref={element}
        class={`plot${props.isTall ? " tall" : ""}`}
        role="group"
        tabIndex={0}
        aria-label={`${props.title}: arrow keys read the curve`}
        onKeyDown={onKeyDown}
        onBlur={() => (reading.current = null)}
      />
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
    </>
  );
}
