import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { attestationSchema, type Attestation } from "./attestation.ts";
import { findExecution } from "./execution-store.ts";
import type { Signals } from "./signals.ts";

/** Everything that is kept of one execution. */
export interface ShownExecution {
  readonly execution: string;
  readonly state: string;
  readonly policy: string;
  readonly command: string;
  readonly caller: string;
  readonly claimedMs: number;
  readonly endedMs: number | null;
  readonly signals: Signals;
  /** Null where there is none, or where it was too long to keep. */
  readonly result: unknown;
  /** Null until the execution has ended. */
  readonly attestation: Attestation | null;
}

/** Refused with `execution_not_found`. */
export async function showExecution(id: string, services: Services): Promise<ShownExecution> {
  const found = findExecution(id, services);
  if (found === null)
    throw new Refusal(
      "execution_not_found",
      `no execution ${id} is known here`,
      "`psionic attestation list` lists those there are",
      { execution: id },
    );
  const log = await services.receipts.open();
  const logged = found.receiptDigest === null ? null : log.find(found.receiptDigest);
  const { state, policy, command, caller, claimedMs, endedMs, signals, resultText } = found;
  return {
    ...{ execution: id, state, policy, command, caller, claimedMs, endedMs, signals },
    result: resultText === null ? null : (JSON.parse(resultText) as unknown),
    attestation: logged === null ? null : v.parse(attestationSchema, logged.receipt),
  };
}
