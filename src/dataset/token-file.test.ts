import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { machineDisk as disk } from "#src/node/disk.ts";
import { DatasetFixture, rejectionOf } from "./dataset.fixture.ts";
import { readDocuments } from "./document.ts";
import { readTextPieces } from "./text-file.ts";
import { readTokenFile, tokenBytesFor, TokenFileWriter } from "./token-file.ts";

const fixture = new DatasetFixture();

describe("T-5 token files", () => {
  test("T-5 tokens are two bytes up to 65,536 of vocabulary and four above", async () => {
    expect([65_536, 65_537].map(tokenBytesFor)).toEqual([2, 4]);
    for (const [tokenBytes, highest] of [
      [2, 65_535],
      [4, 2 ** 21],
    ] as const) {
      const path = join(fixture.root, `switch${tokenBytes}`);
      const writer = await TokenFileWriter.create(disk, path, tokenBytes);
      await writer.add([0, 1, highest]);
      const sha256 = await writer.finish();
      const read = await readTokenFile(disk, path, { tokens: 3, sha256 }, tokenBytes);
      const out = new Int32Array(3);
      read.copy(0, 3, out, 0);
      expect([...out]).toEqual([0, 1, highest]);
    }
  });

  test("T-5 tokens read back across block and buffer borders", async () => {
    const path = join(fixture.root, "blocks");
    const tokens = Array.from({ length: 600_000 }, (_, index) => (index * 7919) % 65_536);
    const writer = await TokenFileWriter.create(disk, path, 2);
    await writer.add(tokens.slice(0, 1000));
    await writer.add(tokens.slice(1000));
    const expected = { tokens: tokens.length, sha256: await writer.finish() };
    const read = await readTokenFile(disk, path, expected, 2, 1024);
    fc.assert(
      fc.property(fc.nat(590_000), fc.nat(5000), (start, count) => {
        const out = new Int32Array(count + 1);
        read.copy(start, count, out, 1);
        expect([...out.subarray(1)]).toEqual(tokens.slice(start, start + count));
      }),
    );
  });
});

describe("T-5 reading in chunks", () => {
  const anyText = fc.string({
    unit: fc.constantFrom("a", "\n", "\r", "é", "中", "😀", "\ufeff"),
    maxLength: 60,
  });

  test("T-5 text arrives whole whatever the size of the chunks", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, fc.integer({ min: 1, max: 9 }), async (text, chunkBytes) => {
        const path = join(fixture.root, "chunks.txt");
        writeFileSync(path, text);
        let read = "";
        for await (const piece of readTextPieces(
          disk,
          { path, name: "chunks.txt" },
          { chunkBytes },
        )) {
          read += new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(piece);
        }
        expect(read).toBe(text.replace(/^\ufeff/, ""));
      }),
    );
  });

  test("T-5 records arrive whole whatever the size of the chunks", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyText, { maxLength: 6 }),
        fc.integer({ min: 1, max: 9 }),
        async (texts, chunkBytes) => {
          const path = join(fixture.root, "chunks.jsonl");
          writeFileSync(path, texts.map((text) => JSON.stringify({ text })).join("\r\n"));
          const source = { path, name: "chunks.jsonl", format: "jsonl", sizeBytes: 0 } as const;
          const read: string[] = [];
          for await (const { bytes } of readDocuments(disk, source, {
            textField: "text",
            chunkBytes,
          })) {
            read.push(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
          }
          expect(read).toEqual(texts.filter((text) => text !== ""));
        },
      ),
    );
  });

  test("T-5 invalid bytes are found at their place whatever the size of the chunks", async () => {
    const bad = fc.constantFrom(
      [0xff],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf5, 0x80],
      [0x80],
      [0xe4, 0xb8, 0x41],
      [0xf4, 0x90, 0x80, 0x80],
    );
    await fc.assert(
      fc.asyncProperty(
        anyText,
        bad,
        fc.integer({ min: 1, max: 9 }),
        async (text, bytes, chunkBytes) => {
          const path = join(fixture.root, "bad.txt");
          const before = new TextEncoder().encode(text);
          writeFileSync(path, Uint8Array.of(...before, ...bytes, 97));
          const drain = async () => {
            for await (const _ of readTextPieces(disk, { path, name: "bad.txt" }, { chunkBytes }));
          };
          expect(await rejectionOf(drain())).toMatchObject({
            code: "data_not_utf8",
            details: { offset: before.length, line: text.split("\n").length },
          });
        },
      ),
    );
  });
});
