import { readFileSync, statSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { nearest } from "#src/command/nearest.ts";
import type { AnyCommand, Registry } from "#src/command/registry.ts";
import { parameterSchema } from "#src/command/schema.ts";
import type { Configuration, HomePaths, SettingValue } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { fileFailure } from "./file-failure.ts";
import { keyLine, sourceFrame } from "./toml-place.ts";

/**
 * Configuration is what a person would otherwise repeat on the command line: every parameter
 * of every command is a setting. `[train] threads = 2` in psionic.toml and
 * PSIONIC_TRAIN_THREADS=2 both mean `psionic train --threads 2`. Flag beats environment beats
 * file beats default. There is no second list of settings: the commands' schemas are the list.
 */

type Environment = Readonly<Record<string, string | undefined>>;

/** `train.checkpointEvery` is PSIONIC_TRAIN_CHECKPOINT_EVERY. */
export function environmentName(commandName: string, key: string): string {
  const separated = key.replace(/([a-z0-9])([A-Z])/g, "$1_$2");
  return `PSIONIC_${commandName}_${separated}`.replace(/[^A-Za-z0-9]/g, "_").toUpperCase();
}

/**
 * Reads the file when first asked (a command without parameters never needs it) and again where it was
 * changed since: a daemon lives for months.
 */
export function openConfiguration(
  home: HomePaths,
  environment: Environment,
  registry: Registry,
): Configuration {
  let known: { readonly stamp: string | null; readonly file: FileSettings } | null = null;
  const read = () => {
    const stamp = stampOf(home.configuration);
    if (known === null || known.stamp !== stamp)
      known = { stamp, file: stamp === null ? new Map() : readFile(home.configuration, registry) };
    return known.file;
  };
  const valuesOf = (command: AnyCommand): SettingValue[] => {
    const settings = read().get(command.name) ?? new Map<string, FileValue>();
    return Object.entries(parameterSchema(command).properties ?? {}).map(([key, schema]) => {
      const name = `${command.name.replaceAll("/", ".")}.${key}`;
      const variable = environmentName(command.name, key);
      const text = environment[variable];
      if (text !== undefined) {
        const value = readVariable(command, key, variable, text);
        return { name, value, source: "environment", origin: variable };
      }
      const found = settings.get(key);
      if (found) return { name, value: found.value, source: "file", origin: found.origin };
      return { name, value: schema.default ?? null, source: "default", origin: null };
    });
  };
  return {
    defaultsFor(commandName) {
      const command = registry.get(commandName);
      if (!command || command.withoutSettings === true) return {};
      const set = valuesOf(command).filter(({ source }) => source !== "default");
      return Object.fromEntries(set.map(({ name, value }) => [name.split(".").at(-1)!, value]));
    },
    settings: () => registry.all().flatMap((each) => (hasSettings(each) ? valuesOf(each) : [])),
  };
}

const hasSettings = (command: AnyCommand): boolean =>
  command.hidden !== true && command.withoutSettings !== true;

interface FileValue {
  readonly value: unknown;
  /** `psionic.toml:3` */
  readonly origin: string;
}

type FileSettings = ReadonlyMap<string, ReadonlyMap<string, FileValue>>;

/** Changes whenever the file does; null where there is none. */
function stampOf(path: string): string | null {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino}/${size}/${mtimeMs}`;
  } catch {
    return null;
  }
}

function readFile(path: string, registry: Registry): FileSettings {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw fileFailure(error, "read", path);
  }
  const settings = new Map<string, ReadonlyMap<string, FileValue>>();
  readTable(parseToml(text, path), [], { path, text, registry, settings });
  return settings;
}

function parseToml(text: string, path: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    throw wrongPlace(path, text, error.line, error.column, reason, "correct the line");
  }
}

interface Reading {
  readonly path: string;
  readonly text: string;
  readonly registry: Registry;
  readonly settings: Map<string, ReadonlyMap<string, FileValue>>;
}

/** Walks tables as words of a command's name; the rest of a command's table is parameters. */
function readTable(
  table: Record<string, unknown>,
  words: readonly string[],
  reading: Reading,
): void {
  const { registry, settings, path } = reading;
  const command = registry.get(words.join("/"));
  const properties = (command && hasSettings(command) && parameterSchema(command).properties) || {};
  const own = new Map<string, FileValue>();
  for (const [key, value] of Object.entries(table)) {
    const place = [...words, key];
    const isTable = typeof value === "object" && value !== null && !Array.isArray(value);
    if (command && Object.hasOwn(properties, key)) {
      checkSetting(command, key, value, reading, place);
      own.set(key, { value, origin: `${path}:${keyLine(reading.text, place).line}` });
    } else if (isTable && namesCommands(registry, place)) {
      readTable(value as Record<string, unknown>, place, reading);
    } else {
      throw unknownKey(place, Object.keys(properties), reading);
    }
  }
  if (own.size > 0) settings.set(words.join("/"), own);
}

function namesCommands(registry: Registry, place: readonly string[]): boolean {
  const name = place.join("/");
  return registry.get(name) !== undefined || registry.below(name).length > 0;
}

function unknownKey(place: readonly string[], siblings: string[], reading: Reading): Refusal {
  const { registry, path, text } = reading;
  const depth = place.length - 1;
  const tables = registry.all().flatMap((each) => {
    const words = each.name.split("/");
    const fits = place.slice(0, depth).every((word, index) => words[index] === word);
    return !each.hidden && fits && words[depth] !== undefined ? [words[depth]] : [];
  });
  const suggestion = nearest(place.at(-1)!, [...siblings, ...tables]);
  const { line, column } = keyLine(text, place);
  return wrongPlace(
    path,
    text,
    line,
    column,
    `there is no setting ${place.join(".")}`,
    suggestion ? `did you mean ${suggestion}?` : "`psionic config show --all` lists the settings",
  );
}

function checkSetting(
  command: AnyCommand,
  key: string,
  value: unknown,
  { path, text }: Reading,
  place: readonly string[],
): void {
  const message = issueOf(command, key, value);
  if (message === null) return;
  const { line, column } = keyLine(text, place);
  const words = command.name.replaceAll("/", " ");
  const hint = `\`psionic ${words} --help\` shows what it may be`;
  throw wrongPlace(path, text, line, column, `${place.join(".")}: ${message}`, hint);
}

function readVariable(command: AnyCommand, key: string, variable: string, text: string): unknown {
  let value: unknown = text;
  if (issueOf(command, key, value) !== null) {
    try {
      value = JSON.parse(text);
    } catch {
      // Judged as text below.
    }
  }
  const message = issueOf(command, key, value);
  if (message === null) return value;
  const words = command.name.replaceAll("/", " ");
  throw new Refusal(
    "configuration_wrong",
    `${variable}: ${message}`,
    `\`psionic ${words} --help\` shows what it may be`,
    { variable, value: text },
  );
}

/** What is wrong with one parameter's value by itself, or null. */
function issueOf(command: AnyCommand, key: string, value: unknown): string | null {
  const { issues } = v.safeParse(command.parameters, { [key]: value });
  return issues?.find((issue) => issue.path?.[0]?.key === key)?.message ?? null;
}

function wrongPlace(
  path: string,
  text: string,
  line: number,
  column: number,
  reason: string,
  hint: string,
): Refusal {
  const frame = sourceFrame(text, line, column);
  return new Refusal("configuration_wrong", `${path}:${line}: ${reason}\n${frame}`, hint, {
    path,
    line,
    column,
    reason,
  });
}
