import { parseArgs } from "node:util";
import { nearest } from "#src/command/nearest.ts";
import type { JsonSchema } from "#src/command/schema.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { globalOptions } from "./globals.ts";
import {
  allowedTypes,
  isFlag,
  itemOf,
  jsonType,
  kebab,
  placeholder,
  readValue,
  spellings,
} from "./parameter.ts";

/**
 * The one rule by which words become parameters, for every command:
 * nothing is `{}`; one JSON object is taken as it is; `--key value`, `--key=value`, `--flag`,
 * `--no-flag` in kebab, snake or camel case; a repeated option fills a list; bare words fill
 * the declared positions in order, the last of which may be a list; `--` ends options.
 * A value is read as JSON and else as a string; where the schema only allows a string it
 * stays one, so `--name 5` is the text "5".
 */

/** What a command takes, as the adapter needs it. */
export interface Takes {
  /** The words of the command, for messages. */
  readonly words: string;
  readonly schema: JsonSchema;
  readonly positional: readonly string[];
  /** One-letter options of the command: `{ f: "follow" }`. */
  readonly letters?: Readonly<Record<string, string>>;
}

interface Token {
  readonly kind: "option" | "positional" | "option-terminator";
  readonly index: number;
  readonly rawName?: string;
  readonly name?: string;
  readonly value?: string;
  readonly inlineValue?: boolean;
}

