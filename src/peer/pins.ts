import type { Digest } from "#src/codec/digest.ts";
import type { Store } from "#src/port/store.ts";

/** Nodes whose certificate is remembered; beyond it the longest known is forgotten. */
export const pinMaximum = 10_000;

/** The fingerprint that was confirmed for a node; null where none was. */
export function pinOf(store: Store, nodeId: string): Digest | null {
  const row = store.get("SELECT certificate FROM peer_certificate WHERE node_id = ?", nodeId);
  return row === null ? null : String(row["certificate"]);
}

/** Remembers what a person confirmed with --pin and the node itself signed. */
export function rememberPin(
  store: Store,
  { nodeId, certificate }: { readonly nodeId: string; readonly certificate: Digest },
  maximum: number = pinMaximum,
): void {
  store.transaction(() => {
    store.run("DELETE FROM peer_certificate WHERE node_id = ?", nodeId);
    store.run(
      "DELETE FROM peer_certificate WHERE id IN (SELECT id FROM peer_certificate ORDER BY id DESC LIMIT -1 OFFSET ?)",
      maximum - 1,
    );
    store.run(
      "INSERT INTO peer_certificate (node_id, certificate) VALUES (?, ?)",
      nodeId,
      certificate,
    );
  });
}
