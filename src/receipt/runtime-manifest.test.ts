import { describe, expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  identityDigestOf,
  manifestDigestOf,
  parseRuntimeManifest,
  runtimeManifestSchema,
  type RuntimeManifest,
} from "./runtime-manifest.ts";

const manifest: RuntimeManifest = {
  type: "runtime-manifest",
  version: 1,
  execution: {
    binary: { version: "0.1.0", buildDigest: "a".repeat(64) },
    backend: {
      name: "cpu",
      lane: "avx2",
      compiler: "gcc 14",
      kernelLibraries: { "linux-x64": "b".repeat(64) },
      numericSpecification: "exact/1",
    },
    device: { processor: "a processor", coreCount: 2 },
    environmentReferences: { image: "c".repeat(64) },
    artifactBindings: { model: "d".repeat(64), data: "e".repeat(64) },
    staticConfiguration: { seed: 7, name: "run" },
    claimsProfile: "local",
  },
  mutable: {
    environmentVariables: { LANG: "C" },
    knobs: { threads: 2, verbose: false },
  },
};

type Json = string | number | boolean | null | { [key: string]: Json };

/** Every leaf of the manifest by its path. */
function leaves(value: Json, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [[...path]];
  return Object.entries(value).flatMap(([key, each]) => leaves(each, [...path, key]));
}

/** The manifest with one leaf changed to another value of its kind. */
function changed(path: readonly string[]): RuntimeManifest {
  const copy = structuredClone(manifest) as unknown as Record<string, Json>;
  let place = copy as { [key: string]: Json };
  for (const key of path.slice(0, -1)) place = place[key] as { [key: string]: Json };
  const key = path.at(-1)!;
  const value = place[key]!;
  if (typeof value === "string") {
    place[key] = /^[0-9a-f]{64}$/.test(value) ? "f".repeat(64) : `${value}x`;
  } else place[key] = typeof value === "number" ? value + 1 : !value;
  return copy as unknown as RuntimeManifest;
}

/** Every member that the schema names, down to values and open records, by its path. */
function schemaMembers(schema: object, path: readonly string[] = []): string[] {
  const { entries } = schema as { entries?: Readonly<Record<string, object>> };
  if (entries === undefined) return [path.join(".")];
  return Object.entries(entries).flatMap(([key, each]) => schemaMembers(each, [...path, key]));
}

const paths = leaves(manifest);
const named = (room: string) =>
  paths
    .filter(([first]) => first === room)
    .map((path): [string, string[]] => [path.join("."), path]);

describe("I-3 runtime manifest", () => {
  test.each(named("execution"))("I-3 changing %s changes both digests", (_, path) => {
    const other = changed(path);
    expect(identityDigestOf(other)).not.toBe(identityDigestOf(manifest));
    expect(manifestDigestOf(other)).not.toBe(manifestDigestOf(manifest));
  });

  test.each(named("mutable"))("I-3 changing %s leaves identity alone", (_, path) => {
    const other = changed(path);
    expect(identityDigestOf(other)).toBe(identityDigestOf(manifest));
    expect(manifestDigestOf(other)).not.toBe(manifestDigestOf(manifest));
  });

  test("I-3 every field of the schema is under one of the two halves", () => {
    const covered = paths.map(([first]) => first);
    expect(new Set(covered)).toEqual(new Set(["type", "version", "execution", "mutable"]));
    expect(named("execution").length).toBe(15);
    expect(named("mutable").length).toBe(3);
  });

  test("I-3 the manifest of this test has every member that the schema has", () => {
    const covered = new Set(paths.map((path) => path.join(".")));
    const begins = (member: string) => [...covered].some((path) => path.startsWith(`${member}.`));
    const members = schemaMembers(runtimeManifestSchema);
    expect(members.length).toBeGreaterThan(12);
    expect(members.filter((member) => !covered.has(member) && !begins(member))).toEqual([]);
  });

  test("I-3 an added variable counts only for the manifest digest", () => {
    const other = structuredClone(manifest);
    other.mutable.environmentVariables["NEW"] = "1";
    expect(identityDigestOf(other)).toBe(identityDigestOf(manifest));
    expect(manifestDigestOf(other)).not.toBe(manifestDigestOf(manifest));
  });

  test("I-3 a manifest of a wrong shape is refused naming the path", () => {
    const wrong = structuredClone(manifest) as unknown as { execution: { device: object } };
    wrong.execution.device = { peak: 1.5 };
    expect(() => parseRuntimeManifest(wrong)).toThrow(Refusal);
    expect(() => parseRuntimeManifest(wrong)).toThrow(/execution\.device\.peak/);
    expect(parseRuntimeManifest(structuredClone(manifest))).toEqual(manifest);
  });
});
