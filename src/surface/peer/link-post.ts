import type { ReceiveWindows, SendCounters } from "#src/peer/counters.ts";
import type { Signer } from "#src/peer/envelope.ts";
import type { PartBox } from "#src/peer/parts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { sealMessage } from "#src/peer/message.ts";
import type { Clock } from "#src/port/clock.ts";
import type { LinkTuning } from "./link-tuning.ts";

/** How often something was refused or dropped, by code. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(code: string): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  /** By code; there are no more of them than there are codes of refusals. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}

/** What all links of a node share: who it is here, and the books of what it sent and got. */
export interface LinkPost {
  /** The node's id and the key it signs with now. */
  signer(): Signer;
  readonly node: string;
  /** The folder of this node's files, which no message names. */
  readonly home: string;
  readonly mesh: string;
  readonly epoch: number;
  /** Drawn by this process when it started: 32 hexadecimal digits. */
  readonly instance: string;
  readonly counters: SendCounters;
  readonly windows: ReceiveWindows;
  readonly tally: Tally;
  /** What comes in parts. */
  readonly parts: PartBox;
  /** A number for what goes in parts; none comes twice in this process. */
  nextStream(): number;
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">;
  readonly tuning: LinkTuning;
  onBug(error: unknown): void;
}

/** A signed message to a member, with the next counter. Refused with `message_too_large`. */
export function seal(
  post: LinkPost,
  recipient: string,
  kind: string,
  body: JsonObject,
  claims: JsonObject | null = null,
): Uint8Array {
  const { mesh, epoch, counters } = post;
  const counter = counters.next(recipient);
  const content = { mesh, recipient, epoch, counter, kind, body, claims, grant: null };
  return sealMessage(post.signer(), content);
}
