import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Refusal } from "#src/refusal/refusal.ts";
import { BpeTokenizer } from "./bpe-tokenizer.ts";
import { trainMerges, WordCounts } from "./bpe-training.ts";
import { ByteTokenizer } from "./byte-tokenizer.ts";
import { CharTokenizer } from "./char-tokenizer.ts";
import { LoadedTokenizer } from "./loaded-tokenizer.ts";
import { mergeByHeap, mergeByScanning, mergeTable } from "./merge-word.ts";
import { lastSafeCut, splitNames, splitWords, type SplitName } from "./pre-tokenizer.ts";
import { Segments } from "./segment.ts";
import { decodeText, END_OF_TEXT, TextStream, type Tokenizer } from "./tokenizer.ts";

const awkward = [
  "",
  " ",
  "hello  world\t\ttab\n\n\nend   ",
  "mixed\r\nnewlines\rand\n\r\nmore\r\n\r\n  x",
  "It's I'll WE'VE you'Re they'd 'ſ 'S don't",
  "1234567890 3.14159 १२३ Ⅷ ½ 12a34",
  "日本語のテキスト、中文字符。한국어 ไทย",
  "😀👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 é é ﷽ ǆ",
  "\u0085next\u00a0nbsp\u2028line\ufeffbom\u3000wide\u200bzero",
  '{"a":[1,2,{"b":null}]} // comment !!!???\n}}}\n\n',
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "\u0000\u0001\u007f\u001b[0m",
];

const trainingText = [
  ...awkward,
  "the cat sat on the mat. The dog's 1234 dogs don't. ".repeat(20),
  ...awkward,
].join(" ");

function trained(split: SplitName, vocabularySize = 400): BpeTokenizer {
  const words = new WordCounts(split);
  words.add(trainingText);
  return new BpeTokenizer(split, trainMerges(words, vocabularySize));
}

function library(tokenizer: Tokenizer): LibraryTokenizer {
  const [model, configuration] = tokenizer.files();
  return new LibraryTokenizer(JSON.parse(model!.content), JSON.parse(configuration!.content));
}

/** Any well-formed text, rich in the characters that decide where words are cut. */
const anyText = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
  fc
    .array(
      fc.constantFrom(
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "a",
        "The",
        "'s",
        "'LL",
        "1",
        "23",
        "!",
        "é",
        "😀",
        "中",
        "\u0085",
        "\ufeff",
      ),
      { maxLength: 40 },
    )
    .map((parts) => parts.join("")),
);

