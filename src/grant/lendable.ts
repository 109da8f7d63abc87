import type { Gated } from "#src/command/gate.ts";
import { nearest } from "#src/command/nearest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { confers } from "./confers.ts";

/** A command that a grant may confer: not the owner's alone, not bound to the machine. */
export function isLendable(command: Gated & { readonly hidden?: boolean }): boolean {
  const access = command.access ?? "owner";
  return access !== "owner" && command.localOnly !== true && command.hidden !== true;
}

/**
 * Refuses capabilities that would confer nothing, with `capability_unknown` and the nearest name that
 * would: a word no command has, or one all of whose commands are the owner's alone.
 */
export function checkCapabilities(
  capabilities: readonly string[],
  commands: readonly (Gated & { readonly hidden?: boolean })[],
): void {
  for (const capability of capabilities) {
    const covered = commands.filter(({ name }) => confers(capability, name));
    if (covered.some(isLendable)) continue;
    const names = commands.filter(isLendable).map(({ name }) => name);
    const suggestion = nearest(capability, names);
    throw new Refusal(
      "capability_unknown",
      covered.length === 0
        ? `there is no command ${capability} to confer`
        : `${capability} is the owner's alone and cannot be lent`,
      suggestion === null
        ? "`psionic commands` lists every command; docs/AUTHORITY.md says which can be lent"
        : `did you mean ${suggestion}?`,
      { capability, ...(suggestion === null ? {} : { suggestion }) },
    );
  }
}
