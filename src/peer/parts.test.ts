import { describe, expect, test } from "bun:test";
import { canonicalText, digestBytes } from "#src/codec/digest.ts";
import { message, self } from "./message.fixture.ts";
import { readMessage } from "./message.ts";
import {
  ageMaximumMs,
  PartBox,
  silenceMaximumMs,
  sliceBytes,
  sliceMaximum,
  splitBody,
  streamMaximum,
  type Part,
  type Said,
} from "./parts.ts";
import { refusalOf } from "./peer.fixture.ts";

/** Three slices, of quotation marks and characters of several bytes. */
const said: Said = {
  kind: "log",
  body: { text: '"\\\u2028😀'.repeat(Math.ceil((2.2 * sliceBytes) / 11)) },
};
const parts = splitBody(said, 7);
const later = 1_000_000;

function takeAll(box: PartBox, all: readonly Part[], sender = "a"): (Said | null)[] {
  return all.map((part) => box.take(sender, part, later));
}

const codeOf = (work: () => unknown) => refusalOf(work).code;

describe("C-2 a body too large for one document", () => {
  test("C-2 comes whole from its parts, in any order, each a message of its own", () => {
    expect(parts).toHaveLength(3);
    const carried = parts.map((part, place) => {
      const bytes = message({ kind: "part", counter: place + 1, body: { ...part } });
      return readMessage(bytes, self).envelope.body;
    });
    const box = new PartBox();
    const order = [2, 0, 1].map((place) => carried[place]!);
    expect(order.map((part) => box.take("a", part, later))).toEqual([null, null, said]);
    expect(box.heldBytes).toBe(0);
  });

  test("C-2 a slice as long as it may be fits a document", () => {
    const text = "\u0000".repeat(sliceBytes * 2);
    const [first] = splitBody({ kind: "a".repeat(32), body: { text } }, Number.MAX_SAFE_INTEGER);
    expect(message({ kind: "part", body: { ...first! } }).length).toBeLessThan(1024 * 1024);
  });

  test("C-2 a small one is one part", () => {
    const [only, ...more] = splitBody({ kind: "log", body: {} }, 1);
    expect(more).toEqual([]);
    expect(new PartBox().take("a", only!, later)).toEqual({ kind: "log", body: {} });
  });

  test("C-2 beyond 32 MiB it is refused where it is split", () => {
    const body = { text: "x".repeat(sliceBytes * sliceMaximum) };
    expect(codeOf(() => splitBody({ kind: "log", body }, 1))).toBe("message_too_large");
  });

  test("C-2 senders and streams do not mix", () => {
    const box = new PartBox();
    const others = splitBody(said, 8);
    expect(takeAll(box, [parts[0]!, others[0]!, parts[1]!, others[1]!])).toEqual(
      Array(4).fill(null),
    );
    expect(box.take("b", parts[2]!, later)).toBeNull();
    expect(takeAll(box, [parts[2]!, others[2]!])).toEqual([said, said]);
  });
});

/** The parts of any text under the digest it has. */
const partsOf = (text: string): Part => ({
  ...{ stream: 1, place: 0, count: 1, digest: digestBytes(text) },
  slice: Buffer.from(text).toString("base64"),
});

