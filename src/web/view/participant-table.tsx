import { formatCount, formatPercent, formatShort, missing } from "../format.ts";
import { hashOf } from "../router.ts";
import type { MeshRun, Participant } from "../window-answers.ts";
import { doingText } from "../window-words.ts";
import { figures, Table } from "./table.tsx";

const columns = [
  ...["Node", "Now", "Lane", figures("Tokens/s"), figures("Share"), figures("Accepted")],
  ...[figures("Rejected"), figures("Missed"), figures("Strikes"), figures("Revision")],
];

/** Who takes part: what each does now, and what of its work counted. */
export function ParticipantTable({ mesh }: { readonly mesh: MeshRun }) {
  const { participants, slots } = mesh;
  return (
    <section class="panel" aria-labelledby="participants-title">
      <h2 id="participants-title">Participants</h2>
      {participants.length === 0 ? (
        <p class="empty">Nobody works on it yet. A node takes part once it has data and model.</p>
      ) : (
        <Table label="Participants of the run" columns={columns} isWide>
          {participants.map((each) => (
            <tr key={each.node}>
              <th scope="row">
                <a href={hashOf({ view: "cluster", node: each.node })} title={each.node}>
                  <code>{each.shortId}</code>
                </a>
                {each.isSelf && <small> this node</small>}
              </th>
              <td>
                <span class={`state state-${markOf(each)}`}>{doingText(each)}</span>
              </td>
              <td>{each.lane}</td>
              <td class="number">{formatShort(each.rate || null)}</td>
              <td class="number">{formatPercent((100 * each.acceptedSlots) / slots)}</td>
              <td class="number">{formatCount(each.acceptedCount)}</td>
              <td class="number">{formatCount(each.rejectedCount)}</td>
              <td class="number">{formatCount(each.missedCount)}</td>
              <td class="number">{formatCount(each.strikes)}</td>
              <td class="number">
                {each.revision === null ? missing : formatCount(each.revision)}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

/** The mark beside the words. */
function markOf({ standing }: Participant): string {
  if (standing === "training" || standing === "validating" || standing === "merging")
    return "running";
  if (standing === "silent") return "suspected";
  if (standing === "gone" || standing === "out") return "offline";
  return standing === "preparing" ? "joining" : "waiting";
}
