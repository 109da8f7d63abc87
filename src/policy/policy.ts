import { parse as parseToml, TomlError } from "smol-toml";
import * as v from "valibot";
import { canonicalText, digestBytes, digestJson, type Digest } from "#src/codec/digest.ts";
import { signBytes, verifyBytes, type SigningKey } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { checkExpression, ExpressionFault } from "./expression.ts";
import { plainJson } from "./plain.ts";
import {
  contentSchema,
  stepMaximum,
  type Policy,
  type PolicyContent,
  type Rule,
} from "./policy-schema.ts";
import {
  declarationMaximum,
  knownSignals,
  whyNotDeclarable,
  type SignalDeclarations,
} from "./signals.ts";

/**
 * Reads what a person wrote, TOML or JSON, and checks it throughout: shape, signals, every expression,
 * the bound on its steps. Refused with `policy_wrong` naming the place.
 */
export function parsePolicy(source: string): PolicyContent {
  const written = parseText(source);
  if (isRecord(written) && "signature" in written)
    throw wrong(
      "it is signed already",
      "take author, key and signature out to add it as this node's own",
    );
  return checkPolicy(flattenSignals(written));
}

/** A policy whose expressions are known to be within the language and its bounds. */
export function checkPolicy(written: unknown): PolicyContent {
  const parsed = v.safeParse(contentSchema, written);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue) ?? "";
    throw wrong(`${path || "the policy"}: ${issue.message}`, "docs/POLICIES.md shows one", {
      path,
    });
  }
  const policy: PolicyContent = parsed.output;
  if (!plainJson(policy).isWhole) throw wrong("it holds half a character", "write it in UTF-8");
  checkDeclarations(policy.signals);
  checkRules(policy);
  return policy;
}

/** The digest of a signed policy; attestations name it. */
export function policyDigest(policy: Policy): Digest {
  return digestBytes(signedText(policy));
}

/** The digest of what a policy says, whoever signed it with whichever key. */
export function contentDigest(policy: PolicyContent): Digest {
  return digestJson(contentOf(policy));
}

/** Signs a checked policy as this node's. */
export function signPolicy(
  content: PolicyContent,
  author: { readonly nodeId: string; readonly key: SigningKey },
): Policy {
  const unsigned = { ...content, author: author.nodeId, key: author.key.publicKey };
  const signature = signBytes(author.key, Buffer.from(signedText(unsigned)));
  return { ...unsigned, signature: Buffer.from(signature).toString("hex") };
}

/** True when the key it names signed exactly this text. */
export function signatureHolds(policy: Policy): boolean {
  return verifyBytes(
    policy.key,
    Buffer.from(signedText(policy)),
    Buffer.from(policy.signature, "hex"),
  );
}

/** `small-runs@3`. */
export function referenceOf(policy: Pick<PolicyContent, "name" | "revision">): string {
  return `${policy.name}@${policy.revision}`;
}

/** The name and revision of `NAME@REVISION`; null where the text is not of that form. */
export function readReference(
  reference: string,
): { readonly name: string; readonly revision: number } | null {
  const [, name, revision] = /^([a-z][a-z0-9-]{0,62})@([1-9][0-9]{0,9})$/.exec(reference) ?? [];
  return name === undefined ? null : { name, revision: Number(revision) };
}

export function contentOf(policy: PolicyContent): PolicyContent {
  const { type, version, name, revision, summary, signals, rules } = policy;
  return { type, version, name, revision, summary, signals, rules, default: policy.default };
}

function signedText(policy: Omit<Policy, "signature">): string {
  return canonicalText({ ...contentOf(policy), author: policy.author, key: policy.key });
}

function parseText(source: string): unknown {
  try {
    return source.trimStart().startsWith("{") ? JSON.parse(source) : parseToml(source);
  } catch (error) {
    const place = error instanceof TomlError ? ` (line ${error.line}, column ${error.column})` : "";
    const said = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw wrong(`it is neither TOML nor JSON${place}: ${said}`, "docs/POLICIES.md shows one");
  }
}

/** TOML's `parameter.steps = "int"` is a table inside a table; the signal's name is `parameter.steps`. */
function flattenSignals(written: unknown): unknown {
  if (!isRecord(written) || !isRecord(written["signals"])) return written;
  const signals = Object.entries(written["signals"]).flatMap(([name, type]) =>
    isRecord(type)
      ? Object.entries(type).map(([member, inner]) => [`${name}.${member}`, inner])
      : [[name, type]],
  );
  return { ...written, signals: Object.fromEntries(signals) as unknown };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function checkDeclarations(signals: SignalDeclarations): void {
  const names = Object.keys(signals);
  if (names.length > declarationMaximum)
    throw wrong(`it declares ${names.length} signals`, `at most ${declarationMaximum} are allowed`);
  for (const name of names) {
    const reason = whyNotDeclarable(name);
    if (reason !== null)
      throw wrong(`the signal ${JSON.stringify(name)} ${reason}`, "choose another name", { name });
  }
}

function checkRules(policy: PolicyContent): void {
  const known = knownSignals(policy.signals);
  const seen = new Set<string>();
  let stepCount = 0;
  for (const rule of policy.rules) {
    if (seen.has(rule.id)) throw wrong(`two rules are called ${rule.id}`, "rename one of them");
    seen.add(rule.id);
    stepCount += stepsOf(rule, known);
  }
  if (stepCount <= stepMaximum) return;
  throw wrong(
    `its rules may take ${Math.min(stepCount, Number.MAX_SAFE_INTEGER)} steps; ${stepMaximum} are allowed`,
    "nest fewer loops (all, exists, exists_one, filter)",
    { steps: Math.min(stepCount, Number.MAX_SAFE_INTEGER), maximum: stepMaximum },
  );
}

function stepsOf(rule: Rule, known: ReturnType<typeof knownSignals>): number {
  try {
    return checkExpression(rule.when, known).stepCount;
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error;
    const { reason, start, end, suggestion } = error;
    const place = rule.when.slice(start, Math.min(end, start + 60));
    throw wrong(
      `rule ${rule.id}, character ${start + 1}, \`${place}\`: ${reason}`,
      suggestion === null ? "docs/POLICIES.md lists the language" : `did you mean ${suggestion}?`,
      { rule: rule.id, start, end },
    );
  }
}

function wrong(what: string, hint: string, details: Record<string, unknown> = {}): Refusal {
  return new Refusal("policy_wrong", `the policy is not understood: ${what}`, hint, details);
}
