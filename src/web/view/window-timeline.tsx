import { useEffect, useRef, useState } from "preact/hooks";
import type { Timeline, TimelineCell, TimelineColumn } from "../timeline.ts";

/** Pixels of a column, a row, the line of numbers and letters above, and the bars of time below. */
const columnWidth = 30;
const rowHeight = 26;
const headHeight = 34;
const footHeight = 30;
const gap = 4;

interface WindowTimelineProps {
  readonly timeline: Timeline;
  /** Number of the window that is looked at; null for the newest. */
  readonly chosen: number | null;
  onChoose(window: number | null): void;
}

/**
 * Windows as columns, participants as rows. How high a cell is filled tells the steps, its mark what became of them.
 * Everything in it also stands in the table of windows and in the details of the one that is looked at.
 */
export function WindowTimeline({ timeline, chosen, onChoose }: WindowTimelineProps) {
  const { rows, columns } = timeline;
  const scroller = useRef<HTMLDivElement>(null);
  const [spoken, setSpoken] = useState("");
  const last = columns.at(-1)?.window.number ?? 0;
  const at = chosen ?? last;
  useEffect(() => {
    // The newest is looked at, and stays in sight while nobody has chosen another.
    const { current } = scroller;
    if (current !== null && chosen === null) current.scrollLeft = current.scrollWidth;
  }, [last, chosen, rows.length]);
  const height = headHeight + rows.length * rowHeight + footHeight;
  const onKeyDown = (event: KeyboardEvent) => {
    const index = columns.findIndex(({ window }) => window.number === at);
    const stride = event.shiftKey ? 10 : 1;
    const targets: Record<string, number> = {
      ArrowLeft: Math.max(0, index - stride),
      ArrowRight: Math.min(columns.length - 1, index + stride),
      Home: 0,
      End: columns.length - 1,
    };
    const target = event.key === "Escape" ? columns.length - 1 : targets[event.key];
    const column = target === undefined ? undefined : columns[target];
    if (target === undefined || column === undefined) return;
    event.preventDefault();
    onChoose(target === columns.length - 1 ? null : column.window.number);
    setSpoken(column.words);
    const { current } = scroller;
    const middle = target * columnWidth - (current?.clientWidth ?? 0) / 2;
    current?.scrollTo({ left: middle });
  };
  return (
    <div class="timeline">
      <ul class="timeline-names" aria-hidden="true">
        {rows.map(({ node, name, colour }) => (
          <li key={node}>
            <span class={`swatch series-${colour % 8}`} />
            <code>{name}</code>
          </li>
        ))}
      </ul>
      <div
        ref={scroller}
        class="scroll"
        role="group"
        tabIndex={0}
        aria-label="Windows: arrow keys read them"
        onKeyDown={onKeyDown}
      >
        <svg
          role="img"
          aria-label={timeline.words}
          width={columns.length * columnWidth}
          height={height}
        >
          {columns.map((column, index) => (
            <Column
              key={column.window.number}
              {...{ column, timeline, height }}
              x={index * columnWidth}
              isChosen={column.window.number === at}
              onChoose={() => onChoose(index === columns.length - 1 ? null : column.window.number)}
            />
          ))}
        </svg>
      </div>
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
    </div>
  );
}

interface ColumnProps {
  readonly column: TimelineColumn;
  readonly timeline: Timeline;
  readonly height: number;
  readonly x: number;
  readonly isChosen: boolean;
  onChoose(): void;
}

function Column({ column, timeline, height, x, isChosen, onChoose }: ColumnProps) {
  const { window, cells, marks, tookShare } = column;
  const middle = x + columnWidth / 2;
  const barHeight = tookShare === null ? 0 : Math.max(2, tookShare * (footHeight - 10));
  return (
    <g class={`window-column window-${window.stage}`} onClick={onChoose}>
      <title>{column.words}</title>
      <rect
        class={isChosen ? "chosen" : "ground"}
        {...{ x: x + 1, y: 0, width: columnWidth - 2, height, rx: 4 }}
      />
      <text class="number" x={middle} y={13}>
        {window.number}
      </text>
      <text class="letters" x={middle} y={27}>
        {marks.length > 3 ? `${marks.slice(0, 2)}+` : marks}
      </text>
      {cells.map((cell) => (
        <Cell key={cell.row} {...{ cell, x }} colour={timeline.rows[cell.row]?.colour ?? 0} />
      ))}
      {window.stage === "held" ? (
        <text class="held" x={middle} y={height - 10}>
          held
        </text>
      ) : (
        <rect
          class="took"
          x={x + 8}
          y={height - 4 - barHeight}
          width={columnWidth - 16}
          height={barHeight}
        />
      )}
    </g>
  );
}

interface CellProps {
  readonly cell: TimelineCell;
  readonly x: number;
  readonly colour: number;
}

function Cell({ cell, x, colour }: CellProps) {
  const { row, share, outcome, mark } = cell;
  const top = headHeight + row * rowHeight + 2;
  const room = rowHeight - 4;
  const filled = Math.max(3, share * room);
  const width = columnWidth - 2 * gap;
  return (
    <g class={`cell cell-${outcome} series-${colour % 8}`}>
      <rect class="room" x={x + gap} y={top} width={width} height={room} rx={2} />
      <rect
        class="steps"
        x={x + gap}
        y={top + room - filled}
        width={width}
        height={filled}
        rx={2}
      />
      {mark !== "" && (
        <text x={x + columnWidth / 2} y={top + room / 2 + 5}>
          {mark}
        </text>
      )}
    </g>
  );
}
