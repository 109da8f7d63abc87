/**
 * What a permanent code says of itself. `exit` is the process status, `http` the status of a
 * problem response, `retryable` says whether the same request may succeed later without a change
 * by the caller.
 */
export interface CodeEntry {
  readonly exit: 2 | 3 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 130;
  readonly http: number;
  readonly retryable: boolean;
  /** What it means and what usually helps, for `psionic explain CODE`. */
  readonly explanation: string;
}

export const entry = (
  exit: CodeEntry["exit"],
  http: number,
  retryable: boolean,
  explanation: string,
): CodeEntry => ({ exit, http, retryable, explanation });
