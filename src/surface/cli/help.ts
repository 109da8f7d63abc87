import type { Flow } from "#src/command/define.ts";
import type { AnyCommand, Registry } from "#src/command/registry.ts";
import { parameterSchema, type JsonSchema } from "#src/command/schema.ts";
import { globalOptions } from "./globals.ts";
import { isFlag, isList, kebab, letterOf, placeholder } from "./parameter.ts";

const headings: readonly (readonly [Flow, string])[] = [
  ["start", "First steps"],
  ["model", "Models"],
  ["run", "Runs"],
  ["proof", "Checking a run"],
  ["node", "This node"],
  ["cluster", "The cluster"],
  ["artifact", "Artifacts"],
  ["peer", "Other nodes"],
  ["evidence", "Policies and evidence"],
  ["tools", "Tools"],
];

const words = (name: string) => name.replaceAll("/", " ");
const bold = (text: string, colour: boolean) => (colour ? `\x1b[1m${text}\x1b[0m` : text);

/** Two columns, the right one wrapped to the width. */
function table(rows: readonly (readonly [string, string])[], columns: number): string[] {
  const left = Math.min(34, Math.max(...rows.map(([name]) => name.length)) + 2);
  const room = Math.max(24, columns - left - 3);
  return rows.flatMap(([name, text]) => {
    const lines = wrap(text, room);
    const first = `  ${name.padEnd(left)}${lines[0] ?? ""}`.trimEnd();
    const rest = lines.slice(1).map((line) => `  ${" ".repeat(left)}${line}`);
    if (name.length < left) return [first, ...rest];
    return [`  ${name}`, ...lines.map((line) => `  ${" ".repeat(left)}${line}`)];
  });
}

function wrap(text: string, room: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < room) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}

const globalRows = globalOptions.map(
  ({ name, short, takes, description }): readonly [string, string] => [
    `${short ? `-${short}, ` : ""}--${name}${takes ? ` ${takes}` : ""}`,
    description,
  ],
);

/** The whole program's help: commands under headings, first steps first. */
export function programHelp(
  commands: readonly AnyCommand[],
  options: { columns: number; colour: boolean; version: string },
): string {
  const shown = commands.filter((command) => !command.hidden);
  const lines = [
    `psionic ${options.version}: training you can check, on the machines you already have.`,
    "",
    `${bold("Usage", options.colour)}  psionic COMMAND [parameters] [options]`,
  ];
  for (const [flow, heading] of headings) {
    const group = shown.filter((command) => (command.flow ?? "tools") === flow);
    if (group.length === 0) continue;
    const rows = group.map((command) => [words(command.name), command.summary] as const);
    lines.push("", bold(heading, options.colour), ...table(rows, options.columns));
  }
  lines.push("", bold("Options of every command", options.colour));
  lines.push(...table(globalRows, options.columns));
  lines.push("", "Begin with `psionic demo`, or with `psionic train FILE` and `psionic up`.");
  lines.push("`psionic COMMAND --help` shows what a command takes.");
  return lines.join("\n");
}

/** The help of a name that only begins commands: `psionic identity`. */
export function prefixHelp(name: string, registry: Registry, columns: number): string {
  const rows = registry
    .below(name)
    .filter((command) => !command.hidden)
    .map((command) => [words(command.name), command.summary] as const);
  return [`psionic ${words(name)} …`, "", ...table(rows, columns)].join("\n");
}

function describe(schema: JsonSchema, required: boolean): string {
  const parts = [schema.description ?? ""];
  if (isList(schema)) parts.push("may be repeated");
  if (saysSomething(schema.default)) parts.push(`default ${defaultText(schema.default)}`);
  if (required) parts.push("required");
  return parts.filter((part) => part !== "").join("; ");
}

/** Nothing, an empty list and a flag that is off are what everybody expects. */
function saysSomething(value: unknown): boolean {
  const isEmpty = value === "" || (Array.isArray(value) && value.length === 0);
  return value !== undefined && value !== false && !isEmpty;
}

function defaultText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** How one parameter is written as an option: `-n, --lines NUMBER`. */
function optionText(key: string, schema: JsonSchema, letter: string | undefined): string {
  const short = letter === undefined ? "" : `-${letter}, `;
  if (!isFlag(schema)) return `${short}--${kebab(key)} ${placeholder(schema)}`;
  return schema.default === true ? `--no-${kebab(key)}` : `${short}--${kebab(key)}`;
}

/** `psionic train [FILES…] [options]` */
function usageLine(command: AnyCommand): string {
  const schema = parameterSchema(command);
  const required = new Set(schema.required ?? []);
  const parts = [`psionic ${words(command.name)}`];
  for (const key of command.positional ?? []) {
    const name = kebab(key).toUpperCase() + (isList(schema.properties?.[key] ?? {}) ? "…" : "");
    parts.push(required.has(key) ? name : `[${name}]`);
  }
  if (Object.keys(schema.properties ?? {}).length > 0) parts.push("[options]");
  return parts.join(" ");
}

export function commandHelp(
  command: AnyCommand,
  registry: Registry,
  options: { columns: number; colour: boolean },
): string {
  const { columns, colour } = options;
  const schema = parameterSchema(command);
  const required = new Set(schema.required ?? []);
  const lines = [command.summary, "", `${bold("Usage", colour)}  ${usageLine(command)}`];
  const rows = Object.entries(schema.properties ?? {}).map(
    ([key, each]) =>
      [optionText(key, each, letterOf(command, key)), describe(each, required.has(key))] as const,
  );
  if (rows.length > 0) lines.push("", bold("Parameters", colour), ...table(rows, columns));
  lines.push("", bold("Options of every command", colour), ...table(globalRows, columns));
  const examples = command.examples ?? [];
  if (examples.length > 0) {
    lines.push("", bold("Examples", colour), ...examples.map((example) => `  ${example}`));
  }
  if (registry.below(command.name).some((each) => !each.hidden)) {
    lines.push("", prefixHelp(command.name, registry, columns));
  }
  return lines.join("\n");
}
