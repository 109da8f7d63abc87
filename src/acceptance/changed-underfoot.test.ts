import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, cpSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runBinary, startBinary, TemporaryFolder } from "./binary.ts";
import { lastLine, liveLines, slowModel, trainToEnd, writeBook } from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const book = writeBook(folder);
const words = [
  ...[book, ...slowModel, "--vocabulary", "300"],
  ...["--steps", "60", "--checkpoint-every", "10"],
];
/** A home with an interrupted run called `book`; tests change copies of it. */
const home = folder.file("home");

beforeAll(async () => {
  const parent = await startBinary(["train", ...words, "--json", "--no-input"], home);
  for await (const line of liveLines(parent.stdout))
    if (line["type"] === "checkpoint" && line["step"] === 20) parent.kill("SIGINT");
  await parent.exited;
  expect(parent.exitCode).toBe(130);
}, 120_000);

let copies = 0;

function copied(change: (home: string) => void): string {
  const copy = folder.file(`copy-${++copies}`);
  cpSync(home, copy, { recursive: true });
  change(copy);
  return copy;
}

async function refusalOf(words: readonly string[], where: string) {
  const { status, stdout } = await runBinary([...words, "--json", "--no-input"], { home: where });
  return { status, ...lastLine(stdout) } as Record<string, unknown>;
}

describe("I-3 a home that moves", () => {
  test("I-3 goes on, replays, samples and exports from its new place", async () => {
    const old = folder.file("old-place");
    const { digest } = await trainToEnd(old, [...words, "--name", "done"]);
    const moved = folder.file("a new place/ü");
    renameSync(old, moved);
    const replayed = await runBinary(["replay", "done", "--json"], { home: moved });
    expect(lastLine(replayed.stdout)).toMatchObject({ type: "replayed-all", digest });
    for (const words of [
      ["sample", "done"],
      ["export", "done", "--out", folder.file("export")],
    ])
      expect((await runBinary(words, { home: moved })).status).toBe(0);
  });

  test("I-3 the same words in two homes are runs of the same digest", async () => {
    const digests = ["one", "two/deeper"].map(async (name) => {
      const where = folder.file(name);
      await trainToEnd(where, [book, ...slowModel, "--steps", "3"]);
      using database = new Database(join(where, "node.db"), { readonly: true });
      return (database.query("SELECT digest FROM run").get() as { digest: string }).digest;
    });
    expect(new Set(await Promise.all(digests)).size).toBe(1);
  });
});

describe("T-6 what a run was made from changes under its feet", () => {
  test("T-6 other text, other sizes: resuming is refused by name; as it was it goes on", async () => {
    const undisturbed = await trainToEnd(folder.file("undisturbed"), words);
    const copy = copied(() => {});
    const other = writeBook(folder, 401, "elsewhere/book.txt");
    expect(await refusalOf(["train", other, "--resume", "book"], copy)).toMatchObject({
      ...{ status: 14, code: "run_changed", details: { file: expect.stringContaining(other) } },
    });
    for (const option of [
      ["--width", "32"],
      ["--seed", "9"],
      ["--learning-rate", "1"],
    ])
      expect(await refusalOf(["train", "--resume", "book", ...option], copy)).toMatchObject({
        ...{ status: 14, code: "run_changed", message: expect.stringContaining(option[0]!) },
      });
    const done = await trainToEnd(copy, [book, "--resume", "book"]);
    expect(done.digest).toBe(undisturbed.digest);
    expect(await refusalOf(["train", "--resume", "book"], copy)).toMatchObject({
      ...{ status: 14, code: "run_finished" },
    });
  });

  test.each([["train.tokens"], ["tokenizer.json"], ["manifest.json"]])(
    "T-5 a prepared dataset whose %s was changed is refused by train and replay",
    async (name) => {
      const copy = copied((where) => {
        const [dataset] = readdirSync(join(where, "datasets"));
        const path = join(where, "datasets", dataset!, name);
        const bytes = readFileSync(path);
        bytes[Math.floor(bytes.length / 2)]! ^= 1;
        writeFileSync(path, bytes);
      });
      for (const words of [
        ["train", "--resume", "book"],
        ["replay", "book"],
      ]) {
        const refusal = await refusalOf(words, copy);
        expect({ words, ...refusal }).toMatchObject({ words, type: "refusal" });
        expect(["dataset_damaged", "tokenizer_invalid", "run_changed"]).toContain(
          String(refusal["code"]),
        );
        expect([13, 14]).toContain(Number(refusal["status"]));
      }
    },
  );

  test("I-1 a damaged node database is refused, not taken for an empty one", async () => {
    const garbage = Uint8Array.from({ length: 20_000 }, (_, index) => (index * 131) % 251);
    for (const content of [garbage, readFileSync(join(home, "node.db")).subarray(0, 5_000)]) {
      const copy = copied((where) => {
        writeFileSync(join(where, "node.db"), content);
        for (const suffix of ["-wal", "-shm"])
          rmSync(join(where, `node.db${suffix}`), { force: true });
      });
      for (const words of [["runs"], ["train", book]])
        expect(await refusalOf(words, copy)).toMatchObject({
          ...{ status: 14, code: "store_corrupt" },
        });
      expect(readdirSync(join(copy, "runs")).length).toBe(1);
    }
  });

  test("T-5 text that grows after a run began does not reach into the run", async () => {
    const copy = copied(() => {});
    const growing = writeBook(folder, 400, "growing/book.txt");
    const first = await trainToEnd(copy, [growing, ...words.slice(1), "--name", "first"]);
    appendFileSync(growing, "one more line of another kind entirely\n");
    const { status, stdout } = await runBinary(["replay", "first", "--json"], { home: copy });
    expect({ status, ...lastLine(stdout) }).toMatchObject({ status: 0, digest: first.digest });
  });
});
