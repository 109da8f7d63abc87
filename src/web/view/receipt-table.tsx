import { formatDigest, formatTime } from "../format.ts";
import type { ShownReceipt } from "../protocol.ts";
import { hashOf } from "../router.ts";

interface ReceiptTableProps {
  readonly receipts: readonly ShownReceipt[];
  readonly empty: string;
  /** All are about one subject and of one author, so neither is said. */
  readonly isBrief?: boolean;
}

/** Receipts, newest first; each leads to its JSON. */
export function ReceiptTable({ receipts, empty, isBrief = false }: ReceiptTableProps) {
  if (receipts.length === 0) return <p class="empty">{empty}</p>;
  return (
    <div class="scroll" role="region" tabIndex={0} aria-label="Receipts, newest first">
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Kind</th>
            {!isBrief && <th scope="col">Subject</th>}
            <th scope="col" class="number">
              Sequence
            </th>
            <th scope="col">Digest</th>
            {!isBrief && <th scope="col">Author</th>}
          </tr>
        </thead>
        <tbody>
          {receipts.map(({ digest, atMs, kind, subject, sequence, author }) => (
            <tr key={digest}>
              <td class="figure">{formatTime(atMs)}</td>
              <th scope="row">{kind}</th>
              {!isBrief && <td>{subject.length > 20 ? `${subject.slice(0, 20)}…` : subject}</td>}
              <td class="number">{sequence}</td>
              <td>
                <a href={hashOf({ view: "receipts", subject: "", digest })}>
                  <code>{formatDigest(digest)}</code>
                </a>
              </td>
              {!isBrief && (
                <td>
                  <code title={author}>{formatDigest(author)}</code>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
