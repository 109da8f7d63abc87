/**
 * What a run tells besides its records: journal entries for whoever watches, signed receipts for
 * whoever checks. Called inside the transaction of what is told.
 */
import type { Journal } from "#src/command/journal.ts";
import type { Facts } from "#src/receipt/receipt.ts";
import type { ReceiptLog } from "#src/receipt/receipt-log.ts";

/** Steps are journalled at most this often, together; they are recorded each by itself. */
const stepsEveryMs = 250;
const turns: readonly string[] = ["run.started", "run.state", "run.alert"];
/** Most characters of a failure's message in a receipt. */
const messageMaximum = 1_000;

export class Chronicle {
  /** Steps of one run recorded and not yet journalled. */
  #waiting: { readonly run: string; readonly from: number; to: number } | null = null;
  #journalledMs = -Infinity;

  constructor(
    readonly journal: Pick<Journal, "append">,
    readonly receipts: Pick<ReceiptLog, "append">,
  ) {}

  /** Steps were recorded; a fast run's are journalled as one stretch. */
  steps(run: string, from: number, to: number, nowMs: number): void {
    if (this.#waiting?.run !== run) this.flush();
    // After a crash steps are taken again: a stretch begins anew where numbers go back.
    if (this.#waiting && from > this.#waiting.to) this.#waiting.to = to;
    else {
      this.flush();
      this.#waiting = { run, from, to };
    }
    // The wall clock may be set back; then a stretch is told early rather than never.
    if (Math.abs(nowMs - this.#journalledMs) < stepsEveryMs) return;
    this.#journalledMs = nowMs;
    this.flush();
  }

  /** Tells of the steps that wait. */
  flush(): void {
    const steps = this.#waiting;
    if (steps === null) return;
    this.#waiting = null;
    this.journal.append("run.steps", steps.run, { from: steps.from, to: steps.to });
  }

  /** An entry. A start, an end and a failure come after the steps before them. */
  tell(type: string, run: string, body: Readonly<Record<string, unknown>>): void {
    if (turns.includes(type)) this.flush();
    this.journal.append(type, run, body);
  }

  /** A signed receipt of it. */
  attest(kind: string, run: string, body: Facts): void {
    const { message } = body;
    const isLong = typeof message === "string" && message.length > messageMaximum;
    const short = isLong ? { ...body, message: message.slice(0, messageMaximum) } : body;
    this.receipts.append(kind, run, short);
  }
}
