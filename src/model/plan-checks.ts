import { Refusal } from "#src/refusal/refusal.ts";
import type { ParameterTable } from "#src/graph/parameters.ts";

/** Backends take 32-bit counts, and a space is reduced and updated in one call. */
const maximumSpaceElements = 2 ** 31 - 1;

/** Refuses with `model_invalid` an extent that is no whole number from 1 to `maximum`. */
export function checkExtent(field: string, value: number, maximum: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= maximum) return;
  refuse(field, `${field} is ${value}, not a whole number from 1 to ${maximum}`);
}

/** Whether a name is meant by one of the patterns: exact, or a beginning followed by `*`. */
export function isNamed(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
}

/** Refuses with `model_invalid` parameters that cannot be trained as asked. */
export function checkParameters(parameters: ParameterTable, frozen: readonly string[]): void {
  const unmatched = frozen.find(
    (pattern) => !parameters.list.some(({ name }) => isNamed(name, [pattern])),
  );
  if (unmatched !== undefined) refuse("frozen", `no parameter is called ${unmatched}`);
  if (parameters.trainedElements === 0) refuse("frozen", "every parameter is frozen");
  if (parameters.elements > maximumSpaceElements) {
    refuse("layers", `${parameters.elements} parameters exceed ${maximumSpaceElements}`);
  }
}

function refuse(field: string, message: string): never {
  throw new Refusal(
    "model_invalid",
    `This cannot be planned: ${message}.`,
    "Change that setting.",
    { field },
  );
}
