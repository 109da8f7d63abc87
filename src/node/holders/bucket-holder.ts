import { S3Client } from "bun";
import {
  Gathered,
  holderFailed,
  holderLacks,
  type Asking,
  type Holder,
} from "#src/artifact/holder.ts";
import { blobPath, type BlobKind } from "#src/artifact/layout.ts";
import type { Digest } from "#src/codec/digest.ts";

/** How a bucket is reached; what is absent is as the S3 client has it. */
export interface BucketOptions {
  readonly bucket: string;
  /** Before every key; empty, or ending with `/`. */
  readonly prefix: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A bucket of an S3-compatible service whose keys are the paths of a home's `artifacts/`. */
export class BucketHolder implements Holder {
  readonly name: string;
  readonly #client: S3Client;

  constructor(readonly options: BucketOptions) {
    const { bucket, prefix, environment } = options;
    this.name = `s3://${bucket}/${prefix}`;
    const setting = (name: string) => environment[`S3_${name}`] ?? environment[`AWS_${name}`];
    const given = {
      accessKeyId: setting("ACCESS_KEY_ID"),
      secretAccessKey: setting("SECRET_ACCESS_KEY"),
      sessionToken: setting("SESSION_TOKEN"),
      region: setting("REGION"),
      endpoint: setting("ENDPOINT") ?? environment["AWS_ENDPOINT_URL"],
    };
    const known = Object.entries(given).filter(([, value]) => value !== undefined);
    this.#client = new S3Client({ bucket, ...Object.fromEntries(known) });
  }

  async fetchManifest(digest: Digest, maximumBytes: number, asking: Asking): Promise<Uint8Array> {
    const gathered = new Gathered(new Uint8Array(maximumBytes), asking, this.name);
    await this.#fetch("manifests", digest, gathered);
    return gathered.bytes.slice();
  }

  async fetchChunk(digest: Digest, into: Uint8Array, asking: Asking): Promise<void> {
    const gathered = new Gathered(into, asking, this.name);
    await this.#fetch("chunks", digest, gathered);
    gathered.requireFull();
  }

  async #fetch(kind: BlobKind, digest: Digest, gathered: Gathered): Promise<void> {
    const { signal } = gathered.asking;
    const key = this.options.prefix + blobPath(kind, digest);
    const body = this.#client.file(key).slice(0, gathered.into.byteLength).stream();
    const reader = body.getReader();
    const cancel = () => void reader.cancel().catch(() => {});
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        gathered.add(value);
      }
      signal.throwIfAborted();
    } catch (error) {
      signal.throwIfAborted();
      throw this.#refusalOf(error, kind, digest);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  /** The service's code alone: its words may repeat a key. */
  #refusalOf(error: unknown, kind: BlobKind, digest: Digest): unknown {
    const { code, name } = error as { code?: unknown; name?: unknown };
    if (name === "Refusal") return error;
    if (code === "NoSuchKey" || code === "NotFound") return holderLacks(this.name, kind, digest);
    return holderFailed(this.name, `the service says ${String(code ?? name)}`);
  }
}
