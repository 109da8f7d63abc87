import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { noInteraction } from "#src/node/no-interaction.ts";
import { compose } from "#src/node/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { addArtifact, type AddRequest } from "./add.ts";
import { FolderHolder } from "./folder-holder.ts";
import type { Asking, Holder } from "./holder.ts";
import { chunkBytesMinimum } from "./manifest.ts";
import { pullArtifact } from "./pull.ts";
import type { PullRequest } from "./pull-request.ts";
import { Shelf } from "./shelf.ts";

/** Small chunks, so that a test's artifact has many. */
export const chunkBytes = chunkBytesMinimum;

/** A home over the real disk and database, in a folder of its own. */
export class TestHome implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "psionic-artifact-"));
  readonly composition = compose({ home: join(this.folder, "home"), interaction: noInteraction });
  readonly services = this.composition.services;

  static async open(): Promise<TestHome> {
    const home = new TestHome();
    await home.services.identity.openOrCreate();
    return home;
  }

  shelf(): Promise<Shelf> {
    return this.services.artifacts.open();
  }

  get root(): string {
    return this.services.home.artifacts;
  }

  /** Writes a file below the test's folder and gives its path. */
  file(name: string, content: Uint8Array | string): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  async add(location: string, more: Partial<AddRequest> = {}) {
    const signal = new AbortController().signal;
    const request = { location, name: null, quotaBytes: null, chunkBytes, signal, ...more };
    return addArtifact(await this.shelf(), request);
  }

  async pull(artifact: string, holders: readonly Holder[], more: Partial<PullRequest> = {}) {
    const signal = new AbortController().signal;
    return pullArtifact(await this.shelf(), {
      ...{ artifact, holders, name: null, quotaBytes: null, signal, ...more },
      limits: { retryMs: 1, ...more.limits },
    });
  }

  /** This home as a holder for others, which counts and may misbehave. */
  holder(behaviour: Behaviour = {}, name = "home"): TestHolder {
    return new TestHolder(new FolderHolder(this.services.disk, this.root, name), behaviour);
  }

  [Symbol.dispose](): void {
    this.composition.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Behaviour {
  /** Called before each chunk is given; may throw or wait. */
  before?(digest: string, asking: Asking): Promise<void> | void;
  /** Changes what is given. */
  spoil?(bytes: Uint8Array, digest: string): void;
  manifest?(bytes: Uint8Array): Uint8Array;
}

export class TestHolder implements Holder {
  readonly name: string;
  readonly given: string[] = [];
  open = 0;
  mostOpen = 0;

  constructor(
    readonly inner: Holder,
    readonly behaviour: Behaviour,
  ) {
    this.name = inner.name;
  }

  async fetchManifest(digest: string, maximumBytes: number, asking: Asking): Promise<Uint8Array> {
    const bytes = await this.inner.fetchManifest(digest, maximumBytes, asking);
    return this.behaviour.manifest?.(bytes) ?? bytes;
  }

  async fetchChunk(digest: string, into: Uint8Array, asking: Asking): Promise<void> {
    this.open += 1;
    this.mostOpen = Math.max(this.open, this.mostOpen);
    try {
      await this.behaviour.before?.(digest, asking);
      await this.inner.fetchChunk(digest, into, asking);
      this.behaviour.spoil?.(into, digest);
      this.given.push(digest);
    } finally {
      this.open -= 1;
    }
  }
}

/** Bytes that no two chunks share, the same for a seed. */
export function noise(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed >>> 0 || 1;
  for (let index = 0; index < sizeBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Resolves only by rejecting, when the signal is aborted: a holder that says nothing. */
export function silence(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** The code of what the work is refused with; `accepted` where it is not. */
export async function codeOf(work: () => unknown): Promise<string> {
  return (await refusalOf(work))?.code ?? "accepted";
}

export async function refusalOf(work: () => unknown): Promise<Refusal | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
