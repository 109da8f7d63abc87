import { getLogger } from "@logtape/logtape";
import { join } from "node:path";
import type { Holder } from "#src/artifact/holder.ts";
import type { Keep } from "#src/artifact/kept.ts";
import type { ArtifactManifest, NamedManifest } from "#src/artifact/manifest.ts";
import { holderMaximum, type Pulled } from "#src/artifact/pull-request.ts";
import type { Shelf } from "#src/artifact/shelf.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { openMembers } from "../holders/open-members.ts";

const log = getLogger(["psionic", "runs"]);

/** What of a run travels: each with the number of its revision or window. */
export const keptKinds = ["document", "contribution", "revision", "state"] as const;
export type KeptKind = (typeof keptKinds)[number];

/** The kinds by how long they are kept. */
const longestKept: readonly KeptKind[] = ["document", "revision", "contribution", "state"];

/** Ways to members that are kept open; each knows the member's certificate and which address answers. */
const wayMaximum = 128;
/** Blobs of which it is remembered for which run they are. */
const notedMaximum = 10_000;

export const ownerOf = (run: string) => `run ${run}`;

/** What moved, for `run status` and metrics. */
export interface Traffic {
  receivedBytes: number;
  sentBytes: number;
}

/** The artifacts of runs on this node: made, fetched from named members, laid out as files, let go. */
export class RunArtifacts {
  readonly #traffic = new Map<string, Traffic>();
  readonly #ways = new Map<string, Holder>();
  /** Of manifests and chunks that came or were made lately: of which run they are. */
  readonly #runOf = new Map<Digest, string>();
  readonly #layingOut = new Map<string, Promise<string>>();

  constructor(
    readonly services: Services,
    readonly node: string,
    /** The mesh as this node knows it; null while it takes part in none. */
    readonly mesh: () => MeshState | null,
  ) {}

  /** Another node was given bytes of a blob, which may be of a run. */
  gave(digest: Digest, sizeBytes: number): void {
    const run = this.#runOf.get(digest);
    if (run !== undefined) this.traffic(run).sentBytes += sizeBytes;
  }

  #note(run: string, { digest, manifest }: NamedManifest): void {
    if (this.#runOf.size > notedMaximum) this.#runOf.clear();
    for (const each of [digest, ...manifest.chunks]) this.#runOf.set(each, run);
  }

  shelf(): Promise<Shelf> {
    return this.services.artifacts.open();
  }

  traffic(run: string): Traffic {
    const known = this.#traffic.get(run) ?? { receivedBytes: 0, sentBytes: 0 };
    this.#traffic.set(run, known);
    return known;
  }

  /** Makes a folder an artifact that this run keeps. Refused as adding is. */
  async add(
    location: string,
    keep: { readonly run: string; readonly kind: KeptKind; readonly number: number },
    signal: AbortSignal,
  ): Promise<{ readonly artifact: Digest; readonly sizeBytes: number }> {
    const { addArtifact } = await import("#src/artifact/add.ts");
    const added = await addArtifact(await this.shelf(), {
      ...{ location, name: null, quotaBytes: null, signal },
      keep: this.#keep(keep),
    });
    this.#note(keep.run, added);
    return { artifact: added.digest, sizeBytes: added.manifest.sizeBytes };
  }

  /**
   * Brings an artifact here: from those named, who may have it; where none of them gives it, from any member.
   * Refused as pulls are, with `artifact_too_large` before any of it is fetched, and with `delta_malformed` where
   * what a member gives is what the run keeps as something else, which would be let go with it.
   */
  async fetch(
    artifact: Digest,
    keep: { readonly run: string; readonly kind: KeptKind; readonly number: number },
    { from, mostBytes }: { readonly from: readonly string[]; readonly mostBytes: number | null },
    signal: AbortSignal,
  ): Promise<ArtifactManifest> {
    const { pullArtifact } = await import("#src/artifact/pull.ts");
    const shelf = await this.shelf();
    requireFree(shelf, artifact, keep);
    const pull = (holders: readonly Holder[]) =>
      pullArtifact(shelf, {
        ...{ artifact, holders, name: null, quotaBytes: null, mostBytes, signal },
        keep: this.#keep(keep),
        limits: { stallMs: 5_000 },
      });
    const ways = await this.waysTo(from);
    const startedMs = this.services.clock.monotonicMs();
    let pulled: Pulled;
    try {
      pulled = await pull(ways);
    } catch (error) {
      const isMissing = error instanceof Refusal && error.code === "artifact_unavailable";
      const others = await this.waysTo(null);
      if (!isMissing || others.every((each) => ways.includes(each))) throw error;
      pulled = await pull(others);
    }
    this.traffic(keep.run).receivedBytes += pulled.fetchedBytes;
    if (pulled.fetchedBytes > 0)
      log.debug("fetched {kind} {number} of {run}", {
        ...keep,
        bytes: pulled.fetchedBytes,
        ms: Math.round(this.services.clock.monotonicMs() - startedMs),
        from: pulled.holders.map(({ holder, bytes, dropped }) => ({ holder, bytes, dropped })),
      });
    const named = await shelf.manifest(artifact);
    this.#note(keep.run, named);
    return named.manifest;
  }

