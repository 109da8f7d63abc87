import type { AnyCommand } from "#src/command/registry.ts";
import type { JsonSchema } from "#src/command/schema.ts";

/** The spellings under which an option may be written: camel, kebab, snake. */
export function spellings(key: string): readonly string[] {
  const separated = key.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase();
  return [...new Set([key, kebab(key), separated.replaceAll("-", "_")])];
}

export function kebab(key: string): string {
  return key
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase();
}

/** The JSON types a schema lets through; empty when it lets everything through. */
export function allowedTypes(schema: JsonSchema): ReadonlySet<string> {
  const types = new Set<string>();
  const collect = (part: JsonSchema): void => {
    if (part.const !== undefined) types.add(jsonType(part.const));
    for (const choice of part.enum ?? []) types.add(jsonType(choice));
    for (const type of [part.type ?? []].flat()) types.add(type);
    for (const option of [...(part.anyOf ?? []), ...(part.oneOf ?? [])]) collect(option);
  };
  collect(schema);
  return types;
}

/** The JSON type of a value: `array`, `null`, `number`… */
export function jsonType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value;
}

/** True when the parameter is written as `--flag` and `--no-flag`. */
export function isFlag(schema: JsonSchema): boolean {
  const types = allowedTypes(schema);
  return types.size === 1 && types.has("boolean");
}

/** The schema of one item where a parameter is a list, else null. */
export function itemOf(schema: JsonSchema): JsonSchema | null {
  if (schema.items) return schema.items;
  const lists = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].filter((each) => each.items);
  if (lists.length === 1) return lists[0]!.items!;
  return allowedTypes(schema).has("array") ? {} : null;
}

/** One written value, read the way the schema allows. */
export function readValue(text: string, schema: JsonSchema): unknown {
  const types = allowedTypes(schema);
  if (types.size === 1 && types.has("string")) return text;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  if (types.size === 0) return value;
  const type = jsonType(value);
  const fits = types.has(type) || (type === "number" && types.has("integer"));
  return !fits && types.has("string") ? text : value;
}

/** How a value is named in help and messages: `NUMBER`, `TEXT`, `a|b`. */
export function placeholder(schema: JsonSchema): string {
  const choices = choicesOf(schema);
  if (choices.length > 0) return choices.join("|");
  const item = itemOf(schema);
  if (item) return placeholder(item);
  const types = allowedTypes(schema);
  if (types.has("string")) return types.has("boolean") ? "[TEXT]" : "TEXT";
  if (types.has("integer") || types.has("number")) return "NUMBER";
  if (types.has("boolean")) return "true|false";
  return "JSON";
}

const written = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** The fixed choices of a parameter, as they are written. */
export function choicesOf(schema: JsonSchema): readonly string[] {
  if (schema.enum) return schema.enum.map(written);
  if (schema.const !== undefined) return [written(schema.const)];
  const options = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  const each = options.map(choicesOf);
  if (options.length > 0 && each.every((choices) => choices.length > 0)) return each.flat();
  return schema.items ? choicesOf(schema.items) : [];
}

/** True when a parameter is a list, for help and completions. */
export function isList(schema: JsonSchema): boolean {
  return itemOf(schema) !== null;
}

/** The one-letter option of a parameter, where its command declares one. */
export function letterOf(command: Pick<AnyCommand, "letters">, key: string): string | undefined {
  return Object.entries(command.letters ?? {}).find(([, named]) => named === key)?.[0];
}
