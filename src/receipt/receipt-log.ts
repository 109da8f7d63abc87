import { canonicalText, type Digest } from "#src/codec/digest.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Row, Store } from "#src/port/store.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import {
  noDigest,
  receiptDigest,
  rotationKind,
  signReceipt,
  type Facts,
  type Receipt,
  type ReceiptContent,
} from "./receipt.ts";
import { historyEndingIn, rotationMaximum, type KeyHistory } from "./rotation.ts";
import type { SigningKey } from "./signature.ts";

/** Who writes: the node and the key it signs with now. */
export interface Author {
  readonly nodeId: string;
  readonly key: SigningKey;
  /** How its first key led to this one; without it, as its own chain tells. */
  readonly rotations?: readonly Receipt[];
}

/** A receipt with its digest, as the log gives it. */
export interface LoggedReceipt {
  readonly digest: Digest;
  readonly receipt: Receipt;
}

/** A receipt as its row holds it, unread: for whoever checks that nobody changed the row. */
export interface ReceiptRow {
  readonly author: string;
  readonly sequence: number;
  readonly digest: string;
  readonly kind: string;
  readonly subject: string;
  readonly atMs: number;
  readonly text: string;
}

export interface ReceiptFilter {
  /** Node id; every author when absent. */
  readonly author?: string | undefined;
  readonly kind?: string | undefined;
  readonly subject?: string | undefined;
  /** Most to give. */
  readonly limit: number;
}

