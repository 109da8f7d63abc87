import type { ComponentChildren } from "preact";
import { listingOf } from "../listing.ts";
import { Loading, RefusalNote } from "./pieces.tsx";
import { Table } from "./table.tsx";
import { useAnswer } from "./use-answer.ts";

interface ListingPanelProps {
  readonly title: string;
  readonly command: string;
  /** Which list of the answer, and which values of its records. */
  readonly member: string;
  readonly columns: readonly string[];
  /** Happenings after which the list is asked for again. */
  readonly topic: string;
  /** What to do where the list is empty. */
  readonly children: ComponentChildren;
}

/** The answer of a listing command as a table. */
export function ListingPanel(props: ListingPanelProps) {
  const { title, command, member, columns, topic, children } = props;
  const id = `list-${member}`;
  const answer = useAnswer<unknown>(command, {}, { on: ({ type }) => type.startsWith(topic) });
  const listing = answer.value === null ? null : listingOf(answer.value, member, columns);
  return (
    <section class="panel" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <RefusalNote refused={answer.refused} />
      {answer.value === null && answer.refused === null && <Loading what={title.toLowerCase()} />}
      {answer.value !== null && (listing?.rows.length ?? 0) === 0 && (
        <p class="empty">{children}</p>
      )}
      {listing !== null && listing.rows.length > 0 && (
        <Table label={title} columns={listing.names}>
          {listing.rows.map((row, index) => (
            <tr key={index}>
              {row.map((text, column) => (
                <td key={column}>{text}</td>
              ))}
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}
