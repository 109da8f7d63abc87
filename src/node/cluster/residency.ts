import { getLogger } from "@logtape/logtape";
import { blobMaximum, holderMaximum } from "#src/cluster/bounds.ts";
import type { CommandOf } from "#src/cluster/event.ts";
import type { MeshState } from "#src/cluster/state.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";

const log = getLogger(["psionic", "cluster"]);

/** How often the shelf is compared with what the mesh knows of it. */
const lookMs = 2_000;
/** What is told in one look; the rest waits for the next. */
const wordMaximum = 64;

export interface ResidencyParts {
  readonly services: Pick<Services, "artifacts" | "store" | "clock">;
  readonly node: string;
  /** The mesh this node is a live member of, as its own copy says; null while it is in none. */
  mesh(): MeshState | null;
  /** As `ClusterService.submit`, for this node. */
  submit(command: CommandOf<"residency-set">, signal: AbortSignal): Promise<unknown>;
}

/**
 * Tells the mesh which artifacts this home holds whole, and which no more: by the digests of their manifests,
 * the newest first, as many as a mesh may know of. Commands change the shelf from other processes too, so it
 * is looked at rather than listened to; a look at a home in which nothing was written reads two numbers.
 */
export class Residency {
  /** What there was when both sides agreed last. */
  #agreed: { readonly mesh: unknown; readonly stamp: string } | null = null;
  #isFullTold = false;

  constructor(readonly parts: ResidencyParts) {}

  /** Looks until the signal aborts. Never rejects but for a bug. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.parts.services;
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.look(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Refusal)) throw error;
        log.debug("which artifacts are held here was not told: {code}", { code: error.code });
      }
    }
  }

  /** One comparison; gives how many words were said. Refused as the store and `submit` are. */
  async look(signal: AbortSignal): Promise<number> {
    const { services, node, mesh, submit } = this.parts;
    const state = mesh();
    if (state === null) return 0;
    const stamp = this.#stamp();
    const agreed = this.#agreed;
    if (agreed !== null && agreed.mesh === state.residency && agreed.stamp === stamp) return 0;
    const shelf = await services.artifacts.open();
    const words = differences(state, node, shelf.catalog.wholeDigests(blobMaximum));
    const told = words.filter((word) => !word.isHeld || fits(state, word.blob));
    if (told.length < words.length) this.#tellFull(words.length - told.length);
    for (const word of told.slice(0, wordMaximum)) await submit(word, signal);
    // What does not fit is looked at again once somebody else's blobs have changed.
    if (told.length === 0) this.#agreed = { mesh: state.residency, stamp };
    return Math.min(told.length, wordMaximum);
  }

  /** Changes with every write to the database: those of other processes, and this one's own. */
  #stamp(): string {
    const { store } = this.parts.services;
    const others = store.get("PRAGMA data_version")?.["data_version"];
    const own = store.get("SELECT total_changes() AS own")?.["own"];
    return `${String(others)} ${String(own)}`;
  }

  #tellFull(count: number): void {
    if (this.#isFullTold) return;
    this.#isFullTold = true;
    log.warning(
      "the mesh knows of as many blobs or holders as it may: {count} artifacts here are not listed, and are given all the same",
      { count },
    );
  }
}

/** What to say so that the mesh knows what this node holds; what it holds no more comes first. */
function differences(
  { residency }: MeshState,
  node: string,
  held: readonly Digest[],
): CommandOf<"residency-set">[] {
  const kind = "residency-set" as const;
  const known = residency.filter(({ holders }) => holders.includes(node)).map(({ blob }) => blob);
  const [isHeld, isKnown] = [new Set(held), new Set(known)];
  return [
    ...known
      .filter((blob) => !isHeld.has(blob))
      .map((blob) => ({ kind, node, blob, isHeld: false })),
    ...held
      .filter((blob) => !isKnown.has(blob))
      .map((blob) => ({ kind, node, blob, isHeld: true })),
  ];
}

/** Whether the mesh has room for one more holder of a blob. */
function fits({ residency }: MeshState, blob: Digest): boolean {
  const known = residency.find((each) => each.blob === blob);
  return known === undefined
    ? residency.length < blobMaximum
    : known.holders.length < holderMaximum;
}
