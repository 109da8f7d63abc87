import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalText } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { verifyChain } from "./chain.ts";
import { bodyMaximumLength, parseReceipt, readReceipt } from "./parse-receipt.ts";
import { factDepthMaximum, isFact, receiptDigest, signReceipt, type Receipt } from "./receipt.ts";
import { keyOf, memoryNode, rotatedChain } from "./receipt.fixture.ts";
import { verifyReceipt } from "./verify-receipt.ts";

const { receipts, nodeId } = rotatedChain();

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

const verify = (chain: readonly Receipt[], rotations: readonly Receipt[] = []) =>
  verifyChain(chain, nodeId, rotations);
const replaced = (index: number, receipt: Receipt) => receipts.with(index, receipt);

/** The receipt with its members changed and signed again by its author's key of that place. */
function resigned(index: number, change: Partial<Receipt>, seed: number): Receipt {
  const { signature: _, countersignature: __, ...content } = receipts[index]!;
  return signReceipt({ ...content, ...change }, keyOf(seed));
}

describe("receipts of one author", () => {
  test("a whole chain with two rotations holds and says what it is", () => {
    expect(verify(receipts)).toEqual({
      author: nodeId,
      first: 1,
      last: 9,
      count: 9,
      head: receiptDigest(receipts[8]!),
      keys: [1, 101, 102].map((seed) => keyOf(seed).publicKey),
      rotationCount: 2,
      backwardCount: 0,
      isFromStart: true,
    });
    expect(verify([])).toBeNull();
  });

  test("I-6 a receipt under an old key stays verifiable, one alone and in a stretch", () => {
    expect(verify(receipts.slice(0, 3))?.last).toBe(3);
    expect(verify(receipts.slice(4, 6), [receipts[3]!])).toMatchObject({ first: 5, last: 6 });
    expect(verify(receipts.slice(7), [receipts[3]!, receipts[6]!])?.isFromStart).toBe(false);
    verifyReceipt(receipts[0]!);
    verifyReceipt(receipts[4]!, [keyOf(101).publicKey]);
    expect(refusalOf(() => verifyReceipt(receipts[4]!)).code).toBe("receipt_author_wrong");
  });

  test("a stretch after a rotation needs that rotation", () => {
    expect(refusalOf(() => verify(receipts.slice(4))).code).toBe("receipt_author_wrong");
    expect(refusalOf(() => verify(receipts.slice(7), [receipts[6]!])).code).toBe(
      "receipt_author_wrong",
    );
    expect(refusalOf(() => verify(receipts.slice(7), [receipts[3]!])).code).toBe(
      "receipt_author_wrong",
    );
  });

  const wrong: [string, () => readonly Receipt[], string, number][] = [
    ["dropped", () => receipts.toSpliced(2, 1), "receipt_chain_broken", 4],
    ["dropped rotation", () => receipts.toSpliced(3, 1), "receipt_chain_broken", 5],
    ["doubled", () => receipts.toSpliced(2, 0, receipts[1]!), "receipt_chain_broken", 2],
    [
      "swapped",
      () => receipts.with(1, receipts[2]!).with(2, receipts[1]!),
      "receipt_chain_broken",
      3,
    ],
    [
      "edited",
      () => replaced(1, { ...receipts[1]!, body: { step: 3, ok: true } }),
      "receipt_signature_wrong",
      2,
    ],
    [
      "edited and signed again by its author",
      () => replaced(1, resigned(1, { body: { step: 3, ok: true } }, 1)),
      "receipt_chain_broken",
      3,
    ],
    [
      "of another author",
      () => replaced(1, rotatedChain(2).receipts[1]!),
      "receipt_author_wrong",
      2,
    ],
    [
      "renamed to another author",
      () => replaced(1, { ...receipts[1]!, author: memoryNode(2).nodeId }),
      "receipt_author_wrong",
      2,
    ],
    [
      "by a key that is not the author's",
      () => replaced(1, resigned(1, { key: keyOf(9).publicKey }, 9)),
      "receipt_author_wrong",
      2,
    ],
    [
      "by a key that was rotated away",
      () => replaced(4, resigned(4, { key: keyOf(1).publicKey }, 1)),
      "receipt_author_wrong",
      5,
    ],
    [
      "a rotation the new key did not sign",
      () => replaced(3, resigned(3, {}, 1)),
      "receipt_signature_wrong",
      4,
    ],
    [
      "a rotation countersigned by a third key",
      () => {
        const { signature: _, countersignature: __, ...content } = receipts[3]!;
        return replaced(3, signReceipt(content, keyOf(1), keyOf(9)));
      },
      "receipt_signature_wrong",
      4,
    ],
    [
      "a rotation back to a retired key",
      () => {
        const { signature: _, countersignature: __, ...content } = receipts[6]!;
        const body = { ...content.body, to: keyOf(1).publicKey };
        return replaced(6, signReceipt({ ...content, body }, keyOf(101), keyOf(1)));
      },
      "receipt_author_wrong",
      7,
    ],
    [
      "a plain receipt signed twice",
      () => replaced(1, { ...receipts[1]!, countersignature: receipts[3]!.countersignature! }),
      "receipt_malformed",
      2,
    ],
  ];
  test.each(wrong)(
    "a chain with a receipt %s is refused, naming it",
    (_, chain, code, sequence) => {
      const refusal = refusalOf(() => verify(chain()));
      expect([refusal.code as string, refusal.details["sequence"]]).toEqual([code, sequence]);
      expect(refusal.details["digest"]).toMatch(/^[0-9a-f]{64}$/);
    },
  );

  test("time may go backwards; it is counted, the order stands", () => {
    const { log, nodeId: author, clock } = memoryNode(3);
    for (const step of [0, -5_000, 100]) {
      clock.nowMs += step;
      log.append("run.created", "run", {});
    }
    const chain = log.chain(author).map(({ receipt }) => receipt);
    expect(verifyChain(chain, author)?.backwardCount).toBe(1);
  });

  test("no change of any member of any receipt is accepted", () => {
    const members = Object.keys(receipts[3]!) as (keyof Receipt)[];
    fc.assert(
      fc.property(
        fc.nat(receipts.length - 1),
        fc.constantFrom(...members),
        fc.anything(),
        (index, member, value) => {
          const before = receipts[index]!;
          fc.pre(member in before && !Bun.deepEquals(before[member], value, true));
          // What lies in the last receipt's digest alone is still under its signature.
          expect(() => {
            verify(replaced(index, parseReceipt({ ...before, [member]: value })));
          }).toThrow(Refusal);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("a receipt from outside", () => {
  const good = receipts[3]!;

  test("its canonical text is read back as it is", () => {
    expect(readReceipt(canonicalText(good))).toEqual(good);
  });

  const texts: [string, string][] = [
    ["no JSON", "{"],
    ["a list", "[]"],
    ["null", "null"],
    ["spaced", ` ${canonicalText(good)}`],
    ["in another order", JSON.stringify(Object.fromEntries(Object.entries(good).toReversed()))],
    ["with a doubled member", canonicalText(good).replace("{", '{"atMs":1,')],
    ["with an unknown member", canonicalText({ ...good, more: 1 })],
    ["with a float", canonicalText({ ...good, body: { loss: 1.5 } })],
    ["with a float in its time", canonicalText({ ...good, atMs: 1.5 })],
    ["with an integer beyond the safe ones", canonicalText({ ...good, body: { n: 2 ** 60 } })],
    ["with a list as body", canonicalText({ ...good, body: [] })],
    ["with a long subject", canonicalText({ ...good, subject: "x".repeat(257) })],
    ["with a long body", canonicalText({ ...good, body: { x: "x".repeat(bodyMaximumLength) } })],
    ["far too long", canonicalText({ ...good, kind: "x".repeat(300_000) })],
    ["with a kind in capitals", canonicalText({ ...good, kind: "Key.Rotated" })],
    ["with half a character", canonicalText(good).replace('"subject":"', '"subject":"\\ud800')],
    ["deep", `{"body":${"[".repeat(60_000)}${"]".repeat(60_000)}}`],
    ["of version 2", canonicalText({ ...good, version: 2 })],
    ["at place 0", canonicalText({ ...good, sequence: 0 })],
    ["with a short signature", canonicalText({ ...good, signature: good.signature.slice(2) })],
    ["with a signature in capitals", canonicalText({ ...good, signature: "A".repeat(128) })],
  ];
  test.each(texts)("a receipt %s is refused as malformed", (_, text) => {
    expect(refusalOf(() => readReceipt(text)).code).toBe("receipt_malformed");
  });

  test("facts nest so deep and no deeper", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    expect(isFact(nested(factDepthMaximum))).toBe(true);
    expect(isFact(nested(factDepthMaximum + 1))).toBe(false);
    expect([isFact("\ud800"), isFact({ "\ud800": 1 }), isFact(-0), isFact(undefined)]).toEqual(
      new Array(4).fill(false),
    );
  });
});

describe("the log", () => {
  test("I-6 after a rotation the key before signs nothing any more", () => {
    const { log, store, clock, key, nodeId: author } = memoryNode(5);
    log.append("a", "s", {});
    const other = memoryNode(5, store, clock).log;
    log.rotate(keyOf(6), 0);
    expect(other.isCurrent).toBe(false);
    expect(refusalOf(() => other.append("b", "s", {})).code).toBe("receipt_key_stale");
    expect(refusalOf(() => other.rotate(keyOf(7), 0)).code).toBe("receipt_key_stale");
    other.signWith({ nodeId: author, key: keyOf(6) });
    other.append("b", "s", {});
    expect(log.append("c", "s", {}).receipt).toMatchObject({ sequence: 4, author });
    expect(key.publicKey).not.toBe(log.author.key.publicKey);
    const chain = log.chain(author).map(({ receipt }) => receipt);
    expect(verifyChain(chain, author)).toMatchObject({ count: 4, rotationCount: 1 });
  });

  test("I-6 a lost chain goes on after the last rotation; a taken place is refused", () => {
    const { log: healed } = memoryNode(1);
    const rotations = [receipts[3]!, receipts[6]!];
    healed.heal(rotations);
    healed.heal(rotations);
    healed.signWith({ nodeId, key: keyOf(102) });
    expect(healed.append("a", "s", {}).receipt.sequence).toBe(8);
    const { log: taken } = memoryNode(1);
    for (let place = 1; place <= 7; place++) taken.append("a", "s", {});
    expect(refusalOf(() => taken.heal(rotations)).code).toBe("receipt_chain_broken");
  });
});
