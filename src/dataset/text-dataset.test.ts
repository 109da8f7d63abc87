import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { DatasetFixture, story, textOf, tokensOf } from "./dataset.fixture.ts";
import { decodeText } from "./tokenizer.ts";

const fixture = new DatasetFixture();

describe("T-5 batches", () => {
  const prepare = () => fixture.open([fixture.put("story.txt", story)]);

  test("T-5 targets are the inputs one token later", async () => {
    const dataset = await prepare();
    const all = tokensOf(dataset.train);
    const { tokens, targets, targetCount } = dataset
      .assign({ batchSize: 3, contextLength: 32, seed: 1 })
      .batch(5, 0);
    expect(targetCount).toBe(96);
    for (let row = 0; row < 3; row++) {
      expect([...targets.subarray(row * 32, row * 32 + 31)]).toEqual([
        ...tokens.subarray(row * 32 + 1, row * 32 + 32),
      ]);
      const text = decodeText(dataset.tokenizer, tokens.subarray(row * 32, row * 32 + 32));
      expect(decodeText(dataset.tokenizer, all)).toContain(text.replaceAll("\ufffd", ""));
    }
  });

  test("T-5 a batch is a pure function of seed, step and rank", async () => {
    const dataset = await prepare();
    for (const policy of ["epoch", "random-window"] as const) {
      const options = { batchSize: 4, contextLength: 16, seed: 11, worldSize: 2, policy };
      const running = dataset.assign(options);
      const seen = Array.from({ length: 50 }, (_, step) => running.batch(step, 1));
      expect(dataset.assign(options).batch(49, 1)).toEqual(seen[49]!);
      expect(dataset.assign({ ...options, seed: 12 }).batch(49, 1)).not.toEqual(seen[49]!);
    }
  });

  test("T-5 ranks take disjoint rows and together the rows of one", async () => {
    const dataset = await prepare();
    const alone = dataset.assign({ batchSize: 12, contextLength: 16, seed: 3 });
    const three = dataset.assign({ batchSize: 4, contextLength: 16, seed: 3, worldSize: 3 });
    for (const step of [0, 1, 40]) {
      const together = [0, 1, 2].flatMap((rank) => [...three.batch(step, rank).tokens]);
      expect(together).toEqual([...alone.batch(step, 0).tokens]);
    }
    expect(three.position(40)).toEqual(alone.position(40));
    const { samplesPerEpoch } = alone.position(0);
    expect(alone.position(samplesPerEpoch!)).toMatchObject({ epoch: 12, sampleInEpoch: 0 });
  });

  test("T-5 validation covers the held-out tokens once and in order", async () => {
    const dataset = await prepare();
    const { validation } = dataset.assign({ batchSize: 5, contextLength: 24, seed: 3 });
    const covered: number[] = [];
    let targetCount = 0;
    for (let index = 0; index < validation.batchCount; index++) {
      const batch = validation.batch(index);
      targetCount += batch.targetCount;
      covered.push(...[...batch.targets].filter((target) => target >= 0));
    }
    expect(covered).toEqual([...tokensOf(dataset.heldOut)].slice(1));
    expect(validation.targetCount).toBe(targetCount);
    expect(validation.targetBytes).toBe(dataset.counts.validation.bytes - 1);
    const capped = dataset.assign({
      batchSize: 5,
      contextLength: 24,
      seed: 3,
      validationRowMaximum: 7,
    }).validation;
    expect([capped.rowCount, capped.batchCount, capped.targetCount]).toEqual([7, 2, 7 * 24]);
    expect(capped.batch(1).targetCount).toBe(2 * 24);
  });

  test("T-5 too little text for a context is refused, saying how much is needed", async () => {
    const dataset = await fixture.open([fixture.put("t.txt", "x".repeat(1280))]);
    expect(() => dataset.assign({ batchSize: 1, contextLength: 128, seed: 0 })).toThrow(
      expect.objectContaining({
        code: "data_too_small",
        hint: expect.stringContaining("at most 127"),
        details: { side: "held-out", tokens: 128, needed: 129, contextLength: 128 },
      }),
    );
    expect(dataset.assign({ batchSize: 1, contextLength: 127, seed: 0 }).validation.rowCount).toBe(
      1,
    );
    const tiny = await fixture.open([fixture.put("t.txt", "x")]);
    expect(() => tiny.assign({ batchSize: 1, contextLength: 1, seed: 0 })).toThrow(
      expect.objectContaining({ code: "data_too_small" }),
    );
  });

  const shakespeare = "../shared/data/shakespeare.txt";
  test.skipIf(!existsSync(shakespeare))(
    "T-5 a whole book (skipped where it does not exist)",
    async () => {
      const dataset = await fixture.open([shakespeare], { tokenizer: { kind: "char" } });
      expect(dataset.vocabularySize).toBe(65);
      expect([dataset.train.length, dataset.heldOut.length]).toEqual([1_003_854, 111_540]);
      const bpe = await fixture.open([shakespeare], {
        tokenizer: { kind: "bpe", vocabularySize: 1024, split: "gpt-2" },
      });
      expect(bpe.vocabularySize).toBe(1024);
      expect(textOf(bpe, bpe.heldOut)).toBe(textOf(dataset, dataset.heldOut));
    },
  );
});
