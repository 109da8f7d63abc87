import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { machineDisk as disk } from "#src/node/disk.ts";
import type { Disk } from "#src/port/disk.ts";
import {
  DatasetFixture,
  documentsOf,
  jsonl,
  rejectionOf,
  story,
  textOf,
} from "./dataset.fixture.ts";
import { listSources } from "./source.ts";

const fixture = new DatasetFixture();

describe("T-5 sources", () => {
  test("T-5 directories are read in the order of their names, with hidden and other files left out", async () => {
    const root = join(fixture.put("corpus/b.txt", "bbbb"), "..");
    mkdirSync(join(root, "a"));
    mkdirSync(join(root, ".git"));
    writeFileSync(join(root, "a", "x.md"), "xxxx");
    writeFileSync(
      join(root, "a", "records.jsonl"),
      '{"text":"r1"}\n\n{"text":""}\r\n{"text":"r2"}',
    );
    writeFileSync(join(root, "a", "picture.png"), Uint8Array.of(0, 1, 2));
    writeFileSync(join(root, ".git", "c.txt"), "hidden");
    writeFileSync(join(root, "empty.txt"), "");
    const dataset = await fixture.open([root], { validationPerMille: 1 });
    expect(dataset.manifest.sources.map(({ name, documents }) => [name, documents])).toEqual([
      ["corpus/a/records.jsonl", 2],
      ["corpus/a/x.md", 1],
      ["corpus/b.txt", 1],
    ]);
    expect(textOf(dataset, dataset.train)).toBe("rrxxxbbb");
    expect(textOf(dataset, dataset.heldOut)).toBe("12xb");
  });

  test("T-5 a byte order mark is no text, and line ends are kept", async () => {
    const dataset = await fixture.open([fixture.put("t.txt", "\ufeffone\r\ntwo\r\nthree")]);
    expect(textOf(dataset, dataset.train) + textOf(dataset, dataset.heldOut)).toBe(
      "one\r\ntwo\r\nthree",
    );
    const records = await fixture.open([
      fixture.put("t.jsonl", `\ufeff${jsonl(["one", "two"])}\r\n`),
    ]);
    expect(documentsOf(records, records.train)).toEqual(["on", "tw"]);
  });

  test("T-5 a link that leads nowhere is left out; one that leads back up is refused and named", async () => {
    const root = join(fixture.put("corpus/a.txt", "a".repeat(100)), "..");
    symlinkSync("loop", join(root, "loop"));
    symlinkSync("absent", join(root, "broken.txt"));
    expect((await fixture.open([root])).manifest.sources.map(({ name }) => name)).toEqual([
      "corpus/a.txt",
    ]);
    symlinkSync("..", join(root, "up"));
    expect(await rejectionOf(fixture.open([root]))).toMatchObject({
      code: "usage",
      hint: expect.stringContaining("link that leads back") as string,
    });
  });

  test("T-5 a pipe or a device is refused for what it is", async () => {
    expect(await rejectionOf(fixture.open(["/dev/null"]))).toMatchObject({ code: "not_a_file" });
  });

  test("T-5 a directory of very many files is listed or refused, and never overflows the stack", async () => {
    const entry = { kind: "file", sizeBytes: 1, modifiedMs: 0, mode: 0 } as const;
    const directory = { ...entry, name: "many", kind: "directory" } as const;
    const many = (count: number): Disk => ({
      ...disk,
      stat: async () => directory,
      list: async () =>
        Array.from({ length: count }, (_, name) => ({ ...entry, name: `${name}.md` })),
    });
    expect(await listSources(many(900_000), ["/many"])).toHaveLength(900_000);
    expect(await rejectionOf(listSources(many(1_000_001), ["/many"]))).toMatchObject({
      code: "usage",
    });
  });

  test("T-5 the text field has a name of your choice", async () => {
    const path = fixture.put("t.jsonl", '{"content":"hello hello"}');
    const dataset = await fixture.open([path], { textField: "content" });
    expect(textOf(dataset, dataset.train)).toBe("hello hel");
    expect(await rejectionOf(fixture.open([path]))).toMatchObject({
      code: "data_jsonl_invalid",
      details: { line: 1 },
    });
  });

  const good = '{"text":"fine"}\n';
  const hostile: [string, string, string | Uint8Array, object][] = [
    ["an empty file", "t.txt", "", { code: "data_empty" }],
    ["a JSONL file of empty texts", "t.jsonl", '{"text":""}\n\n', { code: "data_empty" }],
    [
      "a NUL byte",
      "t.txt",
      "one\ntwo\u0000",
      { code: "data_binary", details: { line: 2, offset: 7 } },
    ],
    [
      "UTF-16",
      "t.txt",
      new Uint8Array(Buffer.from("\ufeffhello", "utf16le")),
      { code: "data_binary", hint: expect.stringContaining("iconv") as string },
    ],
    [
      "control bytes",
      "t.txt",
      new Uint8Array(1000).fill(1),
      { code: "data_binary", details: { offset: 0 } },
    ],
    [
      "Latin-1",
      "t.txt",
      new Uint8Array(Buffer.from("line\ncaf\xe9 au lait", "latin1")),
      { code: "data_not_utf8", details: { offset: 8, line: 2 } },
    ],
    [
      "a cut character at the end",
      "t.txt",
      Uint8Array.of(97, 10, 0xf0, 0x9f),
      { code: "data_not_utf8", details: { offset: 2, line: 2 } },
    ],
    [
      "an encoded surrogate",
      "t.txt",
      Uint8Array.of(97, 0xed, 0xa0, 0x80, 97),
      { code: "data_not_utf8", details: { offset: 1 } },
    ],
    [
      "a bad record",
      "t.jsonl",
      `${good}\n{"text":}\n${good}`,
      { code: "data_jsonl_invalid", details: { line: 3 } },
    ],
    [
      "a record that is no object",
      "t.jsonl",
      `${good}["text"]\n`,
      { code: "data_jsonl_invalid", details: { line: 2 } },
    ],
    [
      "a text that is no text",
      "t.jsonl",
      '{"text":5}',
      { code: "data_jsonl_invalid", details: { line: 1 } },
    ],
    [
      "half a surrogate pair",
      "t.jsonl",
      '{"text":"\\ud800"}',
      { code: "data_jsonl_invalid", details: { line: 1 } },
    ],
  ];
  for (const [what, name, content, expected] of hostile) {
    test(`T-5 ${what} is refused naming file and line`, async () => {
      const path = fixture.put(name, content);
      expect(await rejectionOf(fixture.open([path]))).toMatchObject({
        ...expected,
        message: expect.stringContaining(name),
      });
    });
  }

  test("T-5 a truncated JSONL is refused naming file and line", async () => {
    expect(
      await rejectionOf(fixture.open([fixture.put("cut.jsonl", `${good}${good}{"text":"unfinis`)])),
    ).toMatchObject({
      code: "data_jsonl_invalid",
      message: expect.stringMatching(/cut\.jsonl: line 3 is cut off/),
      details: { file: "cut.jsonl", line: 3 },
    });
  });

  test("T-5 missing files, empty directories and no files are refused", async () => {
    expect(await rejectionOf(fixture.open([join(fixture.root, "nowhere")]))).toMatchObject({
      code: "not_found",
    });
    const empty = join(fixture.root, "empty");
    mkdirSync(empty);
    expect(await rejectionOf(fixture.open([empty]))).toMatchObject({ code: "data_empty" });
    expect(await rejectionOf(fixture.open([]))).toMatchObject({ code: "data_empty" });
  });

  test("T-5 a file that changes between passes is refused", async () => {
    const path = fixture.put("t.txt", story);
    let passes = 0;
    const changing: typeof disk = {
      ...disk,
      readRange: async (at, offset, length) => {
        if (at === path && offset === 0 && ++passes === 3)
          writeFileSync(path, story.replace("fox", "cat"));
        return disk.readRange(at, offset, length);
      },
    };
    expect(await rejectionOf(fixture.open([path], { disk: changing }))).toMatchObject({
      code: "data_changed",
    });
  });
});
