import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { roomImports } from "./imports.ts";
import { readRepository } from "./repository.ts";

const root = join(import.meta.dir, "../..");
const repository = readRepository();
const textOf = (path: string) => repository.find((file) => file.path === path)?.text ?? "";
const documents = repository.filter(({ path }) => /^(docs\/)?[A-Z]+\.md$/.test(path));

/** Paths of the repository that a document names in backticks. */
const namedPaths = (text: string): string[] =>
  [...text.matchAll(/`((?:src|scripts|kernels|docs|fixtures)\/[\w./-]+|build\.ts)`/g)].map(
    (match) => match[1] ?? "",
  );

/** Local targets of a document's links. */
const linkedPaths = (text: string): string[] =>
  [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) => match[1] ?? "");

describe("the documents", () => {
  test("ARCHITECTURE.md has a line for every room, and for no other", () => {
    const lines = [...textOf("docs/ARCHITECTURE.md").matchAll(/^\| `src\/([a-z-]+)` +\| \S/gm)];
    expect(lines.map((match) => match[1]!).sort()).toEqual(Object.keys(roomImports).sort());
    const rooms = new Set(
      repository.flatMap(({ path }) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []),
    );
    expect([...rooms].sort()).toEqual(Object.keys(roomImports).sort());
  });

  test("every file a document names is there", () => {
    expect(documents.length).toBeGreaterThan(4);
    const missing = documents.flatMap(({ path, text }) =>
      namedPaths(text)
        .filter((named) => !existsSync(join(root, named)))
        .map((named) => `${path} names ${named}`),
    );
    expect(missing).toEqual([]);
    expect(namedPaths("see `src/codec/nothing.ts` and `build.ts`")).toHaveLength(2);
  });

  test("every local link leads somewhere", () => {
    const broken = documents.flatMap(({ path, text }) =>
      linkedPaths(text)
        .filter((target) => !existsSync(join(root, path, "..", target)))
        .map((target) => `${path} links to ${target}`),
    );
    expect(broken).toEqual([]);
    expect(linkedPaths("[a](docs/a.md#b) [c](https://d.e)")).toEqual(["docs/a.md"]);
  });

  test("decisions are numbered without a gap or a double", () => {
    const numbers = repository
      .flatMap(({ path }) => /^docs\/decisions\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  test("NUMERICS.md speaks of every operation of the contract", () => {
    const numerics = textOf("docs/NUMERICS.md");
    const contract = textOf("src/kernel/contract.ts");
    const declared = [...contract.matchAll(/^ {2}([a-z_0-9]+): \{\n {4}arguments:/gm)];
    expect(declared.length).toBeGreaterThan(30);
    const unspecified = declared
      .map((match) => match[1]!)
      .filter((name) => !numerics.includes(`\`${name}\``));
    expect(unspecified).toEqual([]);
  });
});