describe("C-2 parts that lie are refused, and all that came of them is dropped", () => {
  const [first, second, third] = parts as [Part, Part, Part];
  const zeros = "0".repeat(64);
  const shorter = { ...second, slice: second.slice.slice(0, -4) };
  const changed = { ...third, slice: Buffer.from("{}").toString("base64") };
  const table: [string, Part[], string][] = [
    ["another digest in each", parts.map((part) => ({ ...part, digest: zeros })), "parts_broken"],
    ["another digest in one", [first, { ...second, digest: zeros }], "parts_broken"],
    ["another count in one", [first, { ...second, count: 4 }], "parts_broken"],
    ["a changed slice", [first, second, changed], "parts_broken"],
    ["a slice that is too short", [first, shorter], "parts_broken"],
    ["a part twice", [first, first], "parts_broken"],
    ["a place beyond the count", [{ ...first, place: 3 }], "parts_broken"],
    ["an empty last slice", [{ ...third, slice: "" }], "parts_broken"],
    ["no base64", [{ ...first, slice: "!".repeat(first.slice.length) }], "parts_broken"],
    ["another spelling of base64", [{ ...partsOf("{}"), slice: "e31=" }], "parts_broken"],
    ["too many", [{ ...first, count: sliceMaximum + 1 }], "envelope_malformed"],
    ["none", [{ ...first, count: 0 }], "envelope_malformed"],
    ["a slice that is too long", [{ ...first, slice: `${first.slice}AAAA` }], "envelope_malformed"],
    ["a member nobody knows", [{ ...first, more: 1 } as Part], "envelope_malformed"],
    ["text that is no message", [partsOf("{}")], "envelope_malformed"],
    ["text that is not canonical", [partsOf('{"kind": "log","body":{}}')], "envelope_malformed"],
    ["more than a message", [partsOf('{"body":{},"kind":"log","z":1}')], "envelope_malformed"],
    ["a part of a part", [partsOf('{"body":{},"kind":"part"}')], "envelope_malformed"],
    ["a kind that is none", [partsOf('{"body":{},"kind":"LOG"}')], "envelope_malformed"],
    ["deep nesting", [partsOf("[".repeat(400_000))], "envelope_malformed"],
  ];

  test.each(table)("C-2 %s", (_, all, code) => {
    const box = new PartBox();
    const last = all.at(-1)!;
    takeAll(box, all.slice(0, -1));
    expect(codeOf(() => box.take("a", last, later)) as string).toBe(code);
    box.forget("a");
    expect(box.heldBytes).toBe(0);
    expect(takeAll(box, parts).at(-1)).toEqual(said);
  });
});

describe("C-2 parts are bounded", () => {
  test("C-2 a lost part times out, and the whole comes when it is said again", () => {
    const box = new PartBox();
    box.take("a", parts[0]!, 0);
    box.take("a", parts[1]!, silenceMaximumMs);
    expect(box.heldBytes).toBe(3 * sliceBytes);
    box.prune(2 * silenceMaximumMs);
    expect([box.heldBytes, box.lostCount]).toEqual([3 * sliceBytes, 0]);
    box.prune(2 * silenceMaximumMs + 1);
    expect([box.heldBytes, box.lostCount]).toEqual([0, 1]);
    expect(takeAll(box, splitBody(said, 8)).at(-1)).toEqual(said);
  });

  test("C-2 one that drips is given up too", () => {
    const box = new PartBox();
    const long = splitBody({ kind: "log", body: { text: "x".repeat(sliceBytes * 10) } }, 1);
    long.slice(0, 7).forEach((part, place) => box.take("a", part, place * 20_000));
    expect(box.lostCount).toBe(0);
    box.prune(ageMaximumMs + 1);
    expect([box.heldBytes, box.lostCount]).toEqual([0, 1]);
  });

  test("C-2 a sender has four under way; a fifth ends the oldest", () => {
    const box = new PartBox();
    const streams = Array.from({ length: streamMaximum + 1 }, (_, place) => splitBody(said, place));
    for (const stream of streams) box.take("a", stream[0]!, later);
    expect(box.heldBytes).toBe(streamMaximum * 3 * sliceBytes);
    expect(box.lostCount).toBe(1);
    expect(takeAll(box, streams.at(-1)!.slice(1)).at(-1)).toEqual(said);
  });

  test("C-2 what is not whole holds no more than its maximum, and others are refused kindly", () => {
    const box = new PartBox(7 * sliceBytes);
    box.take("a", parts[0]!, later);
    box.take("b", parts[0]!, later);
    expect(codeOf(() => box.take("c", parts[0]!, later))).toBe("peer_busy");
    expect(box.heldBytes).toBe(6 * sliceBytes);
    expect(takeAll(box, parts.slice(1)).at(-1)).toEqual(said);
    expect(takeAll(box, parts, "c").at(-1)).toEqual(said);
    box.forget("b");
    expect([box.heldBytes, box.lostCount]).toEqual([0, 1]);
  });

  test("C-2 one sender has half of it: what it begins next ends what it began before", () => {
    const box = new PartBox(7 * sliceBytes);
    const next = splitBody(said, 8);
    box.take("a", parts[0]!, later);
    box.take("a", next[0]!, later);
    expect([box.heldBytes, box.lostCount]).toEqual([3 * sliceBytes, 1]);
    expect(takeAll(box, parts, "b").at(-1)).toEqual(said);
    expect(takeAll(box, next.slice(1)).at(-1)).toEqual(said);
  });
});

test("C-2 a body is split by the bytes of its canonical text", () => {
  const text = Buffer.concat(parts.map(({ slice }) => Buffer.from(slice, "base64"))).toString();
  expect(text).toBe(canonicalText(said));
});
