import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Blob } from "./blob-index.ts";
import { Fetching } from "./fetching.ts";
import { claimLifetimeMs, type Hold } from "./holds.ts";
import { distinctChunks, type ChunkPlace, type NamedManifest } from "./manifest.ts";
import { PullRate } from "./pull-rate.ts";
import { pullLimits, type Pulled, type PullLimits, type PullRequest } from "./pull-request.ts";
import type { Shelf } from "./shelf.ts";

/** Rows of chunks are written so many at a time; a kill between loses rows, never files. */
const recordBatch = 32;
/** How often a pull that another one serves looks how far that is. */
const joinPollMs = 100;

/**
 * Brings an artifact here from its holders. What is here is not fetched; every chunk is proven before it
 * counts and is a whole, synced file then, so that a kill loses only chunks in flight and the next pull goes
 * on after them. A pull of an artifact that another process is pulling waits for it, and takes over if
 * it dies.
 *
 * Refusals: `artifact_unavailable`, `artifact_manifest_wrong`, `artifact_too_large`, `artifact_quota` and
 * `disk_full` before anything is fetched, and the signal's reason.
 */
export async function pullArtifact(shelf: Shelf, request: PullRequest): Promise<Pulled> {
  const limits = { ...pullLimits, ...request.limits };
  const hold = shelf.holds.take();
  try {
    let isJoined = false;
    while (!claim(shelf, request.artifact, hold)) {
      isJoined = true;
      await follow(shelf, request, limits);
    }
    return await new Pull(shelf, request, limits, hold).run(isJoined);
  } finally {
    letGo(shelf, request.artifact, hold);
    hold.release();
  }
}

/** Takes the pull of an artifact for this hold; false while another that lives has it. */
function claim(shelf: Shelf, artifact: Digest, hold: Hold): boolean {
  const store = shelf.parts.store();
  return store.transaction(() => {
    const row = store.get("SELECT hold FROM artifact_pull WHERE artifact = ?", artifact);
    const other = row?.["hold"] ?? null;
    if (other !== null && other !== hold.id && shelf.holds.isLive(String(other), claimLifetimeMs))
      return false;
    const nowMs = shelf.blobs.index.nowMs();
    store.run(
      `INSERT INTO artifact_pull (artifact, hold, since_ms, updated_ms, size_bytes, done_bytes)
       VALUES (?1, ?2, ?3, ?3, 0, 0) ON CONFLICT (artifact) DO UPDATE SET hold = ?2, updated_ms = ?3`,
      ...[artifact, hold.id, nowMs],
    );
    return true;
  });
}

/** An interrupted pull stays, held by nobody; one that had nothing yet does not. */
function letGo(shelf: Shelf, artifact: Digest, { id }: Hold): void {
  try {
    const store = shelf.parts.store();
    store.transaction(() => {
      store.run(
        "DELETE FROM artifact_pull WHERE artifact = ? AND hold = ? AND size_bytes = 0",
        artifact,
        id,
      );
      store.run(
        "UPDATE artifact_pull SET hold = NULL WHERE artifact = ? AND hold = ?",
        artifact,
        id,
      );
    });
  } catch {
    // A full disk: the hold lapses by itself, and why the pull failed is what counts.
  }
}

async function follow(shelf: Shelf, request: PullRequest, limits: PullLimits): Promise<void> {
  const { clock } = shelf.parts;
  const rate = new PullRate(clock, limits.progressMs, request.onProgress, true);
  const sql = "SELECT * FROM artifact_pull WHERE artifact = ?";
  for (;;) {
    const row = shelf.parts.store().get(sql, request.artifact);
    const other = row?.["hold"] ?? null;
    if (row === null || other === null || !shelf.holds.isLive(String(other), claimLifetimeMs))
      return;
    rate.at(Number(row["done_bytes"]), Number(row["size_bytes"]));
    await clock.sleep(joinPollMs, request.signal);
  }
}

/** One pull that has the claim. */
class Pull {
  readonly fetching: Fetching;
  readonly #rate: PullRate;
  #totalBytes = 0;
  #doneBytes = 0;
  #fetchedBytes = 0;
  #fetchedChunks = 0;
  #unrecorded: Blob[] = [];

  constructor(
    readonly shelf: Shelf,
    readonly request: PullRequest,
    readonly limits: PullLimits,
    readonly hold: Hold,
  ) {
    this.fetching = new Fetching(shelf.parts, request, limits);
    this.#rate = new PullRate(shelf.parts.clock, limits.progressMs, request.onProgress, false);
  }

