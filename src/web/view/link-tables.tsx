import { formatTime, missing } from "../format.ts";
import type { LinkRow, MeasuredLink, NodeRow } from "../mesh-answers.ts";
import {
  heardText,
  linkText,
  lossText,
  rateText,
  roundTripText,
  skewText,
  troubleText,
} from "../mesh-words.ts";
import { MemberLink } from "./member-tables.tsx";
import { figures, rowsSeen, Table } from "./table.tsx";

const linkColumns = [
  ...["Peer", "State", "Address", figures("Round trip"), figures("Clock"), figures("Loss")],
  ...[figures("Rate"), figures("Heard"), figures("Failed dials"), "Profile", "Why"],
];

const namesOf = (rows: readonly NodeRow[]) => {
  const names = new Map(rows.map(({ node, shortId }) => [node, shortId]));
  return (node: string) => names.get(node) ?? node.slice(0, 9);
};

const stateMarks: Readonly<Record<string, string>> = {
  connected: "completed",
  degraded: "stopped",
  unreachable: "failed",
  refused: "failed",
};

/** This node's links: where, how well, and why not. */
export function LinkTable({ rows }: { readonly rows: readonly NodeRow[] }) {
  const nameOf = namesOf(rows);
  return (
    <Table label="Links of this node" columns={linkColumns} isShort={rows.length > rowsSeen} isWide>
      {rows.flatMap((row) => (row.link ? [linkLine(row, row.link, nameOf)] : []))}
    </Table>
  );
}

const linkLine = (row: NodeRow, link: LinkRow, nameOf: (node: string) => string) => (
  <tr key={row.node}>
    <th scope="row">
      <MemberLink row={row} />
    </th>
    <td>
      <span class={`state state-${stateMarks[link.state] ?? ""}`}>{linkText(link, nameOf)}</span>
    </td>
    <td class="figure">{link.place ?? missing}</td>
    <td class="number">{roundTripText(link.roundTripUs)}</td>
    <td class="number">{skewText(link.clockSkewMs)}</td>
    <td class="number">{lossText(link.lossPerMillion)}</td>
    <td class="number">{rateText(link.bytesPerSecond)}</td>
    <td class="number">{heardText(link.silentMs)}</td>
    <td class="number">{link.failureCount}</td>
    <td>{link.claims?.profile ?? missing}</td>
    <td class="words">{troubleText(link) || missing}</td>
  </tr>
);

const measuredColumns = [
  ...["From", "To", "Path", "Class", figures("Round trip"), figures("Rate"), figures("Loss")],
  "Measured",
];

/** What either end of a link measured of it and put into the log. */
export function MeasuredTable(props: {
  readonly rows: readonly NodeRow[];
  readonly links: readonly MeasuredLink[];
}) {
  const nameOf = namesOf(props.rows);
  return (
    <Table label="Links as members measured them" columns={measuredColumns} isShort>
      {props.links.map((link) => (
        <tr key={`${link.from} ${link.to}`}>
          <th scope="row">
            <code>{nameOf(link.from)}</code>
          </th>
          <td>
            <code>{nameOf(link.to)}</code>
          </td>
          <td>{link.path}</td>
          <td>{link.class}</td>
          <td class="number">{roundTripText(link.roundTripUs)}</td>
          <td class="number">{rateText(link.bytesPerSecond)}</td>
          <td class="number">{lossText(link.lossPerMillion)}</td>
          <td class="figure">{formatTime(link.atMs)}</td>
        </tr>
      ))}
    </Table>
  );
}
