import type { RunRecord } from "#src/window/services.ts";

/** What a node measured of a revision. */
export interface MeasuredLoss {
  readonly revision: number;
  /** Mean nats of a counted target. */
  readonly loss: number;
  /** Over all rows that are held out, or some of them. */
  readonly isFull: boolean;
  /** Share of rows predicted without a mistake; of the built-in task this is the accuracy. */
  readonly exactMatch: number;
}

/** The evaluation that an event states, or null. */
export function lossOf({ command }: Pick<RunRecord, "command">): MeasuredLoss | null {
  if (command.kind !== "run-stated") return null;
  const { said } = command.statement;
  if (said.saying !== "evaluation") return null;
  const { revision, isFull, lossBits, matches, rows } = said;
  const loss = Buffer.from(lossBits, "hex").readFloatBE(0);
  return { revision, loss, isFull, exactMatch: rows === 0 ? 0 : matches / rows };
}