/** Splits argv into tokens; `schemas` decides which options take the next word. */
function tokenize(
  argv: readonly string[],
  schemas: Readonly<Record<string, JsonSchema>>,
  letters: Readonly<Record<string, string>> = {},
): Token[] {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [key, schema] of Object.entries(schemas)) {
    for (const name of spellings(key)) {
      options[name] = { type: isFlag(schema) ? "boolean" : "string" };
    }
  }
  for (const [letter, key] of Object.entries(letters)) options[kebab(key)]!.short = letter;
  for (const option of globalOptions) {
    options[option.name] = {
      type: option.takes ? "string" : "boolean",
      ...(option.short ? { short: option.short } : {}),
    };
  }
  const { tokens } = parseArgs({
    args: withOptionalValues(argv, schemas),
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  return tokens;
}

/**
 * An option that takes a text or stands alone (`--resume`, `--resume latest`) is given the value
 * `true` where no value follows it.
 */
function withOptionalValues(
  argv: readonly string[],
  schemas: Readonly<Record<string, JsonSchema>>,
): string[] {
  const optional = new Set(
    Object.entries(schemas)
      .filter(([, schema]) => allowedTypes(schema).has("boolean") && !isFlag(schema))
      .flatMap(([key]) => spellings(key).map((name) => `--${name}`)),
  );
  const end = argv.indexOf("--");
  return argv.map((word, index) => {
    const next = argv[index + 1];
    const stands = next === undefined || next.startsWith("-");
    return optional.has(word) && stands && (end < 0 || index < end) ? `${word}=true` : word;
  });
}

export interface GlobalValues {
  readonly [name: string]: string | boolean;
}

/**
 * The words that lead argv (where a command's name is looked for) with their places, skipping
 * global options between them. They end at the first option that is not global and at `--`.
 */
export function leadingWords(argv: readonly string[]): { word: string; index: number }[] {
  const words: { word: string; index: number }[] = [];
  for (const token of tokenize(argv, {})) {
    if (token.kind === "option-terminator") break;
    if (token.kind === "positional") words.push({ word: token.value!, index: token.index });
    else if (!globalOptions.some((option) => option.name === token.name)) break;
  }
  return words;
}

/** Refuses words that begin with an option no command line can begin with. */
export function refuseStrayOption(argv: readonly string[]): void {
  const isGlobal = ({ name }: Token) => globalOptions.some((option) => option.name === name);
  const token = tokenize(argv, {}).find((each) => each.kind === "option" && !isGlobal(each));
  if (token === undefined) return;
  throw new Refusal(
    "usage",
    `${token.rawName} stands where a command is expected`,
    "name the command first: `psionic COMMAND [options]`; `psionic --help` lists them",
    { option: token.rawName },
  );
}

/** The global options of argv, for a door that must know them before any command is found. */
export function readGlobals(argv: readonly string[]): GlobalValues {
  const values: Record<string, string | boolean> = {};
  for (const token of tokenize(argv, {})) {
    if (token.kind === "option-terminator") break;
    const option = globalOptions.find((each) => each.name === token.name);
    if (token.kind === "option" && option) values[option.name] = globalValue(token, option.takes);
  }
  return values;
}

function globalValue(token: Token, takes: string | undefined): string | boolean {
  if (takes) {
    if (!token.value) throw missingValue(token.rawName!, takes);
    return token.value;
  }
  if (token.value === undefined) return true;
  if (token.value === "true" || token.value === "false") return token.value === "true";
  throw new Refusal("usage", `${token.rawName} takes no value`, `write ${token.rawName} alone`);
}

function missingValue(option: string, what: string): Refusal {
  return new Refusal("usage", `${option} needs a value`, `write ${option} ${what}`, { option });
}

/** Parameters and global options from the words after a command's name. */
export function readArguments(
  argv: readonly string[],
  takes: Takes,
): { parameters: Record<string, unknown>; globals: GlobalValues } {
  const schemas = takes.schema.properties ?? {};
  const keyBySpelling = new Map<string, string>();
  for (const key of Object.keys(schemas)) {
    for (const name of spellings(key)) keyBySpelling.set(name, key);
  }
  const parameters: Record<string, unknown> = {};
  const globals: Record<string, string | boolean> = {};
  const bare: string[] = [];
  let terminated = false;
  for (const token of tokenize(argv, schemas, takes.letters)) {
    if (token.kind === "option-terminator") {
      terminated = true;
    } else if (token.kind === "positional") {
      bare.push(token.value!);
    } else {
      readOption(token, takes, schemas, keyBySpelling, parameters, globals);
    }
  }
  const object = bare.length === 1 && !terminated ? jsonObject(bare[0]!) : null;
  if (object && Object.keys(parameters).length === 0) return { parameters: object, globals };
  placeBareWords(bare, takes, schemas, parameters);
  return { parameters, globals };
}

function jsonObject(text: string): Record<string, unknown> | null {
  if (!text.trimStart().startsWith("{")) return null;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
}

function readOption(
  token: Token,
  takes: Takes,
  schemas: Readonly<Record<string, JsonSchema>>,
  keyBySpelling: ReadonlyMap<string, string>,
  parameters: Record<string, unknown>,
  globals: Record<string, string | boolean>,
): void {
  const name = token.name!;
  const written = token.rawName!;
  const isLetter = Object.hasOwn(takes.letters ?? {}, written.slice(1));
  const key = written.startsWith("--") || isLetter ? keyBySpelling.get(name) : undefined;
  if (key !== undefined) {
    const schema = schemas[key]!;
    if (isFlag(schema)) {
      parameters[key] = token.value === undefined ? true : readValue(token.value, schema);
      return;
    }
    const swallowed = !token.inlineValue && /^--?[a-z]/i.test(token.value ?? "");
    if (token.value === undefined || swallowed) throw missingValue(written, placeholder(schema));
    assign(parameters, key, token.value, schema, takes, written);
    return;
  }
  const global = globalOptions.find((option) => option.name === name);
  if (global) {
    globals[global.name] = globalValue(token, global.takes);
    return;
  }
  const negated = name.startsWith("no-") ? keyBySpelling.get(name.slice(3)) : undefined;
  if (negated !== undefined && allowedTypes(schemas[negated]!).has("boolean")) {
    if (token.value !== undefined) {
      throw new Refusal("usage", `${written} takes no value`, `write ${written} alone`);
    }
    parameters[negated] = false;
    return;
  }
  throw unknownOption(written, takes, schemas);
}

function unknownOption(
  written: string,
  takes: Takes,
  schemas: Readonly<Record<string, JsonSchema>>,
): Refusal {
  const known = [...Object.keys(schemas).map(kebab), ...globalOptions.map(({ name }) => name)];
  const suggestion = nearest(written.replace(/^-+/, ""), known);
  const number = /^-[0-9.]/.test(written);
  return new Refusal(
    "usage",
    `${takes.words} has no option ${written}`,
    suggestion && !number
      ? `did you mean --${suggestion}?`
      : number
        ? "write `--` before words that begin with a dash"
        : `\`psionic ${takes.words} --help\` shows its options`,
    { option: written, ...(suggestion ? { suggestion: `--${suggestion}` } : {}) },
  );
}

/** Sets a parameter, or adds to it where it is a list. A scalar given twice is refused. */
function assign(
  parameters: Record<string, unknown>,
  key: string,
  text: string,
  schema: JsonSchema,
  takes: Takes,
  written: string,
): void {
  const item = itemOf(schema);
  if (item) {
    // One whole JSON list may be given at once; else each mention adds an item.
    const list = (parameters[key] as unknown[] | undefined) ?? [];
    parameters[key] = [...list, ...(wholeList(text, item) ?? [readValue(text, item)])];
    return;
  }
  if (key in parameters) {
    throw new Refusal("usage", `${takes.words}: ${written} is given twice`, "give it once", {
      parameter: key,
    });
  }
  parameters[key] = readValue(text, schema);
}

/** A JSON list of items that fit, or null where the text stands for one item. */
function wholeList(text: string, item: JsonSchema): unknown[] | null {
  const types = allowedTypes(item);
  if (!/^\s*\[/.test(text) || types.has("array")) return null;
  const value = readValue(text, {});
  const fits = (each: unknown) =>
    types.size === 0 ||
    types.has(jsonType(each)) ||
    (types.has("integer") && Number.isInteger(each));
  return Array.isArray(value) && value.every(fits) ? (value as unknown[]) : null;
}

function placeBareWords(
  bare: readonly string[],
  takes: Takes,
  schemas: Readonly<Record<string, JsonSchema>>,
  parameters: Record<string, unknown>,
): void {
  let position = 0;
  for (const word of bare) {
    const key = takes.positional[position];
    const schema = key === undefined ? undefined : schemas[key];
    if (key === undefined || schema === undefined) {
      throw new Refusal(
        "usage",
        `${takes.words} does not take "${word}"`,
        `\`psionic ${takes.words} --help\` shows what it takes`,
        { word },
      );
    }
    assign(parameters, key, word, schema, takes, `<${kebab(key)}>`);
    if (!itemOf(schema)) position++;
  }
}
