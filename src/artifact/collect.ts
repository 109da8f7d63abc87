import { join } from "node:path";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { doomLifetimeMs, type Blob } from "./blob-index.ts";
import { holdLifetimeMs } from "./holds.ts";
import type { BlobKind } from "./layout.ts";
import { distinctChunks } from "./manifest.ts";
import type { Shelf } from "./shelf.ts";

/** Blobs marked, removed and forgotten at a time. */
const batchCount = 64;
/** An interrupted pull keeps what it has for so long after its last chunk. */
export const pullLifetimeMs = 7 * 86_400_000;
/** Drafts older than this belong to nobody who lives. */
const draftLifetimeMs = 3_600_000;
/** Receipts read at a time. */
const receiptBatch = 1_000;

export interface Collected {
  readonly artifacts: readonly Digest[];
  readonly blobCount: number;
  readonly freedBytes: number;
  readonly keptArtifacts: number;
  readonly keptBytes: number;
}

/**
 * Removes artifacts that nothing needs, and what no artifact needs. Kept is what a name points at, what work
 * keeps by itself, what a receipt of any other room names (by digest, anywhere in it), what is younger than the grace period, pulls
 * that are under way or were in the last seven days, and everything that work under way has touched.
 *
 * Beside it artifacts may be added, pulled and named: whatever they touch after this began is not taken,
 * and who wants a blob that is just being removed waits and writes it anew. A kill leaves at most marks and
 * orphans, which the next collection takes.
 *
 * Refused with `artifact_incomplete` where the manifest of something that is kept cannot be read: its
 * chunks are not known then.
 */
export async function collectArtifacts(
  shelf: Shelf,
  graceMs: number,
  isDryRun: boolean,
): Promise<Collected> {
  await shelf.rebuild();
  const decision = decide(shelf, graceMs, isDryRun);
  const kept = await blobsOf(shelf, decision.kept);
  const candidates = candidatesOf(shelf, decision, kept, graceMs);
  const freedBytes = candidates.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  const { index } = shelf.blobs;
  if (!isDryRun) {
    for (let start = 0; start < candidates.length; start += batchCount)
      await removeBlobs(shelf, candidates.slice(start, start + batchCount), decision.cutoffTick);
    await sweepLeftovers(shelf, graceMs);
    if (decision.taken.length + candidates.length > 0)
      shelf.parts.journal().append("artifact.collected", "", {
        ...{ artifacts: decision.taken.length, blobs: candidates.length, freedBytes },
      });
  }
  return {
    artifacts: decision.taken,
    blobCount: candidates.length,
    freedBytes,
    keptArtifacts: decision.kept.length,
    keptBytes: index.usedBytes() - (isDryRun ? freedBytes : 0),
  };
}

interface Decision {
  /** Blobs touched from this tick on are not taken. */
  readonly cutoffTick: number;
  readonly kept: readonly Digest[];
  readonly taken: readonly Digest[];
}

/** What stays and what goes, decided and, unless dry, entered in one transaction. */
function decide(shelf: Shelf, graceMs: number, isDryRun: boolean): Decision {
  const store = shelf.parts.store();
  return store.transaction(() => {
    const { index } = shelf.blobs;
    const nowMs = index.nowMs();
    const tick = index.nextTick();
    const cutoffTick = Math.min(tick, shelf.holds.oldestTick() ?? tick);
    const needed = new Set(shelf.pointers.all().map(({ artifact }) => artifact));
    for (const row of store.all("SELECT artifact, hold, updated_ms FROM artifact_pull")) {
      const isLive =
        row["hold"] !== null && shelf.holds.isLive(String(row["hold"]), holdLifetimeMs);
      if (isLive || Number(row["updated_ms"]) > nowMs - pullLifetimeMs)
        needed.add(String(row["artifact"]));
      else if (!isDryRun)
        store.run("DELETE FROM artifact_pull WHERE artifact = ?", String(row["artifact"]));
    }
    for (const artifact of shelf.kept.digests()) needed.add(artifact);
    addReceipts(shelf, needed);
    const isHere = (digest: Digest) =>
      index.has("manifests", digest) || shelf.catalog.get(digest) !== null;
    const kept: Digest[] = [...needed].filter(isHere);
    const taken: Digest[] = [];
    for (const digest of shelf.catalog.digests()) {
      if (needed.has(digest)) continue;
      const isYoung = shelf.catalog.get(digest)!.sinceMs > nowMs - graceMs;
      (isYoung ? kept : taken).push(digest);
      if (!isYoung && !isDryRun) store.run("DELETE FROM artifact WHERE digest = ?", digest);
    }
    return { cutoffTick, kept, taken };
  });
}

