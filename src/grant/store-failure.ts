import { Refusal } from "#src/refusal/refusal.ts";
import { grantRefusals } from "./grant-refusals.ts";

/**
 * Runs work on the record of grants. A failing store means denial: whatever it throws that is not
 * itself an answer about a grant becomes `grant_store_unavailable`. Bugs stay bugs.
 */
export function denyOnFailure<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal && error.code.startsWith("grant_")) throw error;
    if (error instanceof Error && error.message.startsWith("assertion failed")) throw error;
    throw grantRefusals.storeUnavailable(error);
  }
}