  async run(isJoined: boolean): Promise<Pulled> {
    const { shelf, request } = this;
    const named = await this.#manifest();
    requireSize(named, request.mostBytes ?? null);
    const chunks = distinctChunks(named.manifest);
    this.#totalBytes = chunks.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
    const here = await shelf.blobs.present(chunks.map(asBlob));
    const missing = chunks.filter(({ digest }) => !here.has(digest));
    const missingBytes = missing.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
    this.#doneBytes = this.#totalBytes - missingBytes;
    await shelf.checkRoom(missingBytes, request.quotaBytes, this.#promisedBytes());
    await this.#keepManifest(named);
    this.#save();
    await this.#fetchAll(missing);
    const known = shelf.catalog.get(named.digest);
    const isNew = known === null || !known.isWhole || this.#fetchedChunks > 0;
    const holders = this.fetching.holders.map((each) => each.report());
    if (request.keep !== undefined) await shelf.enterKept(named, "pulled", request.keep);
    else if (isNew || request.name !== null)
      await shelf.enter(named, "pulled", request.name, {
        fetchedBytes: this.#fetchedBytes,
        holders: holders.map(({ holder, chunks: count, dropped }) => ({
          ...{ holder, chunks: count, dropped },
        })),
      });
    else this.#forget();
    this.#rate.at(this.#totalBytes, this.#totalBytes, true);
    return {
      artifact: named.digest,
      sizeBytes: named.manifest.sizeBytes,
      fetchedBytes: this.#fetchedBytes,
      fetchedChunks: this.#fetchedChunks,
      isJoined: isJoined && this.#fetchedChunks === 0,
      holders,
    };
  }

  /** Ours where it is sound; what is damaged was set aside by looking, and is asked for again. */
  async #manifest(): Promise<NamedManifest> {
    try {
      return await this.shelf.manifest(this.request.artifact);
    } catch (error) {
      const isHere = !(error instanceof Refusal);
      if (isHere || error.code === "artifact_manifest_wrong") throw error;
      return this.fetching.manifest();
    }
  }

  /** On disk before the first chunk, so that the chunks of a killed pull are known to be wanted. */
  async #keepManifest({ digest, text }: NamedManifest): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    await this.shelf.blobs.put({ kind: "manifests", digest, sizeBytes: bytes.byteLength }, bytes);
  }

  async #fetchAll(missing: readonly ChunkPlace[]): Promise<void> {
    const queue = missing[Symbol.iterator]();
    const largest = missing.reduce((most, { sizeBytes }) => Math.max(most, sizeBytes), 0);
    const failures: unknown[] = [];
    const work = async () => {
      const buffer = new Uint8Array(largest);
      while (failures.length === 0) {
        const next = queue.next();
        if (next.done === true) return;
        await this.#fetchOne(next.value, buffer.subarray(0, next.value.sizeBytes));
      }
    };
    const workers = Array.from({ length: Math.min(this.limits.concurrency, missing.length) }, () =>
      work().catch((error: unknown) => {
        failures.push(error);
      }),
    );
    await Promise.all(workers);
    if (failures.length === 0) return this.#record();
    try {
      this.#record();
    } catch {
      // The files are there all the same, and why the pull failed is what counts.
    }
    throw failures[0];
  }

  async #fetchOne(place: ChunkPlace, buffer: Uint8Array): Promise<void> {
    await this.fetching.chunk(place, buffer);
    this.#fetchedBytes += place.sizeBytes;
    this.#fetchedChunks += 1;
    await this.shelf.blobs.write("chunks", place.digest, buffer);
    this.#unrecorded.push(asBlob(place));
    this.#doneBytes += place.sizeBytes;
    if (this.#unrecorded.length >= recordBatch) this.#record();
    this.#rate.at(this.#doneBytes, this.#totalBytes);
  }

  /** Rows for what was written. No collection takes a pull's chunks, so none can be on its way out. */
  #record(): void {
    const written = this.#unrecorded;
    this.#unrecorded = [];
    this.shelf.blobs.index.touch(written);
    this.#save();
  }

  #save(): void {
    this.shelf.parts
      .store()
      .run(
        "UPDATE artifact_pull SET size_bytes = ?, done_bytes = ?, updated_ms = ? WHERE artifact = ? AND hold = ?",
        ...[this.#totalBytes, this.#doneBytes, this.shelf.blobs.index.nowMs()],
        ...[this.request.artifact, this.hold.id],
      );
  }

  /** What other pulls under way have still to fetch. */
  #promisedBytes(): number {
    return this.shelf.parts
      .store()
      .all("SELECT * FROM artifact_pull WHERE artifact <> ?", this.request.artifact)
      .filter(({ hold }) => hold !== null && this.shelf.holds.isLive(String(hold), claimLifetimeMs))
      .reduce((total, row) => total + Number(row["size_bytes"]) - Number(row["done_bytes"]), 0);
  }

  #forget(): void {
    const sql = "DELETE FROM artifact_pull WHERE artifact = ?";
    this.shelf.parts.store().run(sql, this.request.artifact);
  }
}

function requireSize({ digest, manifest }: NamedManifest, mostBytes: number | null): void {
  const { sizeBytes } = manifest;
  if (mostBytes === null || sizeBytes <= mostBytes) return;
  throw new Refusal(
    "artifact_too_large",
    `artifact ${digest.slice(0, 12)} has ${sizeBytes} bytes; what is wanted has ${mostBytes} at most`,
    "whoever made it did not make what it was to be; nothing of it was fetched",
    { artifact: digest, sizeBytes, mostBytes },
  );
}

const asBlob = ({ digest, sizeBytes }: ChunkPlace): Blob => ({
  ...{ kind: "chunks", digest, sizeBytes },
});
