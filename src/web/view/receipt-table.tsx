import { formatDigest, formatTime } from "../format.ts";
import type { ShownReceipt } from "../protocol.ts";
import { hashOf } from "../router.ts";
import { figures, Table } from "./table.tsx";

interface ReceiptTableProps {
  readonly receipts: readonly ShownReceipt[];
  readonly empty: string;
  /** All are about one subject and of one author, so neither is said. */
  readonly isBrief?: boolean;
}

const briefColumns = ["Time", "Kind", figures("Sequence"), "Digest"];
const allColumns = ["Time", "Kind", "Subject", figures("Sequence"), "Digest", "Author"];

/** Receipts, newest first; each leads to its JSON. */
export function ReceiptTable({ receipts, empty, isBrief = false }: ReceiptTableProps) {
  if (receipts.length === 0) return <p class="empty">{empty}</p>;
  return (
    <Table label="Receipts, newest first" columns={isBrief ? briefColumns : allColumns}>
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
    </Table>
  );
}
