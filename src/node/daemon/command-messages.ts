import type { Caller } from "#src/command/caller.ts";
import type { Event } from "#src/command/define.ts";
import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";

/** What a daemon tells the child in which a command computes. */
export type ToCommandChild =
  | {
      readonly type: "run";
      readonly name: string;
      /** As the command's schema reads them, defaults filled in. */
      readonly parameters: unknown;
      readonly caller: Caller;
      readonly configured: readonly string[];
      /** A grant admitted the call; what it calls in turn is not counted again. */
      readonly withinUse: boolean;
    }
  | { readonly type: "stop"; readonly refusal: PackedRefusal }
  /** Everything it said has arrived; it may go. */
  | { readonly type: "end" };

/** What the child says: events, then one of the others. */
export type FromCommandChild =
  | { readonly type: "event"; readonly event: Event }
  | { readonly type: "result"; readonly result: unknown }
  | { readonly type: "refusal"; readonly refusal: PackedRefusal }
  | { readonly type: "bug"; readonly message: string; readonly stack: string };

export interface PackedRefusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function packRefusal({ code, message, hint, details }: Refusal): PackedRefusal {
  return { code, message, hint, details: { ...details } };
}

/** The refusal as if it had been thrown here; both processes are the same build. */
export function unpackRefusal({ code, message, hint, details }: PackedRefusal): Refusal {
  assert(Object.hasOwn(codes, code), `"${code}" is a code of this build`);
  return new Refusal(code as RefusalCode, message, hint, details);
}
