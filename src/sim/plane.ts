import type { Digest } from "#src/codec/digest.ts";
import type { ToyDelta } from "./toy-step.ts";

/** What an artifact of the simulation holds; a revision is its digest alone. */
export type ToyArtifact = ToyDelta | null;

/** Who holds which artifact: pulled from any machine that runs and has it. */
export class Plane {
  readonly #holders = new Map<Digest, Set<string>>();
  readonly #artifacts = new Map<Digest, ToyArtifact>();
  readonly #withholding = new Set<string>();

  constructor(readonly isUp: (site: string) => boolean) {}

  publish(site: string, digest: Digest, artifact: ToyArtifact): void {
    this.#artifacts.set(digest, artifact);
    const holders = this.#holders.get(digest) ?? new Set();
    this.#holders.set(digest, holders.add(site));
  }

  /** Undefined where nobody who runs has it. Who has pulled it holds it from then on. */
  pull(site: string, digest: Digest): ToyArtifact | undefined {
    const holders = this.#holders.get(digest);
    if (holders === undefined) return undefined;
    const isGiving = (holder: string) => this.isUp(holder) && !this.#withholding.has(holder);
    if (!holders.has(site) && ![...holders].some(isGiving)) return undefined;
    holders.add(site);
    return this.#artifacts.get(digest)!;
  }

  /** A machine gives nothing to others for a while, as one whose port is shut. */
  withhold(site: string): void {
    this.#withholding.add(site);
  }

  serve(site: string): void {
    this.#withholding.delete(site);
  }

  serveAll(): void {
    this.#withholding.clear();
  }
}
