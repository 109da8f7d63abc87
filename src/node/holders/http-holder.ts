import {
  Gathered,
  holderBusy,
  holderFailed,
  holderLacks,
  wrongLength,
  type Asking,
  type Holder,
} from "#src/artifact/holder.ts";
import type { BlobKind } from "#src/artifact/layout.ts";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { pinnedTls, type PinnedTls } from "./pinned-certificate.ts";

export interface HttpHolderOptions {
  /** Under which `blobs/<digest>` lies; ends with `/`. */
  readonly base: URL;
  readonly name: string;
  readonly token?: string | null;
  /** The `authorization` header, instead of a token. */
  authorization?(): string;
  /** SHA-256 of the certificate, for a holder whose certificate no authority signed. */
  readonly pin?: string | null;
  /** The socket it is reached through. */
  readonly socket?: string;
}

/** Another node's HTTP door, over TCP, TLS or its Unix socket. */
export class HttpHolder implements Holder {
  readonly name: string;
  #tls: Promise<PinnedTls> | null = null;

  constructor(readonly options: HttpHolderOptions) {
    this.name = options.name;
  }

  async fetchManifest(digest: Digest, maximumBytes: number, asking: Asking): Promise<Uint8Array> {
    const response = await this.#get("manifests", digest, maximumBytes, asking);
    const declared = Number(response.headers.get("content-length") ?? maximumBytes);
    if (declared > maximumBytes) {
      await response.body?.cancel();
      throw wrongLength(this.name, `a manifest of ${declared} bytes`);
    }
    const gathered = new Gathered(new Uint8Array(declared), asking, this.name);
    await this.#drain(response, gathered);
    return gathered.bytes;
  }

  async fetchChunk(digest: Digest, into: Uint8Array, asking: Asking): Promise<void> {
    const response = await this.#get("chunks", digest, into.byteLength, asking);
    const gathered = new Gathered(into, asking, this.name);
    await this.#drain(response, gathered);
    gathered.requireFull();
  }

  async #get(kind: BlobKind, digest: Digest, sizeBytes: number, asking: Asking): Promise<Response> {
    const { base, pin, socket } = this.options;
    const authorization = this.#authorization();
    const tls = pin ? await (this.#tls ??= this.#pinned(pin)) : null;
    const response = await this.#try(asking, () =>
      fetch(new URL(`blobs/${digest}`, base), {
        headers: {
          "accept-encoding": "identity",
          range: `bytes=0-${sizeBytes - 1}`,
          ...(authorization === null ? {} : { authorization }),
        },
        redirect: "error",
        decompress: false,
        signal: asking.signal,
        ...(tls === null ? {} : { tls }),
        ...(socket === undefined ? {} : { unix: socket }),
      }),
    );
    if (response.status === 200 || response.status === 206) return response;
    await response.body?.cancel();
    if (response.status === 404) throw holderLacks(this.name, kind, digest);
    if (response.status === 503) throw holderBusy(this.name);
    throw holderFailed(this.name, `it answers with HTTP status ${response.status}`);
  }

  #authorization(): string | null {
    const { token, authorization } = this.options;
    if (authorization !== undefined) return authorization();
    return token ? `Bearer ${token}` : null;
  }

  #pinned(pin: string): Promise<PinnedTls> {
    const tls = pinnedTls(this.options.base, pin, this.name);
    // A failure is tried anew; the certificate itself is looked at once.
    tls.catch(() => (this.#tls = null));
    return tls;
  }

  async #drain(response: Response, gathered: Gathered): Promise<void> {
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    try {
      for (;;) {
        const { done, value } = await this.#try(gathered.asking, () => reader.read());
        if (done) return;
        gathered.add(value);
      }
    } catch (error) {
      await reader.cancel().catch(() => {});
      throw error;
    }
  }

  async #try<T>(asking: Asking, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      asking.signal.throwIfAborted();
      if (error instanceof Refusal) throw error;
      const { code, message } = error as NodeJS.ErrnoException;
      throw holderFailed(this.name, `the connection failed (${code ?? message})`);
    }
  }
}
