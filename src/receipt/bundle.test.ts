import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { canonicalText } from "#src/codec/digest.ts";
import { machineDisk } from "#src/node/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { headerMaximumBytes } from "./bundle.ts";
import { verifyArchive, verifyBundleFile, verifyBundleText, writeBundle } from "./bundle-file.ts";
import type { ReceiptArchive } from "./receipt-log.ts";
import { receiptDigest, signReceipt, type Receipt } from "./receipt.ts";
import { keyOf, memoryNode, rotatedChain } from "./receipt.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "psionic-receipt-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

const { receipts, nodeId, log } = rotatedChain();

async function bundleOf(
  archive: ReceiptArchive,
  request: Omit<Parameters<typeof writeBundle>[1], "author"> & { author?: string } = {},
): Promise<string> {
  const path = join(folder, `bundle-${files++}.jsonl`);
  await writeBundle({ archive, disk: machineDisk }, { author: nodeId, ...request }, path);
  return readFileSync(path, "utf8");
}

async function refusalOf(work: () => unknown): Promise<Refusal> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** The whole chain as a bundle, in lines without their ends; the header is the first. */
const whole = await bundleOf(log);
const lines = whole.trimEnd().split("\n");
const text = (changed: readonly string[]) => changed.map((line) => `${line}\n`).join("");
const header = JSON.parse(lines[0]!) as Record<string, unknown>;
const withHeader = (change: Record<string, unknown>, rest = lines.slice(1)) =>
  text([canonicalText({ ...header, ...change }), ...rest]);

