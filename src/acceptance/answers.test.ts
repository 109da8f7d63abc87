import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { jsonLines, runBinary, startBinary, TemporaryFolder } from "./binary.ts";
import { lastLine, liveLines, tinyModel, trainToEnd, writeBook } from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const home = folder.file("home");

beforeAll(async () => {
  const book = [writeBook(folder), ...tinyModel, "--style", "llama"];
  await trainToEnd(home, [...book, "--steps", "150", "--name", "book"]);
  const addition = ["--layers", "1", "--width", "32", "--heads", "2", "--batch", "16"];
  await trainToEnd(home, [...addition, "--steps", "10", "--name", "sums"]);
}, 120_000);

const sample = (words: readonly string[]) =>
  runBinary(["sample", "book", "--prompt", "the old ", "--tokens", "60", ...words, "--json"], {
    home,
  });

const textOf = (stdout: string) => String(lastLine(stdout)["text"]);

describe("T-8 sample", () => {
  test("T-8 the same seed gives the same text, with any number of threads; another does not", async () => {
    const first = await sample(["--seed", "3"]);
    expect(first.status).toBe(0);
    expect(lastLine(first.stdout)).toMatchObject({ type: "sample", tokens: 60 });
    for (const threads of ["1", "2"])
      expect(textOf((await sample(["--seed", "3", "--threads", threads])).stdout)).toBe(
        textOf(first.stdout),
      );
    expect(textOf((await sample(["--seed", "4"])).stdout)).not.toBe(textOf(first.stdout));
  });

  test("T-8 temperature 0 does not ask the seed; topK 1 is the same", async () => {
    const texts = [];
    for (const words of [
      ["--temperature", "0", "--seed", "1"],
      ["--temperature", "0", "--seed", "2"],
      ["--top-k", "1", "--seed", "9"],
    ])
      texts.push(textOf((await sample(words)).stdout));
    expect(new Set(texts).size).toBe(1);
  });

  test("T-8 text comes token by token, and its pieces are the whole", async () => {
    const child = await startBinary(
      ["sample", "book", "--prompt", "the ", "--tokens", "50", "--json"],
      home,
    );
    const lines: Record<string, unknown>[] = [];
    for await (const line of liveLines(child.stdout)) lines.push(line);
    await child.exited;
    const pieces = lines.filter(({ type }) => type === "token");
    expect(pieces.length).toBeGreaterThanOrEqual(50);
    expect(pieces.map(({ text }) => text).join("")).toBe(String(lines.at(-1)?.["text"]));
  });

  test("T-8 shown to a person, stdout is the prompt and the text alone", async () => {
    const words = ["sample", "book", "--prompt", "the old ", "--tokens", "60", "--seed", "3"];
    const { stdout, status } = await runBinary(words, { home });
    const { stdout: asJson } = await sample(["--seed", "3"]);
    expect(status).toBe(0);
    expect(stdout).toBe(`the old ${textOf(asJson)}\n`);
  });

  test("T-8 a prompt longer than the context and one in other letters are answered", async () => {
    for (const prompt of ["the sea and the ship ".repeat(40), "海 λόγος 🚢", ""]) {
      const words = ["sample", "book", "--prompt", prompt, "--tokens", "5", "--json"];
      const { status, stdout } = await runBinary(words, { home });
      expect({ prompt, status, ...lastLine(stdout) }).toMatchObject({
        ...{ prompt, status: 0, type: "sample", tokens: 5 },
      });
    }
  });

  test.each([
    ["a run that is not there", ["sample", "nothing"], "run_not_found", 10],
    ["a step without checkpoint", ["sample", "book", "--step", "3"], "checkpoint_missing", 10],
    ["no tokens", ["sample", "book", "--tokens", "0"], "usage", 2],
    ["a negative temperature", ["sample", "book", "--temperature", "-1"], "usage", 2],
    ["a topP of 0", ["sample", "book", "--top-p", "0"], "usage", 2],
  ] as const)("T-8 %s is refused", async (_, words, code, status) => {
    const outcome = await runBinary([...words, "--json"], { home });
    expect({ status: outcome.status, code: lastLine(outcome.stdout)["code"] }).toEqual({
      ...{ status, code },
    });
  });
});

describe("T-8 chat", () => {
  test("T-8 answers each line of standard input and ends with it", async () => {
    const { status, stdout } = await runBinary(["chat", "sums", "--no-input", "--json"], {
      ...{ home, stdin: "1234+5678\n 7 + 25 =\n\nwhat?\n99999+1\n0+0" },
    });
    const answers = jsonLines(stdout).filter(({ type }) => type === "answer");
    expect(status).toBe(0);
    expect(answers).toMatchObject([
      { question: "1234+5678", expected: 6912 },
      { expected: 32 },
      { question: "0+0", expected: 0 },
    ]);
  });

  test("T-8 an untrained answer is called wrong, not hidden", async () => {
    const { stdout } = await runBinary(["chat", "sums", "--no-input"], {
      ...{ home, stdin: "1234+5678\n" },
    });
    expect(stdout).toMatch(/^(\d+|\(no number\)) +\(it is 6912\)\n$/);
  });

  test("T-8 chat with a book's model goes on from the line, the same each time", async () => {
    const once = () =>
      runBinary(["chat", "book", "--no-input", "--tokens", "20", "--json"], {
        ...{ home, stdin: "the old man\nthe sea\n" },
      });
    const [first, second] = [await once(), await once()];
    const texts = ({ stdout }: typeof first) =>
      jsonLines(stdout).flatMap(({ type, text }) => (type === "answer" ? [text] : []));
    expect(first.status).toBe(0);
    expect(texts(first).length).toBe(2);
    expect(texts(first)).toEqual(texts(second));
  });
});

describe("T-9 names of runs", () => {
  test("T-9 latest, a name, an id and a prefix mean the same run; an unclear one is refused", async () => {
    const { stdout } = await runBinary(["runs", "--json"], { home });
    const { runs } = lastLine(stdout) as { runs: { run: string; name: string }[] };
    const [sums, book] = runs;
    expect([sums!.name, book!.name]).toEqual(["sums", "book"]);
    for (const words of ["latest", "sums", "su", sums!.run, sums!.run.slice(0, 6)]) {
      const { stdout: shown } = await runBinary(["run", "status", words, "--json"], { home });
      expect({ words, ...lastLine(shown) }).toMatchObject({ words, run: sums!.run });
    }
    const none = await runBinary(["run", "status", "zzz", "--json"], { home });
    expect({ status: none.status, ...lastLine(none.stdout) }).toMatchObject({
      ...{ status: 10, code: "run_not_found" },
    });
  });
});
