import type { MeshStatus, NodeRow } from "../mesh-answers.ts";
import { isGone } from "../mesh-words.ts";
import { Confirmed } from "./confirmed.tsx";
import { call } from "./node-client.ts";

interface MemberActionsProps {
  readonly row: NodeRow;
  readonly status: MeshStatus;
  onChanged(): void;
}

/** Draining and evicting, each asked for twice. Only an owner of the mesh decides on others. */
export function MemberActions({ row, status, onChanged }: MemberActionsProps) {
  const { isOwner } = status;
  if (isGone(row)) return null;
  const canDrain = (isOwner || row.isSelf) && row.standing === "ready";
  const canEvict = isOwner && !row.isSelf && !row.isOwner;
  const drainMs = status.configuration["drainMs"] ?? 0;
  return (
    <section class="panel" aria-labelledby="actions-title">
      <h2 id="actions-title">Drain or evict</h2>
      {!isOwner && !row.isSelf && (
        <p>
          The owners of the mesh drain and evict its members, and this node is none:{" "}
          <code>{status.owners.join(", ")}</code>.
        </p>
      )}
      {canDrain && (
        <Confirmed
          name="Drain"
          act={() => call("node/drain", { node: row.node })}
          onDone={onChanged}
        >
          {row.shortId} gets no more work and is offline in {drainMs / 1000} s. It is ready again
          when it next starts.
        </Confirmed>
      )}
      {canEvict && (
        <Confirmed
          name="Evict"
          asksWhy
          act={(reason) => call("node/evict", { node: row.node, reason })}
          onDone={onChanged}
        >
          The others end their links to {row.shortId}. Only a new join line lets it back in.
        </Confirmed>
      )}
      {row.isOwner && (
        <p>
          It is an owner of the mesh, so it is not put out of it:{" "}
          <code>psionic node own {row.shortId} --no</code> comes first.
        </p>
      )}
    </section>
  );
}