/** The receipts a node holds, its own and those of others, to be read. Needs no key. */
export class ReceiptArchive {
  constructor(readonly store: Store) {}

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
    const found = this.matching(digestPrefix);
    return found.length === 1 ? found[0]! : null;
  }

  /** At most two receipts whose digests begin so: two say that the prefix is too short. */
  matching(digestPrefix: string): LoggedReceipt[] {
    return this.store
      .all(
        "SELECT digest, text FROM receipt WHERE substr(digest, 1, length(?1)) = ?1 LIMIT 2",
        digestPrefix,
      )
      .map(asLogged);
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

  /** Rows of an author in chain order, from a place on, as they lie in the database. */
  rows(author: string, fromSequence: number, count: number): ReceiptRow[] {
    return this.store
      .all(
        "SELECT * FROM receipt WHERE author = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
        author,
        fromSequence,
        count,
      )
      .map((row) => ({
        author: String(row["author"]),
        sequence: Number(row["sequence"]),
        digest: String(row["digest"]),
        kind: String(row["kind"]),
        subject: String(row["subject"]),
        atMs: Number(row["at_ms"]),
        text: String(row["text"]),
      }));
  }

  /** The rotations of an author's key in the order of its chain; every author's when absent. */
  rotations(author?: string): Receipt[] {
    return this.store
      .all(
        `SELECT digest, text FROM receipt WHERE kind = ? AND (?2 IS NULL OR author = ?2)
         ORDER BY author, sequence LIMIT ?3`,
        rotationKind,
        author ?? null,
        rotationMaximum,
      )
      .map((row) => asLogged(row).receipt);
  }

  /** The first and last place of an author's receipts about a subject; null: there is none. */
  span(author: string, subject: string): { first: number; last: number } | null {
    const row = this.store.get(
      `SELECT min(sequence) AS first, max(sequence) AS last FROM receipt
       WHERE author = ? AND subject = ?`,
      author,
      subject,
    )!;
    if (row["first"] === null) return null;
    return { first: Number(row["first"]), last: Number(row["last"]) };
  }

  /** How many of an author's receipts in a stretch are about a subject. */
  countBetween(author: string, subject: string, first: number, last: number): number {
    const row = this.store.get(
      `SELECT count(*) AS count FROM receipt
       WHERE author = ? AND subject = ? AND sequence BETWEEN ? AND ?`,
      author,
      subject,
      first,
      last,
    )!;
    return Number(row["count"]);
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

/**
 * The archive with a pen: the node's own chain is appended to. Appending reads the chain's end and
 * writes in one transaction, so several processes of one home share a chain.
 */
export class ReceiptLog extends ReceiptArchive {
  #author: Author;
  #history: KeyHistory | null = null;

  constructor(
    store: Store,
    readonly clock: Pick<Clock, "wallMs">,
    author: Author,
  ) {
    super(store);
    this.#author = author;
  }

  /** Who signs now; changes where the key is rotated. */
  get author(): Author {
    return this.#author;
  }

  /** False once another process has rotated the key this log signs with. */
  get isCurrent(): boolean {
    const last = this.last(this.#author.nodeId);
    return last === null || keyAfter(last.receipt) === this.#author.key.publicKey;
  }

  /** Goes on with the key that the node has now. */
  signWith(author: Author): void {
    assert(author.nodeId === this.#author.nodeId, "a log has one author");
    this.#author = author;
    this.#history = null;
  }

  /** The keys the node has had, first to present; verified once per key. */
  keyHistory(): KeyHistory {
    const { nodeId, key, rotations = this.rotations(nodeId) } = this.#author;
    return (this.#history ??= historyEndingIn(key.publicKey, rotations));
  }

  /**
   * Signs the next receipt of this node's chain and stores it, durable when this returns. Inside a
   * transaction it stands or falls with what it tells of. Refused with `receipt_key_stale` where
   * another process has rotated the key meanwhile.
   */
  append(kind: string, subject: string, body: Facts): LoggedReceipt {
    assert(kind !== rotationKind, "a rotation is appended by rotate");
    return this.store.transaction(() =>
      this.put(signReceipt(this.#next(kind, subject, body), this.#author.key)),
    );
  }

  /**
   * Hands the chain over to another key: a receipt `key.rotated`, signed by the key until now and by
   * the new one. The moment its transaction is durable, only the new key may sign.
   */
  rotate(to: SigningKey, overlapMs: number): LoggedReceipt {
    const { nodeId, key, rotations } = this.#author;
    const logged = this.store.transaction(() => {
      const content = this.#next(rotationKind, nodeId, {});
      const overlapUntilMs = content.atMs + overlapMs;
      const body = { from: key.publicKey, to: to.publicKey, overlapUntilMs };
      return this.put(signReceipt({ ...content, body }, key, to));
    });
    const known = rotations && { rotations: [...rotations, logged.receipt] };
    this.signWith({ nodeId, key: to, ...known });
    return logged;
  }

  /**
   * Puts the last rotation where it is missing: a home restored from its key files alone goes on after
   * it, so that no place of the chain is used twice. Refused with `receipt_chain_broken` where
   * the place is taken by another receipt.
   */
  heal(rotations: readonly Receipt[]): void {
    const rotation = rotations.at(-1);
    if (rotation === undefined) return;
    this.store.transaction(() => {
      const last = this.last(rotation.author);
      if (last === null || last.receipt.sequence < rotation.sequence) {
        this.put(rotation);
        return;
      }
      const [there] = this.rows(rotation.author, rotation.sequence, 1);
      if (there?.digest === receiptDigest(rotation)) return;
      throw new Refusal(
        "receipt_chain_broken",
        `receipt ${rotation.sequence} of ${rotation.author} is not the rotation that its keys tell of`,
        "restore node.db and identity/ from the same backup",
        { author: rotation.author, sequence: rotation.sequence, digest: there?.digest ?? null },
      );
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

  /** What the next receipt says, to be signed inside the transaction this was called in. */
  #next(kind: string, subject: string, body: Facts): ReceiptContent {
    const { nodeId, key } = this.#author;
    const last = this.last(nodeId);
    if (last !== null && keyAfter(last.receipt) !== key.publicKey) throw keyStale(nodeId);
    return {
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
  }
}

/** The key that signs what follows a receipt. */
function keyAfter({ kind, key, body }: Receipt): string {
  return kind === rotationKind ? (body["to"] as string) : key;
}

function keyStale(nodeId: string): Refusal {
  return new Refusal(
    "receipt_key_stale",
    `the key of ${nodeId} was rotated by another process`,
    "run the command again",
    { nodeId },
  );
}

function asLogged(row: Row): LoggedReceipt {
  return {
    digest: String(row["digest"]),
    receipt: JSON.parse(String(row["text"])) as Receipt,
  };
}
