import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Registry } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { environmentName, openConfiguration } from "./configuration.ts";
import { homePaths } from "./home.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "psionic-config-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const registry = new Registry();
registry.declare({
  name: "train",
  summary: "Train.",
  parameters: v.strictObject({
    name: v.optional(v.string()),
    threads: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1),
    checkpointEvery: v.optional(v.number()),
    files: v.optional(v.array(v.string())),
  }),
  run: () => null,
});
registry.declare({
  name: "run/start",
  summary: "Start.",
  parameters: v.strictObject({ name: v.string(), threads: v.optional(v.number()) }),
  run: () => null,
});

function configure(toml: string, environment: Record<string, string> = {}) {
  writeFileSync(join(root, "psionic.toml"), toml);
  return openConfiguration(homePaths(root, {}), environment, registry);
}

function refusalOf(toml: string, environment: Record<string, string> = {}): Refusal {
  try {
    configure(toml, environment).settings();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("A-2 configuration", () => {
  test("A-2 environment beats file beats default, and each says where it came from", () => {
    const configuration = configure('# mine\n[train]\nthreads = 4\nname = "5"\n', {
      PSIONIC_TRAIN_THREADS: "8",
    });
    expect(configuration.defaultsFor("train")).toEqual({ threads: 8, name: "5" });
    const byName = new Map(configuration.settings().map((each) => [each.name, each]));
    expect(byName.get("train.threads")).toMatchObject({
      value: 8,
      source: "environment",
      origin: "PSIONIC_TRAIN_THREADS",
    });
    expect(byName.get("train.name")).toMatchObject({
      value: "5",
      source: "file",
      origin: `${join(root, "psionic.toml")}:4`,
    });
    expect(byName.get("train.checkpointEvery")).toMatchObject({ value: null, source: "default" });
  });

  test("A-2 a file that changes, breaks, comes or goes while a process lives counts as it is now", () => {
    const path = join(root, "psionic.toml");
    const configuration = configure("[train]\nthreads = 4\n");
    expect(configuration.defaultsFor("train")).toEqual({ threads: 4 });
    writeFileSync(path, "[train]\nthreads = 16\n");
    expect(configuration.defaultsFor("train")).toEqual({ threads: 16 });
    writeFileSync(path, "[train\n");
    for (let time = 0; time < 2; time++)
      expect(() => configuration.defaultsFor("train")).toThrow(Refusal);
    rmSync(path);
    expect(configuration.defaultsFor("train")).toEqual({});
    writeFileSync(path, "[train]\nthreads = 2\n");
    expect(configuration.defaultsFor("train")).toEqual({ threads: 2 });
  });

  test("A-2 a table names a command, words and all", () => {
    const configuration = configure('[run.start]\nthreads = 2\n[train]\nfiles = ["a"]\n');
    expect(configuration.defaultsFor("run/start")).toEqual({ threads: 2 });
    expect(configuration.defaultsFor("train")).toEqual({ files: ["a"] });
    expect(configure("run.start.threads = 3\n").defaultsFor("run/start")).toEqual({ threads: 3 });
  });

  test("A-2 a text setting from the environment stays text", () => {
    const configuration = configure("", { PSIONIC_RUN_START_NAME: "5" });
    expect(configuration.defaultsFor("run/start")).toEqual({ name: "5" });
    expect(environmentName("run/start", "checkpointEvery")).toBe(
      "PSIONIC_RUN_START_CHECKPOINT_EVERY",
    );
  });

  test("A-2 a home without a file has no settings", () => {
    const configuration = openConfiguration(homePaths(root, {}), {}, registry);
    expect(configuration.defaultsFor("train")).toEqual({});
  });

  const mistakes: [string, string, number, string][] = [
    ["broken syntax", "[train]\nthreads = = 4\n", 2, "threads = = 4"],
    ["an unknown key", "[train]\n\n  thraeds = 4\n", 3, "did you mean threads?"],
    ["an unknown table", "[trian]\nthreads = 4\n", 1, "did you mean train?"],
    ["a wrong type", '[train]\nname = "x"\nthreads = "four"\n', 3, "threads"],
    ["a value out of bounds", "[train]\nthreads = 0\n", 2, "threads"],
    ["a value where a table must be", "train = 4\n", 1, "train"],
  ];
  test.each(mistakes)("A-2 %s is refused with its line and a caret", (_, toml, line, word) => {
    const refusal = refusalOf(toml);
    expect(refusal.code).toBe("configuration_wrong");
    expect(refusal.details).toMatchObject({ line });
    expect(`${refusal.message}\n${refusal.hint}`).toContain(word);
    expect(refusal.message).toMatch(/\n +\| *\^$/);
    expect(refusal.message).toContain(toml.split("\n")[line - 1]!);
  });

  test("A-2 a wrong variable is refused by its name", () => {
    const refusal = refusalOf("", { PSIONIC_TRAIN_THREADS: "many" });
    expect(refusal.message).toContain("PSIONIC_TRAIN_THREADS");
    expect(refusal.exitStatus).toBe(2);
  });

  test("A-2 a key that every object inherits is a key like any other", () => {
    for (const key of ["toString", "constructor", "__proto__"]) {
      expect(refusalOf(`${key} = 1`).message).toContain(`there is no setting ${key}`);
      expect(refusalOf(`[${key}]\nthreads = 1`).message).toContain(`there is no setting ${key}`);
      expect(refusalOf(`[train]\n${key} = 1`).message).toContain(`no setting train.${key}`);
    }
  });
});
