import type { IdentityService, ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Store } from "#src/port/store.ts";
import { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** The receipts of one home. The store is opened when the log is. */
export function receiptService(parts: {
  readonly identity: IdentityService;
  readonly clock: Clock;
  readonly store: () => Store;
}): ReceiptService {
  let log: ReceiptLog | null = null;
  return {
    async open() {
      if (log !== null) return log;
      const { nodeId, key } = await parts.identity.open();
      return (log ??= new ReceiptLog(parts.store(), parts.clock, { nodeId, key }));
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
