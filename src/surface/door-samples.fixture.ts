import * as v from "valibot";
import type { AnyCommand } from "#src/command/registry.ts";
import { parameterSchema } from "#src/command/schema.ts";
import { choicesOf, isFlag, itemOf, kebab } from "./cli/parameter.ts";

/** Values a parameter may have; the first that its schema accepts stands for it. */
const candidates: readonly unknown[] = [
  ...["word", 3, true, 64, 1_000, "1h", "127.0.0.1", "a/b", "name@1", "{}", "info", "latest"],
  ...[
    "00".repeat(16),
    "00".repeat(32),
    "00".repeat(64),
    `psx${"0".repeat(32)}`,
    `psn${"a".repeat(32)}`,
  ],
  ...[`psg${"a".repeat(32)}`, `psm${"a".repeat(32)}`, "7d", "word@1", "127.0.0.1:7421", "2GB"],
  { places: [], certificate: "00".repeat(32), box: "00".repeat(32) },
  ...[["word"], ["trainer"], [3], { word: 3 }, { word: "x" }, 0.5, null, 8, "word=x"],
];

/**
 * One accepted value of each parameter, by name; a parameter none fits is a gap in this file. Paths are
 * absolute, as a terminal makes them before they leave the caller's directory.
 */
export function sampleValues(command: AnyCommand): Readonly<Record<string, unknown>> {
  const properties = parameterSchema(command).properties ?? {};
  return Object.fromEntries(
    Object.entries(properties).map(([key, schema]) => {
      const isPath = command.paths?.some((path) => pathKey(path) === key) === true;
      const paths = isPath ? ["/a/file", ["/a/file"]] : [];
      const tried = [...paths, ...choicesOf(schema), ...candidates];
      const fits = tried.find((value) => issueOf(command, key, value) === null);
      if (fits === undefined) throw new Error(`no sample fits ${command.name} ${key}`);
      return [key, fits];
    }),
  );
}

const pathKey = (path: NonNullable<AnyCommand["paths"]>[number]) =>
  typeof path === "string" ? path : path.key;

/** Calls worth comparing: nothing, everything, each parameter alone, wrong and unknown ones. */
export function sampleCalls(command: AnyCommand): readonly Readonly<Record<string, unknown>>[] {
  const values = sampleValues(command);
  const required = Object.fromEntries(
    (parameterSchema(command).required ?? []).map((key) => [key, values[key]]),
  );
  const alone = Object.entries(values).map(([key, value]) => ({ ...required, [key]: value }));
  const wrong = Object.keys(values).map((key) => ({ ...required, [key]: { nobody: [null] } }));
  return [{}, required, values, ...alone, ...wrong, { ...required, noSuchParameter: 1 }];
}

function issueOf(command: AnyCommand, key: string, value: unknown): string | null {
  const { issues } = v.safeParse(command.parameters, { [key]: value });
  return issues?.find((issue) => issue.path?.[0]?.key === key)?.message ?? null;
}

/** A call as somebody types it: options in kebab case, lists repeated, objects as JSON. */
export function asWords(
  command: AnyCommand,
  parameters: Readonly<Record<string, unknown>>,
): string[] {
  const properties = parameterSchema(command).properties ?? {};
  const options = Object.entries(parameters).flatMap(([key, value]) => {
    const schema = properties[key] ?? {};
    const name = `--${kebab(key)}`;
    if (isFlag(schema) && typeof value === "boolean")
      return value ? [name] : [`--no-${kebab(key)}`];
    const items = itemOf(schema) !== null && Array.isArray(value) ? value : [value];
    return items.map((item) => `${name}=${typeof item === "string" ? item : JSON.stringify(item)}`);
  });
  return [...command.name.split("/"), ...options];
}