/** Digests that receipts name. Those of this room only tell what was added or pulled. */
function addReceipts(shelf: Shelf, needed: Set<Digest>): void {
  const known = new Set([...shelf.catalog.digests()]);
  let after = 0;
  for (;;) {
    const rows = shelf.parts
      .store()
      .all(
        "SELECT rowid AS place, text FROM receipt WHERE rowid > ? AND kind NOT LIKE 'artifact.%' ORDER BY rowid LIMIT ?",
        ...[after, receiptBatch],
      );
    for (const row of rows)
      for (const [digest] of String(row["text"]).matchAll(/[0-9a-f]{64}/g))
        if (known.has(digest)) needed.add(digest);
    if (rows.length < receiptBatch) return;
    after = Number(rows.at(-1)!["place"]);
  }
}

const keyOf = ({ kind, digest }: Pick<Blob, "kind" | "digest">) => `${kind}/${digest}`;

async function blobsOf(shelf: Shelf, artifacts: readonly Digest[]): Promise<Set<string>> {
  const kept = new Set<string>();
  for (const digest of artifacts) {
    const named = await shelf.manifest(digest).catch((error: unknown) => {
      if (error instanceof Refusal && error.code.startsWith("artifact_")) throw unreadable(digest);
      throw error;
    });
    kept.add(keyOf({ kind: "manifests", digest }));
    for (const chunk of distinctChunks(named.manifest))
      kept.add(keyOf({ kind: "chunks", ...chunk }));
  }
  return kept;
}

function candidatesOf(
  shelf: Shelf,
  { cutoffTick }: Decision,
  kept: ReadonlySet<string>,
  graceMs: number,
): Blob[] {
  const nowMs = shelf.blobs.index.nowMs();
  return shelf.parts
    .store()
    .all(
      `SELECT kind, digest, size_bytes FROM artifact_blob
       WHERE tick < ?1 AND (touched_ms <= ?2 OR doomed_ms IS NOT NULL) AND (doomed_ms IS NULL OR doomed_ms < ?3)
       ORDER BY kind, digest`,
      ...[cutoffTick, nowMs - graceMs, nowMs - doomLifetimeMs],
    )
    .map((row) => ({
      kind: String(row["kind"]) as BlobKind,
      digest: String(row["digest"]),
      sizeBytes: Number(row["size_bytes"]),
    }))
    .filter((blob) => !kept.has(keyOf(blob)));
}

/** Marks, removes, forgets blobs. What was touched from the tick on is not marked, so it stays. */
export async function removeBlobs(
  shelf: Shelf,
  batch: readonly Blob[],
  cutoffTick: number,
): Promise<void> {
  const { disk, layout, clock } = shelf.parts;
  const store = shelf.parts.store();
  const nowMs = shelf.blobs.index.nowMs();
  const startedMs = clock.monotonicMs();
  const doomed = store.transaction(() =>
    batch.filter(
      ({ kind, digest }) =>
        store.run(
          "UPDATE artifact_blob SET doomed_ms = ?1 WHERE kind = ?2 AND digest = ?3 AND tick < ?4 AND (doomed_ms IS NULL OR doomed_ms < ?5)",
          ...[nowMs, kind, digest, cutoffTick, nowMs - doomLifetimeMs],
        ).changes > 0,
    ),
  );
  const gone: Blob[] = [];
  for (const blob of doomed) {
    // A mark counts for a while only: whoever was held up for half of it removes nothing more.
    if (clock.monotonicMs() - startedMs > doomLifetimeMs / 2) break;
    await disk.remove(layout.blob(blob.kind, blob.digest));
    gone.push(blob);
  }
  store.transaction(() => {
    for (const { kind, digest } of gone)
      store.run(
        "DELETE FROM artifact_blob WHERE kind = ? AND digest = ? AND doomed_ms = ?",
        ...[kind, digest, nowMs],
      );
  });
}

/** Drafts of the killed, and what was set aside and has been looked at long enough. */
async function sweepLeftovers(shelf: Shelf, graceMs: number): Promise<void> {
  const { disk, layout } = shelf.parts;
  const nowMs = shelf.blobs.index.nowMs();
  for (const [folder, lifetimeMs] of [
    [layout.drafts, draftLifetimeMs],
    [layout.damaged, Math.max(graceMs, draftLifetimeMs)],
  ] as const)
    for (const { name, modifiedMs } of await disk.list(folder))
      if (modifiedMs < nowMs - lifetimeMs) await disk.remove(join(folder, name));
}

function unreadable(digest: Digest): Refusal {
  return new Refusal(
    "artifact_incomplete",
    `the manifest of ${digest}, which is needed, cannot be read; nothing more is collected`,
    "pull it again, or remove its name",
    { artifact: digest },
  );
}
