/**
 * Every expected failure by its permanent code. A code is never renamed or reused:
 * scripts, receipts and `psionic explain` rely on it.
 *
 * `exit` is the process status, `http` the status of a problem response, `retryable`
 * says whether the same request may succeed later without a change by the caller.
 */
export interface CodeEntry {
  readonly exit: 2 | 3 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 130;
  readonly http: number;
  readonly retryable: boolean;
  /** What it means and what usually helps, for `psionic explain CODE`. */
  readonly explanation: string;
}

const entry = (
  exit: CodeEntry["exit"],
  http: number,
  retryable: boolean,
  explanation: string,
): CodeEntry => ({ exit, http, retryable, explanation });

export const codes = {
  usage: entry(2, 400, false, "The words or parameters of the command were not understood. `--help` after the command shows what it takes."),
  unknown_command: entry(2, 404, false, "No command of that name exists. `psionic commands` lists them all."),
  interrupted: entry(130, 499, true, "Ctrl-C or a termination signal stopped the work. Acknowledged state was kept; run the command again to go on."),
} as const satisfies Record<string, CodeEntry>;

export type RefusalCode = keyof typeof codes;
