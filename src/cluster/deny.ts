import { Refusal } from "#src/refusal/refusal.ts";
import type { RefusalCode } from "#src/refusal/codes.ts";

/** Ends an event without effect: the state stays what it was. */
export function deny(code: RefusalCode, message: string, hint: string): never {
  throw new Refusal(code, message, hint);
}
