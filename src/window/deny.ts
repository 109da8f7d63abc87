import type { RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Ends an event of a run without effect: the state stays what it was. */
export function deny(code: RefusalCode, message: string, hint: string): never {
  throw new Refusal(code, message, hint);
}
