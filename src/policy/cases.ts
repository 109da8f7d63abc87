import * as v from "valibot";
import type { Event } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { referenceOf } from "./policy.ts";
import { type Outcome, type PolicyContent } from "./policy-schema.ts";
import { builtInSignals, checkSignals, knownSignals } from "./signals.ts";

/** Most cases one test takes. */
const caseMaximum = 1_000;

const casesSchema = v.strictObject({
  cases: v.pipe(
    v.array(
      v.strictObject({
        name: v.optional(v.pipe(v.string(), v.maxLength(100))),
        signals: v.record(v.string(), v.unknown()),
        outcome: v.optional(v.picklist(["allow", "deny"])),
        /** The rule expected to decide; null for the policy's default. */
        rule: v.optional(v.nullable(v.string())),
      }),
    ),
    v.minLength(1),
    v.maxLength(caseMaximum),
  ),
});
type Case = v.InferOutput<typeof casesSchema>["cases"][number];

/** What a policy said to one case. */
export interface CaseResult {
  readonly name: string;
  readonly outcome: Outcome;
  readonly rule: string | null;
  readonly reason: string;
  /** What the case expects, in words; null where it expects nothing. */
  readonly expected: string | null;
  readonly isExpected: boolean;
}

/**
 * Asks a policy about one set of signals, or about a list of cases with what each expects. Every signal
 * the policy mentions must be given, those the node computes too; one of these that no rule mentions is
 * empty. Refused with `policy_test_failed` where a case comes out otherwise than it expects.
 */
export function testPolicy(
  policy: PolicyContent,
  given: unknown,
  emit: (event: Event) => void,
): { readonly policy: string; readonly cases: readonly CaseResult[] } {
  const results = readCases(given).map((each, index) => {
    const result = resultOf(policy, each, each.name ?? `case ${index + 1}`);
    emit({ type: "policy.case", ...result });
    return result;
  });
  const failed = results.filter(({ isExpected }) => !isExpected);
  if (failed.length === 0) return { policy: referenceOf(policy), cases: results };
  const [first] = failed;
  throw new Refusal(
    "policy_test_failed",
    `${failed.length} of ${results.length} cases came out otherwise: ${first!.name} is ${first!.outcome}`,
    `it was expected to be ${first!.expected}`,
    { cases: results },
  );
}

function readCases(given: unknown): readonly Case[] {
  const isList =
    typeof given === "object" && given !== null && Array.isArray(Reflect.get(given, "cases"));
  const parsed = v.safeParse(casesSchema, isList ? given : { cases: [{ signals: given }] });
  if (parsed.success) return parsed.output.cases;
  const [issue] = parsed.issues;
  throw new Refusal(
    "usage",
    `the cases are not understood at ${v.getDotPath(issue) ?? "their root"}: ${issue.message}`,
    "docs/POLICIES.md shows a file of cases",
  );
}

function resultOf(
  policy: PolicyContent,
  { signals, outcome, rule }: Case,
  name: string,
): CaseResult {
  const decision = evaluatePolicy(policy, testSignals(policy, signals));
  const isExpected =
    (outcome === undefined || outcome === decision.outcome) &&
    (rule === undefined || rule === decision.rule);
  const expected = [outcome, rule === undefined ? undefined : `by ${rule ?? "the default"}`]
    .filter((each) => each !== undefined)
    .join(" ");
  return {
    name,
    outcome: decision.outcome,
    rule: decision.rule,
    reason: decision.reason,
    expected: expected === "" ? null : expected,
    isExpected,
  };
}

function testSignals(policy: PolicyContent, given: Readonly<Record<string, unknown>>) {
  const unmentioned = Object.keys(builtInSignals).filter(
    (name) => !policy.rules.some(({ when }) => when.includes(name)),
  );
  const empty = Object.fromEntries(unmentioned.map((name) => [name, ""]));
  return checkSignals(knownSignals(policy.signals), { ...empty, ...given });
}
