import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { JsonSchema } from "#src/command/schema.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { leadingWords, readArguments, readGlobals } from "./arguments.ts";
import { kebab, spellings } from "./parameter.ts";

const takes = (properties: Record<string, JsonSchema>, positional: string[] = []) => ({
  words: "try",
  schema: { type: "object", properties },
  positional,
});

const read = (argv: string[], properties: Record<string, JsonSchema>, positional?: string[]) =>
  readArguments(argv, takes(properties, positional)).parameters;

const text: JsonSchema = { type: "string" };
const integer: JsonSchema = { type: "integer" };
const flag: JsonSchema = { type: "boolean" };

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("A-2 words become parameters", () => {
  test("A-2 nothing is an empty object", () => {
    expect(read([], { steps: integer })).toEqual({});
  });

  test("A-2 one JSON object is taken as it is, unknown names and all", () => {
    expect(read(['{"steps":5,"other":[1]}'], { steps: integer })).toEqual({ steps: 5, other: [1] });
  });

  test("A-2 after -- a JSON object is a bare word", () => {
    expect(read(["--", "{}"], { name: text }, ["name"])).toEqual({ name: "{}" });
  });

  test("A-2 kebab, snake and camel name the same parameter", () => {
    for (const name of ["checkpoint-every", "checkpoint_every", "checkpointEvery"]) {
      expect(read([`--${name}`, "5"], { checkpointEvery: integer })).toEqual({
        checkpointEvery: 5,
      });
    }
  });

  test("A-2 a text parameter stays text", () => {
    expect(read(["--name", "5"], { name: text })).toEqual({ name: "5" });
    expect(read(["--name", "007"], { name: text })).toEqual({ name: "007" });
    expect(read(["--name="], { name: text })).toEqual({ name: "" });
  });

  test("A-2 a value that may be both is JSON first", () => {
    const both: JsonSchema = { anyOf: [text, { type: "number" }] };
    expect(read(["--x", "5"], { x: both })).toEqual({ x: 5 });
    expect(read(["--x", '"5"'], { x: both })).toEqual({ x: "5" });
    expect(read(["--x", "five"], { x: both })).toEqual({ x: "five" });
  });

  test("A-2 flags and their negation", () => {
    expect(read(["--resume"], { resume: flag })).toEqual({ resume: true });
    expect(read(["--no-resume"], { resume: flag })).toEqual({ resume: false });
    expect(read(["--resume=false"], { resume: flag })).toEqual({ resume: false });
  });

  test("A-2 bare words fill positions, the last may be a list", () => {
    const files: JsonSchema = { type: "array", items: text };
    const schema = { name: text, files };
    expect(read(["a", "b", "c"], schema, ["name", "files"])).toEqual({
      name: "a",
      files: ["b", "c"],
    });
    expect(read(["--files", "x", "--files=y"], schema)).toEqual({ files: ["x", "y"] });
    expect(read(["--", "-a", "--b"], schema, ["name", "files"])).toEqual({
      name: "-a",
      files: ["--b"],
    });
  });

  test("A-2 negative numbers are values", () => {
    expect(read(["--shift", "-5"], { shift: { type: "number" } })).toEqual({ shift: -5 });
  });

  test("A-2 an unknown flag is refused with the nearest name", () => {
    const refusal = refusalOf(() => read(["--stesp", "5"], { steps: integer }));
    expect(refusal.code).toBe("usage");
    expect(refusal.hint).toContain("--steps");
    expect(refusalOf(() => read(["--jsno"], {})).hint).toContain("--json");
  });

  test("A-2 a missing value, a value twice and a word too many are refused", () => {
    expect(refusalOf(() => read(["--steps"], { steps: integer })).code).toBe("usage");
    expect(refusalOf(() => read(["--name", "--steps"], { name: text })).code).toBe("usage");
    expect(refusalOf(() => read(["--name", "a", "--name", "b"], { name: text })).code).toBe(
      "usage",
    );
    expect(refusalOf(() => read(["a", "b"], { name: text }, ["name"])).code).toBe("usage");
    expect(refusalOf(() => read(["--no-resume=yes"], { resume: flag })).code).toBe("usage");
    expect(refusalOf(() => readGlobals(["--home"])).code).toBe("usage");
    expect(refusalOf(() => readGlobals(["--json=5"])).code).toBe("usage");
  });

  test("A-2 global options stand anywhere before --", () => {
    expect(readGlobals(["--json", "train", "--home=/x", "-q"])).toEqual({
      json: true,
      home: "/x",
      quiet: true,
    });
    expect(readGlobals(["a", "--", "--json"])).toEqual({});
    const words = leadingWords(["--home", "/x", "identity", "--json", "show", "--all", "more"]);
    expect(words.map(({ word }) => word)).toEqual(["identity", "show"]);
  });
});

/** A parameter's schema with a value it allows. */
const parameter = fc.oneof(
  fc.string().map((value) => ({ schema: text, value: value as unknown })),
  fc.maxSafeInteger().map((value) => ({ schema: integer, value: value as unknown })),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((value) => ({ schema: { type: "number" } as JsonSchema, value: (value + 0) as unknown })),
  fc.boolean().map((value) => ({ schema: flag, value: value as unknown })),
  fc.constantFrom("avx2", "avx512").map((value) => ({
    schema: { enum: ["avx2", "avx512"] } as JsonSchema,
    value: value as unknown,
  })),
  fc.array(fc.string()).map((value) => ({
    schema: { type: "array", items: text } as JsonSchema,
    value: value as unknown,
  })),
  fc.array(fc.integer()).map((value) => ({
    schema: { type: "array", items: integer } as JsonSchema,
    value: value as unknown,
  })),
  fc.oneof(fc.string(), fc.integer(), fc.constant(null)).map((value) => ({
    schema: { anyOf: [text, { type: "number" }, { type: "null" }] } as JsonSchema,
    value: value as unknown,
  })),
  fc.jsonValue().map((value) => ({ schema: {} as JsonSchema, value: value as unknown })),
);

