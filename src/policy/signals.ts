import { canonicalText, digestJson, type Digest } from "#src/codec/digest.ts";
import { nearest } from "#src/command/nearest.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** What a policy may look at: truths, integers, texts and flat lists; never a float, never a clock. */
export const signalTypes = ["bool", "int", "string", "list<string>", "list<int>"] as const;
export type SignalType = (typeof signalTypes)[number];

/** Integers are JSON's safe integers; inside an expression they are 64 bits wide. */
export type Signal = boolean | number | string | readonly string[] | readonly number[];
export type Signals = Readonly<Record<string, Signal>>;
export type SignalDeclarations = Readonly<Record<string, SignalType>>;

/** Longest text in a signal, in UTF-16 units. */
export const textMaximum = 256;
/** Most items of a list in a signal. */
export const listMaximum = 128;
/** Most signals one policy declares. */
export const declarationMaximum = 64;
/** Largest canonical text of all signals of one request, in characters. */
export const signalsMaximum = 65_536;

/** Signals the node computes itself, which every policy may use and no caller may set. */
export const builtInSignals: SignalDeclarations = {
  "caller.provenance": "string",
  "caller.trust": "string",
  "caller.node": "string",
  command: "string",
  parameters: "string",
};

/** `parameter.steps`: the command's own parameter of that name. */
export const parameterPrefix = "parameter.";
const ownName = /^[a-z][a-zA-Z0-9_]{0,63}$/;

/** Words of the rule language, and the first words of what the node computes. */
const takenWords = new Set([
  ...["true", "false", "null", "in", "as", "break", "const", "continue", "else", "for"],
  ...["function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void"],
  ...["while", "prototype", "constructor", "bool", "int", "uint", "double", "string", "bytes"],
  ...["list", "map", "type", "dyn", "size", "has", "cel", "google", "optional", "math", "strings"],
  ...["timestamp", "duration", "null_type", "caller", "command", "parameter", "parameters"],
]);

/** What cannot stand after a dot. */
const unsayable = new Set(["true", "false", "null", "in", "constructor"]);

/** True for what the node computes: no caller may give it. */
export function isReserved(name: string): boolean {
  const [first] = name.split(".");
  return Object.hasOwn(builtInSignals, name) || first === "caller" || first === "parameter";
}

/** Why a policy may not declare a signal of that name, or null where it may. */
export function whyNotDeclarable(name: string): string | null {
  if (name.startsWith(parameterPrefix)) {
    const own = name.slice(parameterPrefix.length);
    if (unsayable.has(own)) return "cannot be said in the rule language";
    return ownName.test(own) ? null : "is no parameter's name";
  }
  if (isReserved(name)) return "is computed by the node and declared in every policy";
  if (takenWords.has(name)) return "is a word of the rule language";
  return ownName.test(name) ? null : "must be one word of letters, digits and underscores";
}

/** Everything an expression may name: what the policy declares and what the node computes. */
export function knownSignals(declared: SignalDeclarations): ReadonlyMap<string, SignalType> {
  return new Map([...Object.entries(builtInSignals), ...Object.entries(declared)]);
}

/** True where a value is of the type and within the bounds. */
export function fits(type: SignalType, value: unknown): value is Signal {
  switch (type) {
    case "bool":
      return typeof value === "boolean";
    case "int":
      return Number.isSafeInteger(value) && !Object.is(value, -0);
    case "string":
      return typeof value === "string" && value.length <= textMaximum && value.isWellFormed();
    case "list<string>":
      return isList(value) && value.every((item) => fits("string", item));
    case "list<int>":
      return isList(value) && value.every((item) => fits("int", item));
  }
}

const isList = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) && value.length <= listMaximum;

/**
 * The signals of one request: exactly those that are known, each of its type and in its bounds.
 * Refusals: `policy_signal_missing`, `policy_signal_wrong`.
 */
export function checkSignals(
  known: ReadonlyMap<string, SignalType>,
  given: Readonly<Record<string, unknown>>,
): Signals {
  for (const name of Object.keys(given)) if (!known.has(name)) throw unknownSignal(name, known);
  const missing = [...known.keys()].filter((name) => !Object.hasOwn(given, name));
  if (missing.length > 0) throw missingSignals(missing);
  for (const [name, type] of known)
    if (!fits(type, given[name])) throw wrongSignal(name, type, given[name]);
  const signals = Object.fromEntries(
    [...known.keys()].map((name) => [name, given[name]]),
  ) as Signals;
  const length = canonicalText(signals).length;
  if (length <= signalsMaximum) return signals;
  throw new Refusal(
    "policy_signal_wrong",
    `the signals are ${length} characters long; ${signalsMaximum} are allowed`,
    "give shorter texts or lists",
    { length, maximum: signalsMaximum },
  );
}

/** The digest an attestation names; the order in which signals were given does not matter. */
export function signalsDigestOf(signals: Signals): Digest {
  return digestJson(signals);
}

function unknownSignal(name: string, known: ReadonlyMap<string, SignalType>): Refusal {
  const suggestion = nearest(name, [...known.keys()]);
  return new Refusal(
    "policy_signal_wrong",
    `the policy knows no signal ${JSON.stringify(name)}`,
    suggestion === null
      ? `it knows ${[...known.keys()].join(", ")}`
      : `did you mean ${suggestion}?`,
    { signal: name },
  );
}

function missingSignals(missing: readonly string[]): Refusal {
  const parameters = missing.filter((name) => name.startsWith(parameterPrefix));
  return new Refusal(
    "policy_signal_missing",
    `the policy needs ${missing.join(", ")}`,
    parameters.length > 0
      ? `give the command the parameter ${parameters[0]!.slice(parameterPrefix.length)}`
      : `give it with --signals '{"${missing[0]}": …}'`,
    { signals: missing },
  );
}

function wrongSignal(name: string, type: SignalType, value: unknown): Refusal {
  return new Refusal(
    "policy_signal_wrong",
    `the signal ${name} is no ${type} within its bounds`,
    `texts have at most ${textMaximum} characters, lists ${listMaximum} items; numbers are integers`,
    { signal: name, expected: type, found: Array.isArray(value) ? "list" : typeof value },
  );
}
