import {
  formatBytes,
  formatCount,
  formatDuration,
  formatFigure,
  formatTime,
  missing,
} from "../format.ts";
import type { RunHappening, ShownWindow } from "../window-answers.ts";
import {
  happeningText,
  judgedText,
  legendOf,
  markOf,
  outcomeOf,
  plain,
  type NameOf,
  reasonsText,
  savingText,
  stageText,
  verdictsText,
} from "../window-words.ts";
import { Facts } from "./pieces.tsx";
import { figures, Table } from "./table.tsx";

const partColumns = [
  ...["Node", figures("Steps"), "Outcome", "Judged by", figures("Bytes"), figures("Training took")],
];

/** One window in full: who did what in it, who judged that, and what became of it. */
export function WindowDetails(props: {
  readonly window: ShownWindow;
  readonly slotTokens: number;
  readonly nameOf: NameOf;
}) {
  const { window, slotTokens, nameOf } = props;
  const { parts, tookMs, sizeBytes, denseBytes, loss } = window;
  return (
    <div class="window-details">
      <h3>
        Window {formatCount(window.number)}: {stageText(window.stage)}
        {window.reason !== "" && `, ${plain(window.reason)}`}
      </h3>
      <Facts
        facts={[
          ["revision", revisionText(window)],
          ["tokens accepted", tokensText(window, slotTokens)],
          ["bytes moved", movedText(sizeBytes, denseBytes)],
          ["verdicts", verdictsText(window)],
          ["held out", formatFigure(loss)],
          ["took", tookText(tookMs)],
          ["opened", formatTime(window.openedMs)],
        ]}
      />
      <Table label={`Participants of window ${window.number}`} columns={partColumns} isWide>
        {parts.map((part) => (
          <tr key={part.node}>
            <th scope="row">
              <code title={part.node}>{part.shortId}</code>
            </th>
            <td class="number">{formatCount(part.steps)}</td>
            <td>
              <span class={`outcome outcome-${part.outcome}`}>{outcomeOf(part.outcome).text}</span>
              {part.reasons.length > 0 && ` (${reasonsText(part.reasons)})`}
            </td>
            <td>{judgedText(part, nameOf)}</td>
            <td class="number">{formatBytes(part.sizeBytes)}</td>
            <td class="number">{tookText(part.trainMs)}</td>
          </tr>
        ))}
      </Table>
    </div>
  );
}

const tookText = (ms: number | null) => formatDuration(ms === null ? null : ms / 1_000);

function tokensText({ stage, acceptedSlots }: ShownWindow, slotTokens: number): string {
  return stage === "active" || stage === "sealed"
    ? missing
    : formatCount(acceptedSlots * slotTokens);
}

function revisionText({ revision, stage }: ShownWindow): string {
  if (stage !== "promoted") return `from ${formatCount(revision)}`;
  return `${formatCount(revision)} → ${formatCount(revision + 1)}`;
}

function movedText(sizeBytes: number, denseBytes: number | null): string {
  const saving = savingText(sizeBytes, denseBytes);
  return saving === missing ? formatBytes(sizeBytes) : `${formatBytes(sizeBytes)}, ${saving}`;
}

const windowTableColumns = [
  ...[figures("Window"), "Outcome", "Steps by node", figures("Accepted"), figures("Bytes")],
  ...["Verdicts", figures("Held out"), figures("Took"), "Opened"],
];

/** All windows, newest first: what the picture shows, and more. */
export function WindowTable({ windows }: { readonly windows: readonly ShownWindow[] }) {
  return (
    <Table label="Table of windows" columns={windowTableColumns} isShort isWide>
      {windows.toReversed().map((window) => (
        <tr key={window.number}>
          <th scope="row" class="number">
            {formatCount(window.number)}
          </th>
          <td>
            {stageText(window.stage)}
            {window.reason !== "" && `: ${plain(window.reason)}`}
          </td>
          <td>
            {window.parts.map(({ node, shortId, steps, outcome }) => (
              <span key={node} class="step-count">
                <code>{shortId}</code> {steps}
                {outcome !== "accepted" && ` ${outcomeOf(outcome).text}`}
              </span>
            ))}
          </td>
          <td class="number">{formatCount(window.acceptedSlots)}</td>
          <td class="number">{formatBytes(window.sizeBytes)}</td>
          <td>{verdictsText(window)}</td>
          <td class="number">{formatFigure(window.loss)}</td>
          <td class="number">{tookText(window.tookMs)}</td>
          <td class="figure">{formatTime(window.openedMs)}</td>
        </tr>
      ))}
    </Table>
  );
}

/** What happened, newest first, under the letters that the curve and the picture of windows have for it. */
export function RunEvents({ events }: { readonly events: readonly RunHappening[] }) {
  return (
    <section class="panel" aria-labelledby="events-title">
      <h2 id="events-title">Joins, losses and verdicts</h2>
      {events.length === 0 ? (
        <p class="empty">Nothing yet: who comes, goes, or is rejected stands here.</p>
      ) : (
        <>
          <p class="muted">
            Letters on the curve and the windows:{" "}
            {legendOf(events)
              .map(([letter, text]) => `${letter} ${text}`)
              .join(", ")}
            .
          </p>
          <ol class="history scroll short" tabIndex={0} aria-label="Events, newest first">
            {events.toReversed().map((event, index) => (
              <li key={`${event.atMs} ${index}`} class="run-event">
                <span class="letter" aria-hidden="true">
                  {markOf(event)}
                </span>
                <span>{happeningText(event)}</span>
                <time class="figure muted">{formatTime(event.atMs)}</time>
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}
