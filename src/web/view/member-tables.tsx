import { formatAgo, formatBytes, formatTime, missing } from "../format.ts";
import type { NodeRow } from "../mesh-answers.ts";
import {
  claimsText,
  labelsText,
  linkText,
  loadText,
  partText,
  postureText,
  roundTripText,
  skewText,
  speedText,
  standingText,
} from "../mesh-words.ts";
import { hashOf } from "../router.ts";
import { Digest } from "./digest.tsx";
import { useNow } from "./pieces.tsx";
import { figures, rowsSeen, Table } from "./table.tsx";

/** How a member stands, by mark and word. */
export function Standing({ row }: { readonly row: NodeRow }) {
  const mark = row.isSuspected && row.standing === "ready" ? "suspected" : row.standing;
  return <span class={`state state-${mark}`}>{standingText(row)}</span>;
}

export function MemberLink({ row }: { readonly row: Pick<NodeRow, "node" | "shortId"> }) {
  return (
    <a href={hashOf({ view: "cluster", node: row.node })} title={row.node}>
      <code>{row.shortId}</code>
    </a>
  );
}

const memberColumns = [
  ...["Node", "Standing", "Part", "Link", figures("Round trip"), "Device", figures("Load")],
  ...[figures("Memory"), figures("Tokens/s"), "Claims", "Policy / proof", "Identity", "Manifest"],
  ...[figures("Epoch"), figures("Clock"), figures("Blobs"), "Roles", "Labels", "Receipts"],
];

/** Every member with what is known of it: one row each. */
export function MemberTable({ rows }: { readonly rows: readonly NodeRow[] }) {
  const names = new Map(rows.map(({ node, shortId }) => [node, shortId]));
  const nameOf = (node: string) => names.get(node) ?? node.slice(0, 9);
  return (
    <Table
      label="Nodes of the mesh"
      columns={memberColumns}
      isShort={rows.length > rowsSeen}
      isWide
    >
      {rows.map((row) => (
        <MemberRow key={row.node} row={row} nameOf={nameOf} />
      ))}
    </Table>
  );
}

function MemberRow(props: { readonly row: NodeRow; nameOf(node: string): string }) {
  const { row, nameOf } = props;
  const { facts, link } = row;
  const claims = link?.claims ?? null;
  return (
    <tr>
      <th scope="row">
        <MemberLink row={row} />
      </th>
      <td>
        <Standing row={row} />
      </td>
      <td>{partText(row)}</td>
      <td>{row.isSelf ? "this node" : linkText(link, nameOf)}</td>
      <td class="number">{roundTripText(link?.roundTripUs)}</td>
      <td>{facts?.device ?? missing}</td>
      <td class="number">{loadText(facts)}</td>
      <td class="number">{formatBytes(facts?.memoryBytes)}</td>
      <td class="number">{speedText(facts)}</td>
      <td>{claimsText(claims)}</td>
      <td>{postureText(claims)}</td>
      <td>
        <Digest name={`identity digest of ${row.shortId}`} value={claims?.identityDigest} />
      </td>
      <td>
        <Digest name={`manifest digest of ${row.shortId}`} value={claims?.manifestDigest} />
      </td>
      <td class="number">{row.epoch}</td>
      <td class="number">{skewText(row.clockSkewMs)}</td>
      <td class="number">{row.blobCount}</td>
      <td>{row.roles.join(", ") || missing}</td>
      <td>{labelsText(row.labels)}</td>
      <td>
        <a
          href={hashOf({ view: "receipts", subject: row.node, digest: "" })}
          aria-label={`Receipts about ${row.shortId}`}
        >
          receipts
        </a>
      </td>
    </tr>
  );
}

/** Who left or was evicted, and since when. */
export function GoneTable({ rows }: { readonly rows: readonly NodeRow[] }) {
  const nowMs = useNow();
  return (
    <Table label="Nodes that left or were evicted" columns={["Node", "Standing", "Since", "Epoch"]}>
      {rows.map((row) => (
        <tr key={row.node}>
          <th scope="row">
            <MemberLink row={row} />
          </th>
          <td>
            <Standing row={row} />
          </td>
          <td title={formatTime(row.sinceMs)}>{formatAgo(row.sinceMs, nowMs)}</td>
          <td class="figure">{row.epoch}</td>
        </tr>
      ))}
    </Table>
  );
}
