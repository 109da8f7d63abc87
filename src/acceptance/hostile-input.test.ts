import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { codes } from "#src/refusal/codes.ts";
import { type Outcome, runBinary, TemporaryFolder } from "./binary.ts";
import { lastLine, tinyModel, writeBook } from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const home = folder.file("home");
const book = writeBook(folder);

/** Checks the one refusal a command ended in, and that it helps. */
function expectRefusal({ status, stdout, stderr }: Outcome, code: string): Record<string, unknown> {
  const refusal = lastLine(stdout);
  expect({ status, type: refusal["type"], code: refusal["code"], stderr }).toEqual({
    ...{ status: codes[code as "usage"].exit, type: "refusal", code, stderr: "" },
  });
  expect(String(refusal["message"]).length).toBeGreaterThan(10);
  expect(String(refusal["hint"]).length).toBeGreaterThan(10);
  // Not a word of the program's insides.
  expect(stdout).not.toMatch(/\n\s+at .+:\d+|undefined|\[object Object\]|NaN bytes/);
  return refusal;
}

const train = (words: readonly string[]) =>
  runBinary(["train", ...words, "--json", "--no-input"], { home });

/** The data a test gives, by name: its bytes, or null for what is not a file with bytes. */
const data: Readonly<Record<string, Uint8Array>> = {
  "empty.txt": new Uint8Array(0),
  "binary.txt": Uint8Array.from({ length: 4096 }, (_, index) => (index * 197) % 256),
  "latin1.txt": Buffer.from("caf\xe9 au lait\nand more text of the sea\n", "latin1"),
  "cut.jsonl": Buffer.from('{"text":"a line that is whole"}\n{"text":"a line that is c'),
  "number.jsonl": Buffer.from('{"text":"a line that is whole"}\n42\n'),
  "fieldless.jsonl": Buffer.from('{"words":"no field called text"}\n'),
  "short.txt": Buffer.from("a"),
  "utf16.txt": Buffer.from("\ufeffa text in the wrong coding, as some editors save it", "utf16le"),
};

beforeAll(() => {
  for (const [name, bytes] of Object.entries(data)) writeFileSync(folder.file(name), bytes);
  mkdirSync(folder.file("empty-directory"));
});

describe("T-5 data that cannot be trained on is refused", () => {
  test.each([
    ["empty.txt", "data_empty", {}],
    ["binary.txt", "data_binary", {}],
    ["utf16.txt", "data_binary", {}],
    ["latin1.txt", "data_not_utf8", { line: 1 }],
    ["cut.jsonl", "data_jsonl_invalid", { line: 2 }],
    ["number.jsonl", "data_jsonl_invalid", { line: 2 }],
    ["fieldless.jsonl", "data_jsonl_invalid", { line: 1 }],
    ["empty-directory", "data_empty", {}],
    ["nowhere.txt", "not_found", {}],
    ["short.txt", "data_too_small", {}],
  ] as const)("T-5 %s: %s", async (name, code, details) => {
    const refusal = expectRefusal(await train([folder.file(name), ...tinyModel]), code);
    expect(refusal["details"]).toMatchObject(details);
    if (name !== "short.txt") expect(refusal["message"]).toContain(name.split("/").pop()!);
  });

  test("T-5 one bad file among good ones is named", async () => {
    const refusal = expectRefusal(await train([book, folder.file("latin1.txt")]), "data_not_utf8");
    expect(refusal["message"]).toContain("latin1.txt");
  });
});

describe("T-3 absurd sizes are refused before memory is taken", () => {
  const absurd: readonly (readonly [words: readonly string[], code: string])[] = [
    [["--layers", "0"], "usage"],
    [["--layers", "1000000"], "model_invalid"],
    [["--width", "1000000000"], "model_invalid"],
    [["--width", "33"], "model_invalid"],
    [["--heads", "3"], "model_invalid"],
    [["--context", "100000000"], "model_invalid"],
    [["--batch", "1000000000"], "model_invalid"],
    [["--layers", "1000", "--width", "65536", "--heads", "64"], "model_invalid"],
    [["--dropout", "1.5"], "model_invalid"],
    [["--steps", "0"], "usage"],
    [["--steps", "1e300"], "usage"],
    [["--learning-rate", "-1"], "usage"],
    [["--learning-rate", "NaN"], "usage"],
    [["--threads", "0"], "usage"],
    [["--threads", "100000"], "usage"],
    [["--minutes", "0"], "usage"],
    [["--seed", "-1"], "usage"],
    [["--size", "gigantic"], "size_unknown"],
    [["--name", "../../etc"], "usage"],
    [["--isa", "mmx"], "usage"],
  ];
  test.each(absurd.map(([words, code]) => [words.join(" "), words, code] as const))(
    "T-3 %s",
    async (_, words, code) => {
      const outcome = await train([book, ...words]);
      expectRefusal(outcome, code);
      expect(outcome.durationMs).toBeLessThan(10_000);
    },
  );

  test("T-3 a batch that no memory holds is refused with what it needs and what there is", async () => {
    const outcome = await train([book, "--batch", "1048576"]);
    const refusal = expectRefusal(outcome, "memory_short");
    const { neededBytes, availableBytes } = refusal["details"] as Record<string, number>;
    expect(neededBytes).toBeGreaterThan(availableBytes!);
    expect(refusal["message"]).toMatch(/\d GiB/);
  });

  test("T-3 what was refused left no run behind", async () => {
    const { stdout } = await runBinary(["runs", "--json"], { home });
    const { runs } = lastLine(stdout) as { runs: { name: string; state: string }[] };
    expect(runs).toEqual([]);
  });
});

describe("A-2 words that are not understood", () => {
  test.each([
    [["train", "--layer", "2"], "--layers"],
    [["train", "--checkpoint-evry", "2"], "--checkpoint-every"],
    [["sample", "--promt", "x"], "--prompt"],
    [["replay", "--step", "1"], "--steps"],
    [["smaple"], "sample"],
    [["digset"], "digest"],
    [["dmeo"], "demo"],
  ])("A-2 %p gets a suggestion", async (words, suggestion) => {
    const outcome = await runBinary([...words, "--json", "--no-input"], { home });
    expect(outcome.status).toBe(2);
    expect(lastLine(outcome.stdout)["hint"]).toContain(suggestion);
  });
});