  /**
   * The artifact as files below the run's folder; laid out once. Refused where it is not here whole, and as disks
   * refuse.
   */
  layOut(run: string, artifact: Digest, signal: AbortSignal): Promise<string> {
    const path = this.placeOf(run, artifact);
    const known = this.#layingOut.get(path);
    if (known !== undefined) return known;
    const laid = this.#layOut(path, artifact, signal).finally(() => this.#layingOut.delete(path));
    this.#layingOut.set(path, laid);
    return laid;
  }

  placeOf(run: string, artifact: Digest): string {
    return join(this.services.home.runs, run, "artifacts", artifact);
  }

  async #layOut(path: string, artifact: Digest, signal: AbortSignal): Promise<string> {
    const { disk } = this.services;
    if ((await disk.stat(path)) !== null) return path;
    const { takeOut } = await import("#src/artifact/take-out.ts");
    await disk.makeDirectory(join(path, ".."));
    await takeOut(await this.shelf(), artifact, path, signal);
    return path;
  }

  /** Lets artifacts of a run go, with the files made of them. */
  async letGo(run: string, artifacts: readonly Digest[]): Promise<void> {
    if (artifacts.length === 0) return;
    const { discardArtifacts } = await import("#src/artifact/discard.ts");
    const shelf = await this.shelf();
    for (const artifact of artifacts) {
      shelf.kept.letGo(artifact, ownerOf(run));
      await this.services.disk.remove(this.placeOf(run, artifact)).catch(() => {});
    }
    await discardArtifacts(shelf, artifacts);
  }

  #keep({ run, kind, number }: { run: string; kind: KeptKind; number: number }): Keep {
    return { owner: ownerOf(run), kind, number };
  }

  /** Named members, this node left out; null for all. One way to each is kept for later. */
  protected async waysTo(nodes: readonly string[] | null): Promise<readonly Holder[]> {
    const mesh = this.mesh();
    if (mesh === null) return [];
    const { author } = await this.services.receipts.open();
    const members = mesh.members.filter(
      (member) =>
        member.node !== this.node &&
        isLive(member) &&
        member.contact.places.length > 0 &&
        (nodes?.includes(member.node) ?? true),
    );
    const rank = ({ node }: { readonly node: string }) => nodes?.indexOf(node) ?? 0;
    const sorted = members.toSorted((a, b) => rank(a) - rank(b)).slice(0, holderMaximum);
    if (this.#ways.size > wayMaximum) this.#ways.clear();
    return sorted.flatMap(({ node, contact: { places, certificate } }) => {
      const key = JSON.stringify([mesh.mesh, node, places, certificate]);
      const known = this.#ways.get(key);
      if (known !== undefined) return [known];
      const [way] = openMembers(
        {
          ...{ mesh: mesh.mesh, artifacts: [] },
          members: [{ node, isSelf: false, places, certificate }],
        },
        "",
        { identity: author, clock: this.services.clock },
      );
      if (way !== undefined) this.#ways.set(key, way);
      return way === undefined ? [] : [way];
    });
  }
}

function requireFree(
  shelf: Shelf,
  artifact: Digest,
  { run, kind }: { readonly run: string; readonly kind: KeptKind },
): void {
  for (const other of longestKept.slice(0, longestKept.indexOf(kind))) {
    if (shelf.kept.of(ownerOf(run), other).some(isIt))
      throw new Refusal(
        "delta_malformed",
        `what was given as a ${kind} of ${run} is a ${other} of it`,
        "who made it did not make it by the rules",
        { run, artifact },
      );
  }

  function isIt(each: { readonly artifact: Digest }): boolean {
    return each.artifact === artifact;
  }
}