describe("T-5 BPE", () => {
  for (const split of splitNames) {
    const tokenizer = trained(split);
    const peer = library(tokenizer);

    test(`T-5 ${split}: the saved tokenizer.json encodes awkward text exactly as ours`, () => {
      for (const text of [...awkward, trainingText]) {
        expect([...tokenizer.encode(text)]).toEqual(
          peer.encode(text, { add_special_tokens: false }).ids,
        );
      }
    });

    test(`T-5 ${split}: any text encodes as in the library and decodes to itself`, () => {
      fc.assert(
        fc.property(anyText, (text) => {
          const tokens = tokenizer.encode(text);
          expect(decodeText(tokenizer, tokens)).toBe(text);
          if (!text.includes(END_OF_TEXT)) {
            expect([...tokens]).toEqual(peer.encode(text, { add_special_tokens: false }).ids);
          }
        }),
      );
    });

    test(`T-5 ${split}: words of the parts at a safe cut are the words of the whole`, () => {
      fc.assert(
        fc.property(anyText, (text) => {
          const cut = lastSafeCut(text);
          const parts = [
            ...splitWords(split, text.slice(0, cut)),
            ...splitWords(split, text.slice(cut)),
          ];
          expect(parts).toEqual([...splitWords(split, text)]);
          expect(parts.join("")).toBe(text);
        }),
      );
    });

    test(`T-5 ${split}: loading the saved file gives the same tokens`, () => {
      const [model, configuration] = tokenizer.files();
      const loaded = new LoadedTokenizer(model!.content, configuration!.content);
      expect(loaded.vocabularySize).toBe(tokenizer.vocabularySize);
      expect(loaded.endOfText).toBe(tokenizer.endOfText);
      for (const text of [...awkward, trainingText]) {
        expect([...loaded.encode(text)]).toEqual([...tokenizer.encode(text)]);
        expect(decodeText(loaded, loaded.encode(text))).toBe(text);
      }
      const marked = `one${END_OF_TEXT}two`;
      expect([...loaded.encode(marked, { specialTokens: true })]).toEqual([
        ...tokenizer.encode(marked, { specialTokens: true }),
      ]);
      expect([...tokenizer.encode(marked, { specialTokens: true })]).toContain(tokenizer.endOfText);
      expect([...tokenizer.encode(marked)]).not.toContain(tokenizer.endOfText);
      expect([...loaded.encode(marked)]).not.toContain(tokenizer.endOfText);
    });
  }

  test("T-5 training merges the most frequent pair first and the smaller pair among equals", () => {
    const words = new WordCounts("gpt-2");
    words.add("abab abab cdcd cdcd");
    const tokenizer = new BpeTokenizer("gpt-2", trainMerges(words, 258));
    const spellings = [256, 257].map((token) => decodeText(tokenizer, [token]));
    expect(spellings).toEqual(["ab", "cd"]);
  });

  test("T-5 incremental counts train the merges that counting everything anew would", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[ab]{1,12}$/), { minLength: 1, maxLength: 12 }),
        (list) => {
          const words = new WordCounts("gpt-2");
          words.add(list.join(" "));
          const merges = trainMerges(words, 266).map(({ left, right }) => [left, right]);
          expect(merges).toEqual(trainAnew(words.counts, 266));
        },
      ),
    );
  });

  test("T-5 text in segments encodes as the whole, and text without a place to cut is bounded", async () => {
    const tokenizer = trained("llama-bpe");
    const segmented = async (text: string) => {
      const tokens: number[] = [];
      let longest = 0;
      const take = (part: string) => {
        longest = Math.max(longest, part.length);
        for (const token of tokenizer.encode(part)) tokens.push(token);
      };
      const segments = new Segments(take, { length: 1000, maximum: 4000 });
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length; at += 700) {
        await segments.add(bytes.subarray(at, at + 700), at + 700 >= bytes.length);
      }
      return { tokens, longest };
    };
    const text = "The dog's 1234 dogs,\r\n\r\n don't!\n ".repeat(900);
    const { tokens, longest } = await segmented(text);
    expect(longest).toBeLessThan(2000);
    expect(tokens).toEqual([...tokenizer.encode(text)]);
    const endless = await segmented("-".repeat(50_000));
    expect(endless.longest).toBeLessThan(5000);
    expect(decodeText(tokenizer, endless.tokens).length).toBe(50_000);
  });

  test("T-5 training stops when no pair occurs twice", () => {
    const words = new WordCounts("gpt-2");
    words.add("abc");
    expect(trainMerges(words, 1000)).toEqual([]);
  });

  test("T-5 merging by heap and by scanning agree", () => {
    const tokenizer = trained("gpt-2");
    const table = mergeTable(tokenizer.merges);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 60, max: 90 }), { maxLength: 200 }), (word) => {
        expect(mergeByHeap(word, table)).toEqual([...mergeByScanning(word, table)]);
      }),
    );
  });

  test("T-5 a word of 200,000 characters does not stall", () => {
    const tokenizer = trained("gpt-2");
    expect(decodeText(tokenizer, tokenizer.encode("ab".repeat(100_000))).length).toBe(200_000);
  });
});

describe("T-5 byte and char", () => {
  test("T-5 bytes decode to themselves, hostile ones included", () => {
    const tokenizer = new ByteTokenizer({ endOfText: true });
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...tokenizer.decode(tokenizer.encodeBytes(bytes))]).toEqual([...bytes]);
      }),
    );
    expect(tokenizer.vocabularySize).toBe(257);
    expect([...tokenizer.decode([256, -1, 65, 9999])]).toEqual([65]);
  });

  test("T-5 byte and char files encode in the library as ours do", () => {
    const text = awkward.join("|");
    const byte = new ByteTokenizer({ endOfText: true });
    expect(library(byte).encode(text, { add_special_tokens: false }).ids).toEqual([
      ...byte.encode(text),
    ]);
    const char = CharTokenizer.ofCodePoints(
      [...text].map((character) => character.codePointAt(0)!),
      { endOfText: false },
    );
    expect(library(char).encode(text, { add_special_tokens: false }).ids).toEqual([
      ...char.encode(text),
    ]);
    expect(library(char).decode([...char.encode(text)])).toBe(text);
    expect(CharTokenizer.fromDescription(char.describe()).digest).toBe(char.digest);
  });

  test("T-5 a character outside the vocabulary is refused by name", () => {
    const tokenizer = CharTokenizer.ofCodePoints([97, 98, 0x1f600], { endOfText: true });
    expect([...tokenizer.encode("ab😀")]).toEqual([0, 1, 2]);
    expect(tokenizer.endOfText).toBe(3);
    let refusal: unknown;
    try {
      tokenizer.encode("ab😁");
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({
      code: "character_unknown",
      details: { character: "U+1F601", index: 2 },
    });
  });

  test("T-8 a stream of tokens holds back unfinished characters", () => {
    const stream = new TextStream(new ByteTokenizer({ endOfText: false }));
    const pieces = [...new TextEncoder().encode("a😀é")].map((byte) => stream.push(byte));
    expect(pieces).toEqual(["a", "", "", "", "😀", "", "é"]);
    expect(stream.push(0xf0)).toBe("");
    expect(stream.end()).toBe("\ufffd");
  });
});

