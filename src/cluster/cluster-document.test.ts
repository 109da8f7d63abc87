import { expect, test } from "bun:test";
import { checkParameters } from "#src/command/dispatch.ts";
import { registry } from "#src/command/registry.ts";
import { parameterSchema } from "#src/command/schema.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares every command of the program
import "#src/node/commands.ts";
import { codes } from "#src/refusal/codes.ts";
import { leadingWords, readArguments } from "#src/surface/cli/arguments.ts";
import { roles, postures } from "./event.ts";
import { readManifest } from "./manifest-file.ts";
import { standings } from "./node-rows.ts";
import { survivalText } from "./survival.ts";

/** docs/CLUSTER.md is what an operator goes by: its lines are commands, its codes and names exist. */

const text = await Bun.file(`${import.meta.dir}/../../docs/CLUSTER.md`).text();

const lines = text
  .split("\n")
  .filter((line) => line.startsWith("    psionic "))
  .map((line) => line.trim().replace(/ +#.*$/, ""))
  .map((line) => line.replace("DIGEST", "0".repeat(64)));

test.each(lines)("C-1 `%s` is a command", (line) => {
  const [, ...argv] = line.match(/"[^"]*"|\S+/g)!.map((word) => word.replaceAll('"', ""));
  const leading = leadingWords(argv);
  const resolved = registry.resolve(leading.map(({ word }) => word));
  expect(resolved).not.toBeNull();
  const { command, wordCount } = resolved!;
  const taken = new Set(leading.slice(0, wordCount).map(({ index }) => index));
  const rest = argv.filter((_, index) => !taken.has(index));
  const { parameters } = readArguments(rest, {
    words: command.name,
    schema: parameterSchema(command),
    positional: command.positional ?? [],
    letters: command.letters ?? {},
  });
  expect(checkParameters(command, parameters)).toBeObject();
});

const described = text.split("toml\n")[1]!.split("\n\n    psionic")[0]!.replaceAll("`", "");

test("C-9 the description in it is read", () => {
  expect(readManifest(described).nodes).toHaveLength(1);
});

test("C-1 every code in it is one of the program's, and the names of standings and postures are", () => {
  const named = [...text.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, code]) => code!);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((code) => !Object.hasOwn(codes, code))).toEqual([]);
  for (const word of [...standings, ...postures, ...roles.slice(0, 4)])
    expect(text).toContain(word);
});

test("C-4 it says of two nodes what the program says", () => {
  const shown = text.replaceAll(/\s+/g, " ");
  expect(shown).toContain(survivalText(1, 2).replaceAll(/\s+/g, " "));
});
