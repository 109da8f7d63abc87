import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { DatasetFixture, documentsOf, jsonl, story, textOf, tokensOf } from "./dataset.fixture.ts";

const fixture = new DatasetFixture();

describe("T-5 splits", () => {
  test("T-5 one text is cut by position: the last tenth is held out, at a character", async () => {
    const dataset = await fixture.open([fixture.put("story.txt", story)]);
    const bytes = new TextEncoder().encode(story).length;
    expect(textOf(dataset, dataset.train) + textOf(dataset, dataset.heldOut)).toBe(story);
    expect(dataset.counts.train.bytes).toBeWithin(
      Math.floor(bytes * 0.9) - 3,
      Math.floor(bytes * 0.9) + 1,
    );
    expect(dataset.manifest.split.policy).toBe("position");
    expect(dataset.vocabularySize).toBe(256);
    expect(dataset.counts.train).toMatchObject({ documents: 1, tokens: dataset.train.length });
  });

  test("T-5 wherever the cut falls, no character is broken and nothing is lost", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom("a", "é", "中", "😀"), minLength: 4, maxLength: 40 }),
        fc.integer({ min: 1, max: 500 }),
        async (text, validationPerMille) => {
          const dataset = await fixture.open([fixture.put("t.txt", text)], { validationPerMille });
          const parts = [textOf(dataset, dataset.train), textOf(dataset, dataset.heldOut)];
          expect(parts.join("")).toBe(text);
          expect(parts.every((part) => !part.includes("\ufffd"))).toBe(true);
        },
      ),
      { numRuns: 15 },
    );
  });

  test("T-5 many documents are split whole, equal ones together, and never leak", async () => {
    const texts = Array.from(
      { length: 300 },
      (_, index) => `<${index}> ${"word ".repeat(index % 7)}`,
    );
    const dataset = await fixture.open([fixture.put("docs.jsonl", jsonl([...texts, ...texts]))]);
    const sides = [dataset.train, dataset.heldOut].map((side) => documentsOf(dataset, side));
    const [train, heldOut] = sides as [string[], string[]];
    expect(dataset.manifest.split.policy).toBe("document");
    expect([...train, ...heldOut].toSorted()).toEqual([...texts, ...texts].toSorted());
    expect(train.filter((document) => heldOut.includes(document))).toEqual([]);
    expect(heldOut.length).toBeWithin(30, 100);
    expect(dataset.counts.validation.documents).toBe(heldOut.length);
    expect(dataset.vocabularySize).toBe(257);
  });

  test("T-5 a document's side does not depend on the others and another seed splits otherwise", async () => {
    const texts = Array.from({ length: 200 }, (_, index) => `document ${index}`);
    const all = await fixture.open([fixture.put("a.jsonl", jsonl(texts))]);
    const half = await fixture.open([fixture.put("b.jsonl", jsonl(texts.slice(0, 100)))]);
    const other = await fixture.open([fixture.put("a.jsonl", jsonl(texts))], {
      splitSeed: 2 ** 40,
    });
    const heldOut = documentsOf(all, all.heldOut);
    const early = heldOut.filter((text) => Number(text.split(" ")[1]) < 100);
    expect(documentsOf(half, half.heldOut)).toEqual(early);
    expect(documentsOf(other, other.heldOut)).not.toEqual(heldOut);
  });

  test("T-5 few documents are each cut by position", async () => {
    const dataset = await fixture.open([
      fixture.put("a.txt", "a".repeat(100)),
      fixture.put("b.txt", "b".repeat(50)),
    ]);
    expect(documentsOf(dataset, dataset.train)).toEqual(["a".repeat(90), "b".repeat(45)]);
    expect(documentsOf(dataset, dataset.heldOut)).toEqual(["a".repeat(10), "b".repeat(5)]);
  });

  test("T-5 no training window contains held-out text", async () => {
    const texts = Array.from({ length: 60 }, (_, index) =>
      String.fromCharCode(0x4e00 + index).repeat(20),
    );
    const dataset = await fixture.open([fixture.put("docs.jsonl", jsonl(texts))], {
      tokenizer: { kind: "char" },
    });
    const secret = new Set(tokensOf(dataset.heldOut));
    secret.delete(dataset.tokenizer.endOfText!);
    expect(secret.size).toBeGreaterThan(0);
    for (const policy of ["epoch", "random-window"] as const) {
      const assignment = dataset.assign({ batchSize: 8, contextLength: 8, seed: 1, policy });
      for (let step = 0; step < 60; step++) {
        const { tokens, targets } = assignment.batch(step, 0);
        expect([...tokens, ...targets].some((token) => secret.has(token))).toBe(false);
      }
    }
  });
});
