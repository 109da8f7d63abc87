import type { Asking, Holder } from "#src/artifact/holder.ts";
import { holderFailed } from "#src/artifact/holder.ts";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { HttpHolder } from "./http-holder.ts";

export interface MemberHolderOptions {
  readonly node: string;
  /** `HOST:PORT`, the likeliest first. */
  readonly places: readonly string[];
  /** SHA-256 of the certificate it shows, as the mesh's state says. */
  readonly certificate: Digest;
  /** The header with a ticket that is still fresh. */
  authorization(): string;
}

/** What another address of the same member may do better. */
const placeCodes: ReadonlySet<string> = new Set(["holder_failed", "holder_pin_wrong"]);

/** Members say themselves where they are reached: what is no plain address is passed over. */
function baseOf(place: string): URL | null {
  const text = `https://${place}/`;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && url.origin + url.pathname === url.href;
  return isPlain && url.pathname === "/" ? url : null;
}

/** Another member of the mesh, at the port where members meet: whichever of its addresses answers. */
export class MemberHolder implements Holder {
  readonly name: string;
  readonly #places: readonly HttpHolder[];
  /** The address that answered last. */
  #best = 0;

  constructor({ node, places, certificate, authorization }: MemberHolderOptions) {
    this.name = node;
    this.#places = places.flatMap((place) => {
      const base = baseOf(place);
      if (base === null) return [];
      return [new HttpHolder({ base, name: node, pin: certificate, authorization })];
    });
  }

  fetchManifest(digest: Digest, maximumBytes: number, asking: Asking): Promise<Uint8Array> {
    return this.#anywhere(asking, (place) => place.fetchManifest(digest, maximumBytes, asking));
  }

  fetchChunk(digest: Digest, into: Uint8Array, asking: Asking): Promise<void> {
    return this.#anywhere(asking, (place) => place.fetchChunk(digest, into, asking));
  }

  async #anywhere<T>(asking: Asking, ask: (place: HttpHolder) => Promise<T>): Promise<T> {
    const first = this.#best;
    let failure: Refusal = holderFailed(this.name, "it has no address that can be asked");
    for (let tried = 0; tried < this.#places.length; tried++) {
      const index = (first + tried) % this.#places.length;
      try {
        const given = await ask(this.#places[index]!);
        this.#best = index;
        return given;
      } catch (error) {
        // An address that is silent takes all the time there is: the next request begins with another.
        if (asking.signal.aborted && index === this.#best)
          this.#best = (index + 1) % this.#places.length;
        asking.signal.throwIfAborted();
        if (!(error instanceof Refusal) || !placeCodes.has(error.code)) throw error;
        failure = error;
      }
    }
    throw failure;
  }
}
