import {
  formatBytes,
  formatCount,
  formatDigest,
  formatName,
  formatTime,
  missing,
} from "../format.ts";
import type { Checkpoint, RunStatus, Sample, ShownReceipt } from "../protocol.ts";
import { hashOf } from "../router.ts";
import { Facts, factText, JsonBlock, Loading, RefusalNote } from "./pieces.tsx";
import { ReceiptTable } from "./receipt-table.tsx";
import { figures, Table } from "./table.tsx";
import { useAnswer } from "./use-answer.ts";

const receiptsShown = 20;

/** Texts the model wrote while it was trained, newest first. */
export function Samples({ samples }: { readonly samples: readonly Sample[] }) {
  const newest = samples.toSorted((a, b) => b.step - a.step);
  return (
    <section class="panel" aria-labelledby="samples-title">
      <h2 id="samples-title">Samples</h2>
      {newest.length === 0 ? (
        <p class="empty">None yet. The model writes a little after a checkpoint, now and then.</p>
      ) : (
        <ol class="samples scroll short" tabIndex={0} aria-label="Samples, newest first">
          {newest.map(({ step, prompt, text }, index) => (
            <li key={`${step} ${index}`}>
              <span class="figure muted">step {formatCount(step)}</span>
              <pre>
                <span class="asked">{prompt}</span>
                {text}
              </pre>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** What checkpoints are counted by: steps of one machine, revisions of a mesh. */
export type CheckpointPlace = "step" | "revision";

const checkpointColumns = (place: CheckpointPlace) => [
  ...[figures(place === "step" ? "Step" : "Revision"), "State", "Came from"],
  ...[figures("Size"), "Kept"],
];

/** Checkpoints with what each came from: the digest of the one before. */
export function Checkpoints(props: {
  readonly checkpoints: readonly Checkpoint[];
  readonly place?: CheckpointPlace;
}) {
  const { checkpoints, place = "step" } = props;
  const newest = checkpoints.toReversed();
  const stepOf = new Map(checkpoints.map(({ manifestDigest, step }) => [manifestDigest, step]));
  return (
    <section class="panel" aria-labelledby="checkpoints-title">
      <h2 id="checkpoints-title">Checkpoints</h2>
      {newest.length === 0 ? (
        <p class="empty">None yet. The run writes them as it goes, and one when it is stopped.</p>
      ) : (
        <Table label="Checkpoints, newest first" columns={checkpointColumns(place)} isShort>
          {newest.map(({ step, stateDigest, manifestDigest, parent, sizeBytes, ...mark }) => (
            <tr key={`${step} ${manifestDigest}`}>
              <th scope="row" class="number">
                {formatCount(step)}
              </th>
              <td>
                <code title={stateDigest}>{formatDigest(stateDigest)}</code>
              </td>
              <td>
                {!mark.isKept ? (
                  missing
                ) : parent ? (
                  stepOf.has(parent) ? (
                    `${place} ${formatCount(stepOf.get(parent))}`
                  ) : (
                    <code title={parent}>{formatDigest(parent)}</code>
                  )
                ) : (
                  "the start"
                )}
              </td>
              <td class="number">{formatBytes(sizeBytes)}</td>
              <td>{mark.isKept ? (mark.isBest ? "yes, best" : "yes") : "removed"}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

/** What decided every bit of the run, what it executes, and what was signed about it. */
export function Records({ status }: { readonly status: RunStatus }) {
  const { manifest, plan, summary, digest, run } = status;
  const model = Object.entries(manifest.model ?? {});
  return (
    <>
      <section class="panel" aria-labelledby="manifest-title">
        <h2 id="manifest-title">Manifest and plan</h2>
        <Facts
          facts={[
            ["digest", formatDigest(digest)],
            ["numerics", manifest.lane],
            ["seed", manifest.seed],
            ["data", formatDigest(manifest.data?.digest)],
            ["plan", formatDigest(manifest.planDigest)],
            ...model.map(([name, value]) => [formatName(name), value] as const),
          ]}
        />
        {plan && (
          <details>
            <summary>Plan</summary>
            <Facts
              facts={Object.entries(plan).map(([name, value]) => [
                formatName(name),
                /bytes$/i.test(name) && typeof value === "number" ? formatBytes(value) : value,
              ])}
            />
          </details>
        )}
        <details>
          <summary>Whole manifest as JSON</summary>
          <JsonBlock value={manifest} label="Manifest" />
        </details>
        {summary && (
          <details>
            <summary>Summary as JSON</summary>
            <JsonBlock value={summary} label="Summary" />
          </details>
        )}
      </section>
      <Receipts run={run} />
      <History status={status} />
    </>
  );
}

function Receipts({ run }: { readonly run: string }) {
  const receipts = useAnswer<{ receipts: ShownReceipt[] }>(
    "receipt/list",
    { subject: run, limit: receiptsShown },
    { on: ({ type, subject }) => subject === run && /checkpoint|state|started/.test(type) },
  );
  return (
    <section class="panel" aria-labelledby="receipts-title">
      <div class="panel-head">
        <h2 id="receipts-title">Receipts</h2>
        <a href={hashOf({ view: "receipts", subject: run, digest: "" })}>All of this run</a>
      </div>
      <RefusalNote refused={receipts.refused} />
      {receipts.value === null ? (
        receipts.refused === null && <Loading what="receipts" />
      ) : (
        <ReceiptTable
          receipts={receipts.value.receipts}
          isBrief
          empty="None yet. A run is signed for when it starts, at every checkpoint and at its end."
        />
      )}
    </section>
  );
}

/** What an event says, as names and values on a line. */
function EventFacts({ body }: { readonly body: Readonly<Record<string, unknown>> }) {
  return (
    <span class="event-facts">
      {Object.entries(body).map(([name, value]) => (
        <span key={name}>
          <span class="muted">{formatName(name)}</span> {factText(value)}
        </span>
      ))}
    </span>
  );
}

function History({ status }: { readonly status: RunStatus }) {
  const events = (status.events ?? []).toReversed();
  if (events.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="history-title">
      <h2 id="history-title">What happened</h2>
      <ol class="history">
        {events.map(({ atMs, type, body }, index) => (
          <li key={index}>
            <time class="figure muted">{formatTime(atMs)}</time> <strong>{type}</strong>{" "}
            <EventFacts body={body} />
          </li>
        ))}
      </ol>
    </section>
  );
}
