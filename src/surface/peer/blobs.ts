import type { Services } from "#src/command/define.ts";
import { openTicket } from "#src/peer/blob-ticket.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { answerBlobRequest } from "../blob-answer.ts";
import { Places } from "../http/door.ts";

/** Blobs being sent at the same time: each is a chunk in memory. */
const blobsMaximum = 16;
/** Of those, what one member may have: as many as one pull asks for at once. */
const blobsEach = 8;

/** Below it lie the blobs, on the port where members meet. */
export const blobsPath = "/blobs/";

/** Who may ask for blobs. */
export interface BlobAudience {
  readonly mesh: string;
  /** The key of a live member; null for everybody else. */
  keyOf(node: string): string | null;
}

export interface BlobDoorParts {
  readonly services: Pick<Services, "artifacts" | "clock" | "receipts">;
  /** Asked anew for each request, so that who was evicted is refused at once; null while nobody may. */
  audience(): BlobAudience | null;
  /** Told of each answer with bytes of a blob. */
  gave?(digest: string, sizeBytes: number): void;
  onBug(error: unknown): void;
}

/**
 * Gives the blobs of this home to live members of its mesh, who show a ticket. Everybody else learns nothing,
 * not even which blobs there are: 401 without a word.
 */
export class BlobDoor {
  readonly #all = new Places(blobsMaximum, "blobs");
  /** Of members that have any. */
  readonly #each = new Map<string, Places>();

  constructor(readonly parts: BlobDoorParts) {}

  /** 200, 206, 304 or 416 with the blob; 401, 404 or, where places are taken, 503, all bare. */
  async answer(request: Request): Promise<Response> {
    const digest = new URL(request.url).pathname.slice(blobsPath.length);
    if (request.method !== "GET" && request.method !== "HEAD") return bare(404);
    try {
      const release = this.#take(this.#memberOf(request));
      const { artifacts } = this.parts.services;
      const answer = await answerBlobRequest(() => artifacts.open(), digest, request, release);
      const isGiven = request.method === "GET" && answer.ok;
      if (isGiven) this.parts.gave?.(digest, Number(answer.headers.get("content-length") ?? 0));
      return answer;
    } catch (error) {
      if (!(error instanceof Refusal)) {
        this.parts.onBug(error);
        return bare(500);
      }
      if (error.code === "door_busy") return bare(503);
      return bare(error.code.startsWith("artifact_") ? 404 : 401);
    }
  }

  /** Refused as `openTicket` does. */
  #memberOf(request: Request): string {
    const { receipts, clock } = this.parts.services;
    const audience = this.parts.audience();
    const { nodeId } = receipts.opened().author;
    const header = request.headers.get("authorization") ?? "";
    const self = { nodeId, mesh: "", keyOf: () => null, ...audience, nowMs: clock.wallMs() };
    return openTicket(header, self).sender;
  }

  /** A place for a member, which gives back both. Refused with `door_busy`. */
  #take(node: string): () => void {
    const own = this.#each.get(node) ?? new Places(blobsEach, "blobs");
    const releaseOwn = own.take();
    const releaseAll = this.#takeAny(releaseOwn);
    this.#each.set(node, own);
    return () => {
      releaseOwn();
      releaseAll();
      if (own.taken === 0 && this.#each.get(node) === own) this.#each.delete(node);
    };
  }

  #takeAny(releaseOwn: () => void): () => void {
    try {
      return this.#all.take();
    } catch (error) {
      releaseOwn();
      throw error;
    }
  }
}

const bare = (status: number) => new Response(null, { status });
