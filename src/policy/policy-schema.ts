import * as v from "valibot";
import { signalTypes, type SignalDeclarations } from "./signals.ts";

/**
 * What a policy is made of, apart from the language of its expressions, which only those load who check
 * or evaluate a rule.
 */

/** Longest expression, in characters. */
export const expressionMaximum = 2_048;
/** Most rules of one policy. */
export const ruleMaximum = 32;
/** Most steps all rules of one policy take together at worst; some tens of milliseconds. */
export const stepMaximum = 250_000;
/** Largest file a policy is read from, in bytes. */
export const policyFileMaximum = 262_144;

export type Outcome = "allow" | "deny";

export interface Rule {
  readonly id: string;
  /** An expression of the rule language that gives a truth. */
  readonly when: string;
  readonly outcome: Outcome;
  readonly reason: string;
}

/** What a person writes: rules over declared signals. The first rule that holds decides. */
export interface PolicyContent {
  readonly type: "psionic-policy";
  readonly version: 1;
  readonly name: string;
  /** From 1; a stored revision never changes. */
  readonly revision: number;
  readonly summary: string;
  readonly signals: SignalDeclarations;
  readonly rules: readonly Rule[];
  /** What holds where no rule does. Never an allowance: a policy fails closed. */
  readonly default: { readonly outcome: "deny"; readonly reason: string };
}

/** A policy as a node signed and stored it. */
export interface Policy extends PolicyContent {
  readonly author: string;
  readonly key: string;
  /** Ed25519 over the canonical text of everything else, 128 hexadecimal characters. */
  readonly signature: string;
}

const text = (maximum: number) => v.pipe(v.string(), v.trim(), v.nonEmpty(), v.maxLength(maximum));
const word = v.pipe(
  v.string(),
  v.regex(/^[a-z][a-z0-9-]{0,62}$/, "must be a word of small letters, digits and hyphens"),
);
const outcome = v.picklist(["allow", "deny"]);
const noRuleHolds = "no rule allows it";

const contentEntries = {
  type: v.optional(v.literal("psionic-policy"), "psionic-policy"),
  version: v.optional(v.literal(1), 1),
  name: word,
  revision: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(1_000_000_000)),
  summary: text(200),
  signals: v.optional(v.record(v.string(), v.picklist(signalTypes)), {}),
  rules: v.pipe(
    v.array(
      v.strictObject({ id: word, when: text(expressionMaximum), outcome, reason: text(500) }),
    ),
    v.minLength(1),
    v.maxLength(ruleMaximum),
  ),
  default: v.optional(
    v.strictObject({
      outcome: v.literal("deny", "must be deny: what no rule allows may not proceed"),
      reason: text(500),
    }),
    { outcome: "deny", reason: noRuleHolds },
  ),
} as const;

/** What a person writes, before its expressions are looked at. */
export const contentSchema = v.strictObject(contentEntries);
/** A signed policy, as answers and exports carry it. */
export const policySchema = v.strictObject({
  ...contentEntries,
  author: v.string(),
  key: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  signature: v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/)),
});