describe("a bundle of receipts", () => {
  test("the whole chain and every stretch of it hold, by file and by text", async () => {
    const path = join(folder, "whole.jsonl");
    writeFileSync(path, whole);
    const summary = await verifyBundleFile(machineDisk, path);
    expect(summary).toMatchObject({ author: nodeId, first: 1, last: 9, isFromStart: true });
    expect(verifyBundleText(whole)).toEqual(summary);
    for (let from = 1; from <= 9; from++)
      for (let to = from; to <= 9; to++) {
        const stretch = verifyBundleText(await bundleOf(log, { from, to }));
        expect(stretch).toMatchObject({ first: from, last: to, count: to - from + 1 });
        expect(stretch.head).toBe(receiptDigest(receipts[to - 1]!));
      }
  });

  test("a subject's bundle spans its receipts; none between them can be withheld", async () => {
    const bundle = await bundleOf(log, { subject: "even" });
    expect(verifyBundleText(bundle)).toMatchObject({
      ...{ first: 2, last: 8, count: 7, subject: "even", subjectCount: 3, rotationCount: 2 },
    });
    const parts = bundle.trimEnd().split("\n");
    for (let index = 1; index < parts.length; index++) {
      const refusal = await refusalOf(() => verifyBundleText(text(parts.toSpliced(index, 1))));
      expect(refusal.exitStatus).toBe(13);
    }
    const refusal = await refusalOf(() => bundleOf(log, { subject: "nothing" }));
    expect(refusal.code).toBe("receipt_not_found");
    expect((await refusalOf(() => bundleOf(log, { from: 10, to: 12 }))).code).toBe(
      "receipt_not_found",
    );
  });

  const third = memoryNode(3);
  third.log.append("run.created", "x", {});
  const foreign = third.log.chain(third.nodeId)[0]!.receipt;
  const forgedRotation = (() => {
    const { signature: _, countersignature: __, ...content } = receipts[3]!;
    const body = { ...content.body, to: keyOf(9).publicKey };
    return {
      ...signReceipt({ ...content, key: keyOf(9).publicKey, body }, keyOf(9), keyOf(9)),
      key: content.key,
    };
  })();
  const tamperings: [string, string, string][] = [
    ["a receipt dropped", text(lines.toSpliced(3, 1)), "receipt_chain_broken"],
    ["the first receipt dropped", text(lines.toSpliced(1, 1)), "receipt_bundle_wrong"],
    ["the last receipt dropped", text(lines.slice(0, -1)), "receipt_bundle_wrong"],
    [
      "two receipts in other order",
      text(lines.with(2, lines[3]!).with(3, lines[2]!)),
      "receipt_chain_broken",
    ],
    ["a receipt doubled", text(lines.toSpliced(3, 0, lines[3]!)), "receipt_chain_broken"],
    ["the last receipt doubled", `${whole}${lines.at(-1)!}\n`, "receipt_chain_broken"],
    ["the last line cut off", whole.slice(0, -1), "receipt_bundle_wrong"],
    ["half of it", whole.slice(0, whole.length >> 1), "receipt_bundle_wrong"],
    ["no line", "", "receipt_bundle_wrong"],
    ["only a header", text(lines.slice(0, 1)), "receipt_bundle_wrong"],
    ["no header", text(lines.slice(1)), "receipt_bundle_wrong"],
    ["an empty line at its end", `${whole}\n`, "receipt_malformed"],
    ["a byte-order mark", `\ufeff${whole}`, "receipt_bundle_wrong"],
    ["an author replaced", text(lines.with(2, canonicalText(foreign))), "receipt_author_wrong"],
    ["another author in the header", withHeader({ author: third.nodeId }), "receipt_author_wrong"],
    [
      "a forged rotation",
      text(lines.with(4, canonicalText(forgedRotation))),
      "receipt_signature_wrong",
    ],
    [
      "the keys of the header replaced",
      withHeader({ keys: [keyOf(9).publicKey] }),
      "receipt_bundle_wrong",
    ],
    ["another head in the header", withHeader({ head: "0".repeat(64) }), "receipt_bundle_wrong"],
    ["another count", withHeader({ count: 8, last: 8 }), "receipt_bundle_wrong"],
    ["a count beside its places", withHeader({ count: 8 }), "receipt_bundle_wrong"],
    [
      "a subject it does not span",
      withHeader({ subject: "even", subjectCount: 2 }),
      "receipt_bundle_wrong",
    ],
    [
      "a rotation of the stretch in its header",
      withHeader({ rotations: [receipts[3]] }),
      "receipt_bundle_wrong",
    ],
    ["an unknown member", withHeader({ more: 1 }), "receipt_bundle_wrong"],
    ["a later version", withHeader({ version: 2 }), "receipt_bundle_wrong"],
    ["lines without end", "x".repeat(headerMaximumBytes + 10), "receipt_bundle_wrong"],
  ];
  test.each(tamperings)("with %s it is refused with its code", async (_, changed, code) => {
    const refusal = await refusalOf(() => verifyBundleText(changed));
    expect([refusal.code as string, refusal.exitStatus]).toEqual([code, 13]);
  });

  test("a stretch whose earlier rotations are dropped or replaced is refused", async () => {
    const parts = (await bundleOf(log, { from: 5, to: 6 })).trimEnd().split("\n");
    const own = JSON.parse(parts[0]!) as Record<string, unknown>;
    for (const rotations of [[], [receipts[6]], [forgedRotation], [{ ...receipts[3], atMs: 1 }]]) {
      const changed = text([canonicalText({ ...own, rotations }), ...parts.slice(1)]);
      expect((await refusalOf(() => verifyBundleText(changed))).exitStatus).toBe(13);
    }
  });

  test("no change of any byte is accepted: flipped, dropped, put in, cut off", async () => {
    const bytes = Buffer.from(whole);
    const verify = (changed: Uint8Array) => {
      const path = join(folder, "fuzzed.jsonl");
      writeFileSync(path, changed);
      return verifyBundleFile(machineDisk, path);
    };
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("flip", "drop", "insert", "cut"),
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (kind, index, value) => {
          const pieces = [bytes.subarray(0, index), bytes.subarray(index + 1)] as const;
          const changed = {
            flip: () => Buffer.concat([pieces[0], Buffer.of(bytes[index]! ^ value), pieces[1]]),
            drop: () => Buffer.concat(pieces),
            insert: () => Buffer.concat([pieces[0], Buffer.of(value), bytes.subarray(index)]),
            cut: () => pieces[0],
          }[kind]();
          expect((await refusalOf(() => verify(changed))).exitStatus).toBe(13);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("a bundle larger than what is read at once", () => {
  test("it holds across the borders of reading, and a change near its end is named", async () => {
    const { log: long, nodeId: author } = memoryNode(8);
    const subject = "ü".repeat(100);
    long.store.transaction(() => {
      for (let step = 1; step <= 3_000; step++)
        long.append("run.checkpoint", subject, { step, note: "€".repeat(step % 97) });
    });
    const path = join(folder, "long.jsonl");
    const parts = { archive: long, disk: machineDisk };
    const { sizeBytes } = await writeBundle(parts, { author }, path);
    expect(sizeBytes).toBe(readFileSync(path).length);
    expect(sizeBytes).toBeGreaterThan(2 * 1024 * 1024);
    expect(await verifyBundleFile(machineDisk, path)).toMatchObject({ count: 3_000 });
    expect(verifyArchive(long, author, [])).toMatchObject({ count: 3_000 });
    writeFileSync(path, readFileSync(path, "utf8").replace('"step":2990', '"step":2991'));
    const refusal = await refusalOf(() => verifyBundleFile(machineDisk, path));
    expect([refusal.code as string, refusal.details["sequence"], refusal.details["line"]]).toEqual([
      ...["receipt_signature_wrong", 2_990, 2_991],
    ]);
  });
});

describe("a node's own chain in its database", () => {
  test("it holds, and every changed column or row of it is found", async () => {
    const fresh = () => rotatedChain().log;
    expect(verifyArchive(fresh(), nodeId, [])).toMatchObject({ first: 1, last: 9 });
    expect(verifyArchive(memoryNode(9).log, nodeId, [])).toBeNull();
    const changes: [string, string][] = [
      ["DELETE FROM receipt WHERE sequence = 5", "receipt_chain_broken"],
      ["DELETE FROM receipt WHERE sequence = 1", "receipt_chain_broken"],
      ["DELETE FROM receipt WHERE sequence < 7", "receipt_author_wrong"],
      ["UPDATE receipt SET kind = 'x' WHERE sequence = 5", "receipt_malformed"],
      ["UPDATE receipt SET subject = 'x' WHERE sequence = 5", "receipt_malformed"],
      ["UPDATE receipt SET at_ms = 5 WHERE sequence = 5", "receipt_malformed"],
      [`UPDATE receipt SET digest = '${"0".repeat(64)}' WHERE sequence = 5`, "receipt_malformed"],
      [
        "UPDATE receipt SET text = replace(text, 'true', 'false') WHERE sequence = 5",
        "receipt_signature_wrong",
      ],
      ["UPDATE receipt SET text = text || ' ' WHERE sequence = 5", "receipt_malformed"],
    ];
    for (const [sql, code] of changes) {
      const archive = fresh();
      archive.store.run(sql);
      const refusal = await refusalOf(() => verifyArchive(archive, nodeId, []));
      expect([sql, refusal.code as string]).toEqual([sql, code]);
    }
  });

  test("I-6 a chain that goes on after a restored rotation holds and says that its start is not here", () => {
    const { log: restored } = memoryNode(1);
    const rotations: Receipt[] = [receipts[3]!, receipts[6]!];
    restored.heal(rotations);
    restored.signWith({ nodeId, key: keyOf(102) });
    restored.append("a", "s", {});
    expect(verifyArchive(restored, nodeId, rotations)).toMatchObject({
      ...{ first: 7, last: 8, isFromStart: false },
    });
  });
});