const key = fc
  .array(fc.constantFrom("steps", "rate", "batch", "seed", "a", "b2"), {
    minLength: 1,
    maxLength: 3,
  })
  .map((words) =>
    words.map((word, i) => (i ? word[0]!.toUpperCase() + word.slice(1) : word)).join(""),
  );

/** How a person would write a value of a parameter, one of the allowed ways. */
function writeOption(
  name: string,
  { schema, value }: { schema: JsonSchema; value: unknown },
  form: { spelling: number; inline: boolean },
): string[] {
  const names = spellings(name);
  const option = `--${names[form.spelling % names.length]}`;
  if (schema === flag && !form.inline) return [value ? option : `--no-${option.slice(2)}`];
  const one = (written: string) =>
    form.inline || written.startsWith("-") ? [`${option}=${written}`] : [option, written];
  if (schema.items) {
    const list = value as unknown[];
    const risky = list.some((item) => typeof item === "string" && /^\s*\[/.test(item));
    if (list.length === 0 || risky) return [`${option}=${JSON.stringify(list)}`];
    return list.flatMap((item) => one(typeof item === "string" ? item : JSON.stringify(item)));
  }
  const plain = schema === text || schema.enum !== undefined;
  return one(plain ? String(value) : JSON.stringify(value));
}

describe("A-2 letters", () => {
  const letters = { f: "follow", n: "lineCount" };
  const schemas = { follow: flag, lineCount: integer };
  const readLetters = (argv: string[]) =>
    readArguments(argv, { ...takes(schemas), letters }).parameters;

  test("A-2 a letter stands for its option, alone, with a value and in a group", () => {
    expect(readLetters(["-f"])).toEqual({ follow: true });
    expect(readLetters(["-n", "5"])).toEqual({ lineCount: 5 });
    expect(readLetters(["-n5", "-f"])).toEqual({ lineCount: 5, follow: true });
    expect(readLetters(["-fn", "5"])).toEqual({ lineCount: 5, follow: true });
  });

  test("A-2 a letter nobody declared, or one without its value, is refused", () => {
    expect(refusalOf(() => readLetters(["-x"])).message).toBe("try has no option -x");
    expect(refusalOf(() => readLetters(["-n"])).message).toBe("-n needs a value");
    expect(refusalOf(() => read(["-f"], schemas)).message).toBe("try has no option -f");
  });

  test("A-2 a parameter named by one letter is no letter", () => {
    expect(refusalOf(() => read(["-f"], { f: flag })).message).toBe("try has no option -f");
  });

  test("A-2 global letters stay global beside them", () => {
    const { globals } = readArguments(["-q", "-f"], { ...takes(schemas), letters });
    expect(globals).toEqual({ quiet: true });
  });
});

describe("A-2 round trips", () => {
  const parameters = fc.dictionary(key, parameter, { maxKeys: 6 });
  const form = fc.record({ spelling: fc.nat(2), inline: fc.boolean() });

  test("A-2 any object written as options is read back", () => {
    fc.assert(
      fc.property(parameters, fc.array(form, { minLength: 6, maxLength: 6 }), (object, forms) => {
        const argv = Object.entries(object).flatMap(([name, each], index) =>
          writeOption(name, each, forms[index]!),
        );
        const properties = Object.fromEntries(
          Object.entries(object).map(([name, { schema }]) => [name, schema]),
        );
        const expected = Object.fromEntries(
          Object.entries(object).map(([name, { value }]) => [name, value]),
        );
        expect(read(argv, properties)).toEqual(
          JSON.parse(JSON.stringify(expected)) as Record<string, unknown>,
        );
      }),
      { numRuns: 500 },
    );
  });

  test("A-2 any object written as one JSON word is read back", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const written = JSON.stringify(object);
        expect(read([written], {})).toEqual(JSON.parse(written) as Record<string, unknown>);
      }),
    );
  });

  test("A-2 any bare words after -- are read back", () => {
    fc.assert(
      fc.property(fc.array(fc.string().filter((word) => !/^\s*\[/.test(word))), (words) => {
        const list: JsonSchema = { type: "array", items: text };
        const expected = words.length > 0 ? { words } : {};
        expect(read(["--", ...words], { words: list }, ["words"])).toEqual(expected);
      }),
    );
  });

  test("A-2 any words at all are parameters or a refusal, never a crash", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "--",
        "-",
        "---",
        "--=",
        "--no-",
        "--x",
        "-x",
        "--no-x=1",
        "--steps",
        "{",
        "--__proto__",
      ),
    );
    fc.assert(
      fc.property(fc.array(word), (argv) => {
        try {
          const { parameters } = readArguments(argv, takes({ steps: integer, x: flag }, ["steps"]));
          expect(typeof parameters).toBe("object");
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal);
        }
      }),
    );
  });

  test("A-2 every spelling of a key leads back to one kebab form", () => {
    fc.assert(
      fc.property(key, (name) => {
        expect(new Set(spellings(name).map(kebab)).size).toBe(1);
      }),
    );
  });
});
