import { checkExpression } from "./expression.ts";
import type { Outcome, PolicyContent, Rule } from "./policy-schema.ts";
import { knownSignals, type Signal, type Signals, type SignalType } from "./signals.ts";

/** What a policy says to signals, and why. The same policy and signals always give the same. */
export interface Decision {
  readonly outcome: Outcome;
  /** The rule that decided; null where none held and the default did. */
  readonly rule: string | null;
  readonly reason: string;
  /** Why the deciding rule could not be evaluated; such a rule denies. */
  readonly error: string | null;
}

/** Rules are asked in order and the first that holds decides. */
export function evaluatePolicy(policy: PolicyContent, signals: Signals): Decision {
  const known = knownSignals(policy.signals);
  const context = contextOf(signals);
  for (const rule of policy.rules) {
    const held = holds(rule, known, context);
    if (typeof held === "string")
      return {
        outcome: "deny",
        rule: rule.id,
        reason: `the rule could not be evaluated: ${held}`,
        error: held,
      };
    if (held) return { outcome: rule.outcome, rule: rule.id, reason: rule.reason, error: null };
  }
  return { outcome: "deny", rule: null, reason: policy.default.reason, error: null };
}

/** Errors that an expression within the language can meet, by the library's code. */
const namedErrors: Readonly<Record<string, string>> = {
  numeric_overflow: "overflow",
  division_by_zero: "division_by_zero",
  modulo_by_zero: "division_by_zero",
  index_out_of_bounds: "index_beyond_list",
};

/** Whether a rule holds, or the name of the error it met. */
function holds(
  rule: Rule,
  known: ReadonlyMap<string, SignalType>,
  context: Readonly<Record<string, unknown>>,
): boolean | string {
  try {
    const value = checkExpression(rule.when, known).evaluate(context);
    return typeof value === "boolean" ? value : "not_a_truth";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return namedErrors[code] ?? "evaluation_failed";
  }
}

/** Signals as expressions see them: integers of 64 bits, dotted names as members. */
function contextOf(signals: Signals): Record<string, unknown> {
  const context: Record<string, unknown> = {};
  for (const [name, signal] of Object.entries(signals)) {
    const [first, second] = name.split(".") as [string, string | undefined];
    if (second === undefined) context[first] = widened(signal);
    else context[first] = { ...(context[first] as object), [second]: widened(signal) };
  }
  return context;
}

function widened(signal: Signal): unknown {
  if (typeof signal === "number") return BigInt(signal);
  return Array.isArray(signal) ? signal.map((item: string | number) => widened(item)) : signal;
}
