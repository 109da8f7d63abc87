import type { ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import { keyStanding, type KeyHistory } from "#src/receipt/rotation.ts";
import type { IssuerStanding } from "./judge-grant.ts";
import { historyOf, type TrustRegistry } from "./trust-registry.ts";

/**
 * What a key that signed a grant is to this node. Honoured are this node's own grants and those of
 * nodes registered as `owner`; a key that was rotated away counts until its overlap ends (I-6).
 */
export function issuerStanding(
  parts: {
    readonly clock: Pick<Clock, "wallMs">;
    readonly receipts: Pick<ReceiptService, "opened">;
    readonly trust: TrustRegistry;
  },
  issuer: string,
  issuerKey: string,
): IssuerStanding {
  const log = parts.receipts.opened();
  const { nodeId, key } = log.author;
  if (issuer === nodeId && issuerKey === key.publicKey) return "pinned";
  const history = issuer === nodeId ? log.keyHistory() : ownersHistory(parts.trust, issuer);
  if (history === null) return "unknown";
  const { standing } = keyStanding(history, issuerKey, parts.clock.wallMs());
  if (standing === "unknown") return "unknown";
  return standing === "retired" ? "stale" : "pinned";
}

function ownersHistory(trust: TrustRegistry, issuer: string): KeyHistory | null {
  const entry = trust.find(issuer);
  return entry?.tier === "owner" ? historyOf(entry) : null;
}
