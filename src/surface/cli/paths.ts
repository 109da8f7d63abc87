import { resolve } from "node:path";
import type { AnyCommand } from "#src/command/registry.ts";

/**
 * The parameters with every path made absolute against the caller's directory, so that they mean the
 * same file wherever the command runs. An address with its scheme is no path. What is no text (a wrong value) is left for the schema to refuse.
 */
export function absolutePaths(
  command: Pick<AnyCommand, "paths">,
  parameters: Readonly<Record<string, unknown>>,
  directory: () => string = process.cwd,
): Record<string, unknown> {
  const made = { ...parameters };
  for (const path of command.paths ?? []) {
    const { key, words } = typeof path === "string" ? { key: path, words: [] } : path;
    const absolute = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(absolute);
      const isPath =
        typeof value === "string" &&
        value !== "" &&
        !words.includes(value) &&
        !/^[a-z][a-z0-9+.-]*:\/\//i.test(value);
      return isPath ? resolve(directory(), value) : value;
    };
    if (Object.hasOwn(made, key)) made[key] = absolute(made[key]);
  }
  return made;
}
