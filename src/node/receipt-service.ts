import type { IdentityService, ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Store } from "#src/port/store.ts";
import { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The receipts of one home. The store is opened when the log is; the key is read again where another
 * process has rotated it.
 */
export function receiptService(parts: {
  readonly identity: IdentityService;
  readonly clock: Clock;
  readonly store: () => Store;
}): ReceiptService {
  let log: ReceiptLog | null = null;
  return {
    async open() {
      if (log?.isCurrent) return log;
      const { nodeId, key, rotations } = await parts.identity.open();
      if (log === null)
        log = new ReceiptLog(parts.store(), parts.clock, { nodeId, key, rotations });
      else log.signWith({ nodeId, key, rotations });
      log.heal(rotations);
      return log;
    },
    opened() {
      if (log !== null) return log;
      throw new Refusal(
        "identity_absent",
        "the node's key has not been read",
        "`psionic init` makes one",
      );
    },
  };
}
