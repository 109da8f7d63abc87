import { randomBytes } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { Refusal } from "#src/refusal/refusal.ts";
import { ReportedBug, type Failure } from "./answer.ts";

const log = getLogger(["psionic", "http"]);

/**
 * Tells an expected failure from a bug, which goes to the log with its stack and gets an id. What anybody can
 * cause is logged as `debug`, so that a stranger does not push the rest out of the log.
 */
export function failureOf(
  error: unknown,
  doing: string,
  level: "info" | "debug" = "info",
): Failure {
  if (error instanceof Refusal) {
    const { code, message } = error;
    log[level]("{doing} was refused: {code}", { doing, code, message });
    return error;
  }
  const id = randomBytes(6).toString("hex");
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error("bug {id} while {doing}: {told}", { id, doing, told });
  return new ReportedBug(id);
}
