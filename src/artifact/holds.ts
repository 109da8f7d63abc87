import type { ArtifactParts } from "./parts.ts";
import type { BlobIndex } from "./blob-index.ts";

/** How often whoever works on artifacts says that it lives. */
const beatMs = 1_000;
/** Silence after which its process counts as killed, for a collection. */
export const holdLifetimeMs = 60_000;
/** Silence after which another pull goes on with its work; two that do the same only waste. */
export const claimLifetimeMs = 5_000;

/** Work under way: nothing it touches is collected until it ends or dies. */
export interface Hold {
  readonly id: string;
  release(): void;
}

export class Holds {
  constructor(
    readonly parts: Pick<ArtifactParts, "store" | "clock" | "random">,
    readonly index: BlobIndex,
  ) {}

  take(): Hold {
    const { clock, random } = this.parts;
    const id = random.bytes(16).toHex();
    const store = this.parts.store();
    store.transaction(() =>
      store.run(
        "INSERT INTO artifact_hold (id, since_tick, beat_ms) VALUES (?, ?, ?)",
        ...[id, this.index.nextTick(), this.index.nowMs()],
      ),
    );
    const ended = new AbortController();
    const beat = async () => {
      for (;;) {
        await clock.sleep(beatMs, ended.signal);
        store.run("UPDATE artifact_hold SET beat_ms = ? WHERE id = ?", this.index.nowMs(), id);
      }
    };
    // A beat that cannot be written is no reason to stop: the hold then lapses by itself.
    beat().catch(() => {});
    return {
      id,
      release() {
        ended.abort(new Error("released"));
        try {
          store.run("DELETE FROM artifact_hold WHERE id = ?", id);
        } catch {
          // A full disk: the hold lapses by itself, and why the work failed is what counts.
        }
      },
    };
  }

  isLive(id: string, lifetimeMs: number): boolean {
    const row = this.parts.store().get("SELECT beat_ms FROM artifact_hold WHERE id = ?", id);
    return row !== null && this.#isFresh(Number(row["beat_ms"]), lifetimeMs);
  }

  /** The tick of the oldest work that lives, or null while nobody works; the dead are forgotten. */
  oldestTick(): number | null {
    const store = this.parts.store();
    let oldest: number | null = null;
    for (const row of store.all("SELECT id, since_tick, beat_ms FROM artifact_hold")) {
      if (!this.#isFresh(Number(row["beat_ms"]), holdLifetimeMs)) {
        store.run("DELETE FROM artifact_hold WHERE id = ?", String(row["id"]));
        continue;
      }
      oldest = Math.min(oldest ?? Infinity, Number(row["since_tick"]));
    }
    return oldest;
  }

  #isFresh(beatAtMs: number, lifetimeMs: number): boolean {
    return Math.abs(this.index.nowMs() - beatAtMs) < lifetimeMs;
  }
}
