import { codes, type RefusalCode } from "./codes.ts";

/**
 * An expected failure. It says what happened (`message`), why and what to try (`hint`).
 * Thrown where it is found and turned into an exit status, an HTTP problem or a peer reply
 * by the door that called; nothing in between catches it to continue.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly hint: string,
    /** Plain JSON facts for scripts: file, line, tensor, expected, found. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }

  get retryable(): boolean {
    return codes[this.code].retryable;
  }

  get exitStatus(): number {
    return codes[this.code].exit;
  }

  toJSON() {
    const { code, message, hint, retryable, details } = this;
    return { type: "refusal", code, message, hint, retryable, details } as const;
  }
}

/** Stops the process's work on a bug: a condition the program itself guarantees did not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
