import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { machineDisk as disk } from "#src/node/disk.ts";
import { DatasetFixture, rejectionOf, story, textOf } from "./dataset.fixture.ts";
import { MANIFEST_NAME } from "./manifest.ts";
import { reopen, reopenDataset } from "./open.ts";
import { decodeText } from "./tokenizer.ts";

const fixture = new DatasetFixture();

describe("T-5 prepared datasets", () => {
  test("T-5 preparing twice gives the same bytes anywhere, and a prepared directory is reused", async () => {
    for (const tokenizer of [
      { kind: "char" },
      { kind: "bpe", vocabularySize: 320, split: "qwen2" },
    ] as const) {
      const path = fixture.put("story.txt", story);
      const one = await fixture.open([path], { tokenizer });
      const two = await fixture.open([fixture.put("story.txt", story)], { tokenizer });
      expect(two.manifest).toEqual(one.manifest);
      const directory = one.reference.task === "text" ? one.reference.directory : "";
      let writes = 0;
      const counting: typeof disk = { ...disk, create: (at) => (writes++, disk.create(at)) };
      const again = await fixture.open([path], { tokenizer, directory, disk: counting });
      expect(writes).toBe(0);
      expect(again.manifestDigest).toBe(one.manifestDigest);
      const other = await fixture.open([path], {
        tokenizer: { kind: "byte" },
        directory,
        disk: counting,
      });
      expect(writes).toBe(2);
      expect(other.manifestDigest).not.toBe(one.manifestDigest);
    }
  });

  test("T-5 what others prepared is not taken for what the sources at hand give, and not written over", async () => {
    const path = fixture.put("story.txt", story);
    const honest = await fixture.open([path]);
    const theirs = await fixture.open([fixture.put("other.txt", story.toUpperCase())]);
    const placeOf = ({ reference }: typeof honest) =>
      reference.task === "text" ? reference.directory : "";
    const file = join(placeOf(theirs), MANIFEST_NAME);
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    const forged = JSON.stringify({ ...manifest, recipe: honest.manifest.recipe });
    writeFileSync(file, forged);
    const link = `${placeOf(theirs)}-link`;
    symlinkSync(placeOf(theirs), link);
    const opened = await fixture.open([path], { directory: link });
    expect(opened.manifestDigest).toBe(honest.manifestDigest);
    expect(readFileSync(file, "utf8")).toBe(forged);
  });

  test("T-5 every tokenizer survives reopening with the same batches", async () => {
    const bpe = { kind: "bpe", vocabularySize: 300, split: "llama-bpe" } as const;
    const made = await fixture.open([fixture.put("story.txt", story)], { tokenizer: bpe });
    const file = fixture.put("tokenizer.json", made.tokenizer.files()[0]!.content);
    for (const tokenizer of [
      { kind: "byte" },
      { kind: "char" },
      bpe,
      { kind: "loaded", file },
    ] as const) {
      const dataset = await fixture.open([fixture.put("story.txt", story)], { tokenizer });
      const again = await reopenDataset(dataset.reference, disk);
      const options = { batchSize: 4, contextLength: 16, seed: 9 };
      expect(again.manifestDigest).toBe(dataset.manifestDigest);
      expect(again.tokenizer.digest).toBe(dataset.tokenizer.digest);
      expect(again.assign(options).batch(12, 0)).toEqual(dataset.assign(options).batch(12, 0));
      expect(textOf(dataset, dataset.train) + textOf(dataset, dataset.heldOut)).toBe(story);
    }
  });

  test("T-5 BPE learns from the training part alone", async () => {
    const text = `${"train words here ".repeat(500)}${"zqxzqx".repeat(150)}`;
    const dataset = await fixture.open([fixture.put("t.txt", text)], {
      tokenizer: { kind: "bpe", vocabularySize: 400, split: "gpt-2" },
      validationPerMille: 150,
    });
    const words = Array.from({ length: dataset.vocabularySize }, (_, token) =>
      decodeText(dataset.tokenizer, [token]),
    );
    expect(words).toContain(" train");
    expect(words.some((word) => word.includes("zq"))).toBe(false);
  });

  test("T-5 damage of any prepared file is named at reopening and repaired from the sources", async () => {
    const path = fixture.put("story.txt", story);
    const tokenizer = { kind: "bpe", vocabularySize: 300, split: "gpt-2" } as const;
    const whole = await fixture.open([path], { tokenizer });
    const directory = whole.reference.task === "text" ? whole.reference.directory : "";
    for (const name of ["manifest.json", "train.tokens", "validation.tokens", "tokenizer.json"]) {
      const file = join(directory, name);
      const bytes = new Uint8Array(readFileSync(file));
      const flipped = bytes.slice();
      // The middle of tokenizer.json lies in its vocabulary or merges.
      flipped[bytes.length >> 1]! ^= 1;
      for (const damage of [flipped, bytes.subarray(0, bytes.length - 3), new Uint8Array(0)]) {
        writeFileSync(file, damage);
        expect(await rejectionOf(reopen(directory, disk))).toMatchObject({
          code: "dataset_damaged",
          details: { file },
        });
      }
      const repaired = await fixture.open([path], { tokenizer, directory });
      expect(repaired.manifestDigest).toBe(whole.manifestDigest);
    }
    rmSync(join(directory, "manifest.json"));
    expect(await rejectionOf(reopen(directory, disk))).toMatchObject({ code: "not_found" });
  });

  test("T-5 a preparation that was killed half-way is begun anew", async () => {
    const directory = join(fixture.root, "killed");
    mkdirSync(directory);
    writeFileSync(join(directory, "train.tokens.partial"), "rubbish");
    const dataset = await fixture.open([fixture.put("story.txt", story)], { directory });
    expect(dataset.train.length).toBe(dataset.counts.train.tokens);
    expect(existsSync(join(directory, "train.tokens.partial"))).toBe(false);
  });
});
