import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Asking } from "./holder.ts";
import { holderFailed } from "./holder.ts";
import { chooseHolder, RankedHolder } from "./holder-ranking.ts";
import {
  manifestBytesMaximum,
  parseManifest,
  type ChunkPlace,
  type NamedManifest,
} from "./manifest.ts";
import type { PullLimits, PullRequest } from "./pull-request.ts";
import type { ArtifactParts } from "./parts.ts";

/** How often it is looked whether a holder has room for another request. */
const chooseMs = 5;
/** The longest time between two requests for a chunk that only one holder may have. */
const retryMaximumMs = 4_000;

/** Asks holders for blobs and believes none of them. */
export class Fetching {
  readonly holders: readonly RankedHolder[];

  constructor(
    readonly parts: Pick<ArtifactParts, "clock">,
    readonly request: PullRequest,
    readonly limits: PullLimits,
  ) {
    this.holders = request.holders.map((holder) => new RankedHolder(holder));
  }

  /** The manifest from the first holder that has the true one. Refused with `artifact_unavailable`. */
  async manifest(): Promise<NamedManifest> {
    const { artifact } = this.request;
    for (let wait = 0; ;) {
      const ranked = this.#choose(artifact);
      if (ranked === null) {
        await this.parts.clock.sleep(chooseMs, this.request.signal);
        continue;
      }
      const outcome = await this.#ask(ranked, artifact, async (asking) => {
        const bytes = await ranked.holder.fetchManifest(artifact, manifestBytesMaximum, asking);
        if (digestBytes(bytes) !== artifact) throw lied(ranked.holder.name, artifact);
        return bytes;
      });
      // Bytes of the right digest that are no manifest are nobody's lie: no holder has others.
      if (outcome !== null) return parseManifest(outcome);
      await this.#pause(ranked, artifact, wait++);
    }
  }

  /**
   * Fills `into` with a chunk that is what its digest says, from whichever holders it takes. Refused with
   * `artifact_unavailable` once nobody is left to ask.
   */
  async chunk({ digest }: ChunkPlace, into: Uint8Array): Promise<void> {
    for (let wait = 0; ;) {
      this.request.signal.throwIfAborted();
      const ranked = this.#choose(digest);
      if (ranked === null) {
        await this.parts.clock.sleep(chooseMs, this.request.signal);
        continue;
      }
      const startedMs = this.parts.clock.monotonicMs();
      const isDone = await this.#ask(ranked, digest, async (asking) => {
        await ranked.holder.fetchChunk(digest, into, asking);
        if (digestBytes(into) !== digest) throw lied(ranked.holder.name, digest);
        return true;
      });
      if (isDone === true) {
        ranked.gave(into.byteLength, this.parts.clock.monotonicMs() - startedMs);
        return;
      }
      await this.#pause(ranked, digest, wait++);
    }
  }

  /** Whom to ask now; null while all who may have it have enough to do. Refused with `artifact_unavailable`. */
  #choose(digest: Digest): RankedHolder | null {
    if (!this.holders.some((each) => each.mayHave(digest))) throw this.unavailable(digest);
    return chooseHolder(this.holders, digest, this.parts.clock.monotonicMs());
  }

  /** Waits before the only holder that may have a blob is asked again. */
  async #pause(asked: RankedHolder, digest: Digest, times: number): Promise<void> {
    if (asked.failures === 0) return;
    const hasOther = this.holders.some((each) => each !== asked && each.mayHave(digest));
    if (hasOther || !asked.mayHave(digest)) return;
    const ms = Math.min(this.limits.retryMs * 2 ** times, retryMaximumMs);
    await this.parts.clock.sleep(ms, this.request.signal);
  }

  /** Asks under watch; null where it was refused, which is noted against the holder. */
  async #ask<T>(
    ranked: RankedHolder,
    digest: Digest,
    work: (asking: Asking) => Promise<T>,
  ): Promise<T | null> {
    const { signal } = this.request;
    const watch = new Watch(this.parts, this.limits, ranked.holder.name);
    ranked.requests += 1;
    try {
      const asking = {
        signal: AbortSignal.any([signal, watch.signal]),
        received: () => watch.heard(),
      };
      return await Promise.race([work(asking), watch.fired]);
    } catch (error) {
      signal.throwIfAborted();
      const isKnown = watch.signal.aborted || error instanceof Refusal;
      const reason: unknown = watch.signal.aborted ? watch.signal.reason : error;
      const wasDropped = ranked.dropped !== null;
      ranked.failed(
        digest,
        isKnown ? (reason as Refusal) : holderFailed(ranked.holder.name, String(error)),
        this.parts.clock.monotonicMs(),
      );
      if (!wasDropped && ranked.dropped !== null) this.request.onDropped?.(ranked.report());
      return null;
    } finally {
      ranked.requests -= 1;
      watch.end();
    }
  }

  unavailable(digest: Digest): Refusal {
    const holders = this.holders.map((each) => each.report());
    const said = holders.map(({ holder, reason }) => reason ?? `${holder} has not got it`);
    return new Refusal(
      "artifact_unavailable",
      `nobody gave ${digest}: ${said.length === 0 ? "no holder was named, and no member of the mesh is known to have it" : said.join("; ")}`,
      "what came is kept; pull again, naming other holders with --from",
      { digest, holders },
    );
  }
}

/** Notices silence and slowness of one request. */
class Watch {
  readonly #stopped = new AbortController();
  readonly #ended = new AbortController();
  readonly fired: Promise<never>;
  #heardMs: number;

  constructor(parts: Pick<ArtifactParts, "clock">, limits: PullLimits, holder: string) {
    const { clock } = parts;
    const startedMs = clock.monotonicMs();
    this.#heardMs = startedMs;
    const { promise, reject } = Promise.withResolvers<never>();
    this.fired = promise;
    promise.catch(() => {});
    const watch = async () => {
      for (;;) {
        const silentAtMs = this.#heardMs + limits.stallMs;
        const atMs = Math.min(silentAtMs, startedMs + limits.chunkMs);
        const restMs = atMs - clock.monotonicMs();
        if (restMs <= 0) break;
        await clock.sleep(restMs, this.#ended.signal);
      }
      const refusal = stalled(holder, this.#heardMs - startedMs, limits);
      this.#stopped.abort(refusal);
      reject(refusal);
    };
    watch().catch(() => {});
    this.heard = () => {
      this.#heardMs = clock.monotonicMs();
    };
  }

  readonly heard: () => void;

  get signal(): AbortSignal {
    return this.#stopped.signal;
  }

  end(): void {
    this.#ended.abort(new Error("answered"));
  }
}

function lied(holder: string, digest: Digest): Refusal {
  return new Refusal(
    "holder_lied",
    `${holder} gave other bytes for ${digest}`,
    "do not trust what it holds; name another holder",
    { holder, digest },
  );
}

function stalled(holder: string, heardAfterMs: number, limits: PullLimits): Refusal {
  const isSlow = heardAfterMs + limits.stallMs > limits.chunkMs;
  return new Refusal(
    "holder_stalled",
    isSlow
      ? `${holder} did not finish within ${limits.chunkMs} ms`
      : `${holder} sent nothing for ${limits.stallMs} ms`,
    "name another holder, or try again",
    { holder, stallMs: limits.stallMs, chunkMs: limits.chunkMs },
  );
}
