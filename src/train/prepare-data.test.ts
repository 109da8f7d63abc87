import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpeTokenizer } from "#src/dataset/bpe-tokenizer.ts";
import { reopenDataset } from "#src/dataset/open.ts";
import { machineDisk as disk } from "#src/node/disk.ts";
import { openData } from "./prepare-data.ts";

const root = mkdtempSync(join(tmpdir(), "psionic-data-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const text = join(root, "book.txt");
writeFileSync(text, "some words, and more words. ".repeat(200));
const datasets = join(root, "datasets");

test("T-5 text is prepared once per content and tokenizer", async () => {
  const open = () =>
    openData({ files: [text], tokenizer: "char", resume: false }, disk, datasets, () => {});
  const one = await open();
  expect((await open()).reference).toEqual(one.reference);
  writeFileSync(text, "other words, and fewer. ".repeat(200));
  const other = await open();
  expect(other.reference).not.toEqual(one.reference);
  expect((await reopenDataset(one.reference, disk)).manifestDigest).toBe(one.manifestDigest);
});

test("T-5 another tokenizer_config.json makes another dataset and leaves an old run's as it was", async () => {
  const place = join(root, "tokenizer");
  mkdirSync(place);
  writeFileSync(join(place, "tokenizer.json"), new BpeTokenizer("gpt-2", []).files()[0]!.content);
  const open = (configuration: object) => {
    writeFileSync(join(place, "tokenizer_config.json"), JSON.stringify(configuration));
    const tokenizer = join(place, "tokenizer.json");
    return openData({ files: [text], tokenizer, resume: false }, disk, datasets, () => {});
  };
  const one = await open({ model_max_length: 10 });
  const other = await open({ model_max_length: 20 });
  expect(other.reference).not.toEqual(one.reference);
  expect((await reopenDataset(one.reference, disk)).manifestDigest).toBe(one.manifestDigest);
});