describe("T-5 loading", () => {
  test("T-5 files in the spelling of GPT-2 and Qwen 2 load: merges as strings, NFC, special tokens in the vocabulary", () => {
    const made = trained("gpt-2");
    const json = JSON.parse(made.files()[0]!.content);
    json.pre_tokenizer = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
    json.normalizer = { type: "NFC" };
    json.model.merges = json.model.merges.map((pair: string[]) => pair.join(" "));
    json.added_tokens.push({
      ...json.added_tokens[0],
      id: made.vocabularySize + 5,
      content: "<|im_end|>",
    });
    const configuration = JSON.stringify({ eos_token: { content: "<|im_end|>" } });
    const loaded = new LoadedTokenizer(JSON.stringify(json), configuration);
    expect(loaded.endOfText).toBe(made.vocabularySize + 5);
    expect(loaded.vocabularySize).toBe(made.vocabularySize + 6);
    expect([...loaded.encode("x<|im_end|>", { specialTokens: true })].at(-1)).toBe(
      loaded.endOfText!,
    );
    expect(loaded.byteLengthOf(loaded.endOfText!)).toBe(0);
    for (const text of ["the cat's 12 dogs\n\n don't", "日本語 😀"]) {
      expect([...loaded.encode(text)]).toEqual([...made.encode(text)]);
    }
    expect(decodeText(loaded, loaded.encode("e\u0301"))).toBe("\u00e9");
  });

  const cases: [string, string][] = [
    ["not JSON", "{"],
    ["a list", "[]"],
    ["WordPiece", JSON.stringify({ model: { type: "WordPiece", vocab: {} } })],
    ["no merges", JSON.stringify({ model: { type: "BPE", vocab: {} } })],
    [
      "not byte-level",
      JSON.stringify({ model: { type: "BPE", vocab: {}, merges: [] }, decoder: { type: "Fuse" } }),
    ],
    [
      "missing parts",
      JSON.stringify({
        model: { type: "BPE", vocab: {}, merges: [] },
        decoder: { type: "ByteLevel" },
      }),
    ],
  ];
  for (const [what, content] of cases) {
    test(`T-5 a tokenizer.json that is ${what} is refused by file name`, () => {
      expect(() => new LoadedTokenizer(content, null, "some/tokenizer.json")).toThrow(
        expect.objectContaining({
          code: "tokenizer_invalid",
          details: { file: "some/tokenizer.json" },
        }),
      );
    });
  }
});

/** Byte-pair training in its plainest form: count every pair, merge the best, repeat. */
function trainAnew(counts: ReadonlyMap<string, number>, tokenCount: number): number[][] {
  const order = new ByteTokenizerOrder();
  let words = [...counts].map(([word, count]) => ({ tokens: order.encode(word), count }));
  const spelling = (tokens: string) => tokens;
  const known = new Map<string, number>(
    order.spellings.map((text, token) => [spelling(text), token]),
  );
  const spellings = [...order.spellings];
  const merges: number[][] = [];
  while (known.size < tokenCount) {
    const pairs = new Map<string, number>();
    for (const { tokens, count } of words) {
      for (let index = 0; index + 1 < tokens.length; index++) {
        const key = `${tokens[index]},${tokens[index + 1]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + count);
      }
    }
    const best = [...pairs]
      .map(([key, count]) => ({ pair: key.split(",").map(Number), count }))
      .sort((a, b) => b.count - a.count || a.pair[0]! - b.pair[0]! || a.pair[1]! - b.pair[1]!)[0];
    if (best === undefined || best.count < 2) break;
    const [left, right] = best.pair as [number, number];
    const text = spellings[left]! + spellings[right]!;
    const merged = known.get(text) ?? known.size;
    known.set(text, merged);
    spellings[merged] = text;
    merges.push([left, right]);
    words = words.map(({ tokens, count }) => {
      const out: number[] = [];
      for (let index = 0; index < tokens.length; index++) {
        if (tokens[index] === left && tokens[index + 1] === right) {
          out.push(merged);
          index++;
        } else out.push(tokens[index]!);
      }
      return { tokens: out, count };
    });
  }
  return merges;
}

/** The 256 single bytes as an untrained tokenizer numbers them. */
class ByteTokenizerOrder {
  readonly #tokenizer = new BpeTokenizer("gpt-2", []);
  readonly spellings = Array.from({ length: 256 }, (_, token) =>
    String.fromCharCode(this.#tokenizer.decode([token])[0]!),
  );
  encode(word: string): number[] {
    return [...this.#tokenizer.encode(word)];
  }
}
