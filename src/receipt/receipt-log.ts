import { canonicalText, type Digest } from "#src/codec/digest.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Row, Store } from "#src/port/store.ts";
import {
  noDigest,
  receiptDigest,
  signReceipt,
  type Facts,
  type Receipt,
  type ReceiptContent,
} from "./receipt.ts";
import type { SigningKey } from "./signature.ts";

/** Who writes: the node and the key it signs with now. */
export interface Author {
  readonly nodeId: string;
  readonly key: SigningKey;
}

/** A receipt with its digest, as the log gives it. */
export interface LoggedReceipt {
  readonly digest: Digest;
  readonly receipt: Receipt;
}

export interface ReceiptFilter {
  /** Node id; every author when absent. */
  readonly author?: string;
  readonly kind?: string;
  readonly subject?: string;
  /** Most to give. */
  readonly limit: number;
}

/**
 * The receipts a node holds: its own chain, which it appends to, and those of others. Appending
 * reads the chain's end and writes in one transaction, so several processes of one home share a chain.
 */
export class ReceiptLog {
  constructor(
    readonly store: Store,
    readonly clock: Pick<Clock, "wallMs">,
    readonly author: Author,
  ) {}

  /**
   * Signs the next receipt of this node's chain and stores it, durable when this returns. Inside a
   * transaction it stands or falls with what it tells of.
   */
  append(kind: string, subject: string, body: Facts): LoggedReceipt {
    return this.store.transaction(() => {
      const { nodeId, key } = this.author;
      const last = this.last(nodeId);
      const content: ReceiptContent = {
        type: "psionic-receipt",
        version: 1,
        author: nodeId,
        key: key.publicKey,
        sequence: (last?.receipt.sequence ?? 0) + 1,
        previous: last?.digest ?? noDigest,
        atMs: Math.floor(this.clock.wallMs()),
        kind,
        subject,
        body,
      };
      return this.put(signReceipt(content, key));
    });
  }

  /** Stores a receipt as it is; the caller has verified it. */
  put(receipt: Receipt): LoggedReceipt {
    const digest = receiptDigest(receipt);
    this.store.run(
      "INSERT INTO receipt (author, sequence, digest, kind, subject, at_ms, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
      receipt.author,
      receipt.sequence,
      digest,
      receipt.kind,
      receipt.subject,
      receipt.atMs,
      canonicalText(receipt),
    );
    return { digest, receipt };
  }

  /** The end of an author's chain, or null before its first receipt. */
  last(author: string): LoggedReceipt | null {
    const row = this.store.get(
      "SELECT digest, text FROM receipt WHERE author = ? ORDER BY sequence DESC LIMIT 1",
      author,
    );
    return row === null ? null : asLogged(row);
  }

  /** The receipt whose digest begins so, where exactly one does. */
  find(digestPrefix: string): LoggedReceipt | null {
    const rows = this.store.all(
      "SELECT digest, text FROM receipt WHERE substr(digest, 1, length(?1)) = ?1 LIMIT 2",
      digestPrefix,
    );
    return rows.length === 1 ? asLogged(rows[0]!) : null;
  }

  /** Receipts of an author in chain order, from a place on. */
  chain(author: string, fromSequence = 1, count = 1_000): LoggedReceipt[] {
    return this.store
      .all(
        "SELECT digest, text FROM receipt WHERE author = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
        author,
        fromSequence,
        count,
      )
      .map(asLogged);
  }

  /** Receipts that fit the filter, newest first. */
  list({ author, kind, subject, limit }: ReceiptFilter): LoggedReceipt[] {
    return this.store
      .all(
        `SELECT digest, text FROM receipt
         WHERE (?1 IS NULL OR author = ?1) AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR subject = ?3)
         ORDER BY rowid DESC LIMIT ?4`,
        author ?? null,
        kind ?? null,
        subject ?? null,
        limit,
      )
      .map(asLogged);
  }
}

function asLogged(row: Row): LoggedReceipt {
  return {
    digest: String(row["digest"]),
    receipt: JSON.parse(String(row["text"])) as Receipt,
  };
}
