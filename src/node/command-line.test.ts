import { describe, expect, test } from "bun:test";
import { registry } from "#src/command/registry.ts";
import { checkParameters } from "#src/command/dispatch.ts";
import { parameterSchema, resultSchema, type JsonSchema } from "#src/command/schema.ts";
import { leadingWords, readArguments, readGlobals } from "#src/surface/cli/arguments.ts";
import { globalOptions } from "#src/surface/cli/globals.ts";
import { kebab, spellings } from "#src/surface/cli/parameter.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "./commands.ts";

/** Every command the program registers, whatever room it comes from. */
const commands = registry.all();
const named = commands.map((command) => [command.name, command] as const);

/** Words of an example line as a shell would split it; quotes group. */
function shellWords(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3]!);
}

const jsonTypes = new Set(["string", "number", "integer", "boolean", "array", "object", "null"]);

/** Paths at which a schema says something JSON Schema does not know. */
function schemaFaults(schema: JsonSchema, path = "#"): string[] {
  const faults: string[] = [];
  for (const type of [schema.type ?? []].flat()) {
    if (!jsonTypes.has(type)) faults.push(`${path}: type ${type}`);
  }
  const parts: [string, JsonSchema][] = [
    ...Object.entries(schema.properties ?? {}),
    ...(schema.items ? [["items", schema.items] as [string, JsonSchema]] : []),
    ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].map(
      (each, index): [string, JsonSchema] => [String(index), each],
    ),
  ];
  for (const key of schema.required ?? []) {
    if (!schema.properties?.[key]) faults.push(`${path}: requires unknown ${key}`);
  }
  return [...faults, ...parts.flatMap(([key, part]) => schemaFaults(part, `${path}/${key}`))];
}

describe("A-1 every registered command", () => {
  test("A-1 there are commands, each listed once", () => {
    expect(commands.length).toBeGreaterThan(8);
    expect(new Set(commands.map(({ name }) => name)).size).toBe(commands.length);
  });

  test.each(named)("A-3 %s has valid JSON Schemas", (_, command) => {
    const parameters = parameterSchema(command);
    expect(parameters.type).toBe("object");
    expect(parameters["additionalProperties"]).toBe(false);
    expect(schemaFaults(parameters)).toEqual([]);
    expect(schemaFaults(resultSchema(command) ?? {})).toEqual([]);
    expect(parameterSchema(command)).toBe(parameters);
  });

  test.each(named)("A-1 %s describes itself and its parameters", (_, command) => {
    expect(command.summary).toMatch(/^[A-Z].*[.)]$/);
    for (const [key, schema] of Object.entries(parameterSchema(command).properties ?? {})) {
      expect(`${key}: ${schema.description ?? ""}`).toMatch(/: \S/);
    }
  });

  test.each(named)("A-2 %s has parameters the command line can tell apart", (_, command) => {
    const keys = Object.keys(parameterSchema(command).properties ?? {});
    const taken = new Set<string>(globalOptions.map(({ name }) => name));
    for (const key of keys) {
      for (const spelling of spellings(key)) {
        expect(taken.has(spelling)).toBe(false);
        taken.add(spelling);
      }
      expect(kebab(key).startsWith("no-")).toBe(false);
    }
    for (const key of command.positional ?? []) expect(keys).toContain(key);
    for (const path of command.paths ?? [])
      expect(keys).toContain(typeof path === "string" ? path : path.key);
    const letters = new Set(globalOptions.flatMap(({ short }) => short ?? []));
    for (const [letter, key] of Object.entries(command.letters ?? {})) {
      expect(letter).toMatch(/^[a-zA-Z]$/);
      expect(letters.has(letter)).toBe(false);
      expect(keys).toContain(key);
    }
  });

  const examples = commands.flatMap(({ name, examples = [] }) =>
    examples.map((example) => [example, name] as const),
  );
  test.each(examples)("A-3 `%s` parses", (example, name) => {
    const [program, ...argv] = shellWords(example);
    expect(program).toBe("psionic");
    const leading = leadingWords(argv);
    const resolved = registry.resolve(leading.map(({ word }) => word))!;
    expect(resolved.command.name).toBe(name);
    const taken = new Set(leading.slice(0, resolved.wordCount).map(({ index }) => index));
    const { parameters } = readArguments(
      argv.filter((_, index) => !taken.has(index)),
      {
        words: name,
        schema: parameterSchema(resolved.command),
        positional: resolved.command.positional ?? [],
        letters: resolved.command.letters ?? {},
      },
    );
    expect(readGlobals(argv)["help"]).toBeUndefined();
    expect(checkParameters(resolved.command, parameters)).toBeObject();
  });
});
