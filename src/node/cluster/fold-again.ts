import { MeshFold } from "#src/cluster/mesh-fold.ts";
import type { Digest } from "#src/codec/digest.ts";
import { Fold } from "#src/log/fold.ts";
import { LogStore } from "#src/log/log-store.ts";
import { defaultSessionMaximum } from "#src/log/sessions.ts";
import type { Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { emptyLog } from "./empty-log.ts";

/**
 * The state at an index, folded anew from the log on the disk. Refused with `log_damaged`, and with
 * `cluster_index_unkept` where that index is not between the snapshot and what is committed here.
 */
export function foldedAt(
  parts: { readonly store: Store; readonly founder: string; readonly appliedIndex: number },
  index: number,
): { readonly digest: Digest; readonly fromSnapshotIndex: number; readonly entryCount: number } {
  const { snapshot, entries } = new LogStore(parts.store).open(emptyLog(parts.founder));
  if (index < snapshot.index || index > parts.appliedIndex)
    throw new Refusal(
      "cluster_index_unkept",
      `this node keeps the log from ${snapshot.index} to ${parts.appliedIndex}, and not ${index}`,
      "ask for an index in between",
      { index, from: snapshot.index, to: parts.appliedIndex },
    );
  const fold = new Fold(new MeshFold(), defaultSessionMaximum, null);
  fold.load(snapshot);
  const applied = entries.filter((entry) => entry.index <= index);
  for (const entry of applied) fold.apply(entry);
  return {
    digest: fold.digest(),
    fromSnapshotIndex: snapshot.index,
    entryCount: applied.length,
  };
}
