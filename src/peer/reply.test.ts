import { describe, expect, test } from "bun:test";
import { digestBytes } from "#src/codec/digest.ts";
import { alice, bob, changed, mallory, parsed, refusalOf, resigned } from "./peer.fixture.ts";
import { ReplyReader, ReplyWriter, type AnsweredCall } from "./reply.ts";
import { documentMaximumBytes } from "./signed-document.ts";

const answered: AnsweredCall = {
  callId: "ab".repeat(16),
  sender: alice.nodeId,
  digest: digestBytes("the call"),
};

/** Two events and a result, as bob sends them. */
function answer(call: AnsweredCall = answered, from = bob): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const writer = new ReplyWriter(from, call, (frame) => frames.push(frame));
  writer.write("event", { type: "token", text: "a" });
  writer.write("event", { type: "token", text: "b" });
  writer.write("result", { loss: 0.25 });
  return frames;
}

const reader = (call: AnsweredCall = answered) =>
  new ReplyReader({ nodeId: bob.nodeId, key: bob.key.publicKey }, call);

/** Reads frames to the end of the line, as the caller does. */
function readAll(frames: readonly Uint8Array[], call: AnsweredCall = answered) {
  const replies = reader(call);
  const bodies = frames.map((frame) => replies.take(frame).body);
  if (!replies.isComplete) throw replies.truncated();
  return bodies;
}

const codeOf = (frames: readonly Uint8Array[]) => refusalOf(() => readAll(frames)).code;

describe("A-2 what a node answered can be proved", () => {
  test("A-2 a whole answer is read as it was written", () => {
    expect(readAll(answer())).toEqual([
      { type: "token", text: "a" },
      { type: "token", text: "b" },
      { loss: 0.25 },
    ]);
  });

  test("A-2 each reply names the one before, the first the call", () => {
    const frames = answer();
    expect(frames.map((frame) => parsed(frame)["previous"])).toEqual([
      answered.digest,
      digestBytes(frames[0]!),
      digestBytes(frames[1]!),
    ]);
  });

  test("A-2 what JSON has no word for is written as the other doors write it", () => {
    const frames: Uint8Array[] = [];
    const writer = new ReplyWriter(bob, answered, (frame) => frames.push(frame));
    const body = { big: 2n ** 60n, bytes: new Uint8Array([1, 255]), none: undefined, nan: NaN };
    writer.write("event", body);
    writer.write("result", undefined);
    const expected = { big: "1152921504606846976", bytes: "01ff", nan: null };
    expect(readAll(frames)).toEqual([expected, null]);
  });

  test("A-2 a reply that does not fit is refused and leaves the chain whole", () => {
    const frames: Uint8Array[] = [];
    const writer = new ReplyWriter(bob, answered, (frame) => frames.push(frame));
    const large = () => writer.write("result", "x".repeat(documentMaximumBytes));
    expect(refusalOf(large).code).toBe("message_too_large");
    writer.write("refusal", { code: "message_too_large" });
    expect(readAll(frames)).toEqual([{ code: "message_too_large" }]);
  });
});

describe("A-2 a middle man is noticed", () => {
  const [first, second, last] = answer() as [Uint8Array, Uint8Array, Uint8Array];

  test("A-2 a reply left out, moved, repeated, or the answer cut off", () => {
    expect(codeOf([second, last])).toBe("reply_broken");
    expect(codeOf([first, last])).toBe("reply_broken");
    expect(codeOf([second, first, last])).toBe("reply_broken");
    expect(codeOf([first, first, second, last])).toBe("reply_broken");
    expect(codeOf([first, second])).toBe("reply_broken");
    expect(codeOf([])).toBe("reply_broken");
    expect(codeOf([first, second, last, last])).toBe("reply_broken");
  });

  test.each([
    ["the body", { body: { loss: 0.5 } }],
    ["the kind", { kind: "bug" }],
    ["the order", { index: 0, previous: answered.digest }],
    ["the end", { last: false }],
    ["the recipient", { recipient: mallory.nodeId }],
  ])("A-2 a change of %s", (_, changes) => {
    expect(codeOf([first, second, changed(last, changes)])).toBe("reply_forged");
  });

  test("A-2 a flipped bit anywhere", () => {
    for (let index = 0; index < last.length; index++) {
      const flipped = Uint8Array.from(last);
      flipped[index]! ^= 1;
      expect(refusalOf(() => readAll([first, second, flipped])).code).toBe("reply_forged");
    }
  });

  test("A-2 replies of another node, and of one that lies about its name", () => {
    expect(codeOf(answer(answered, mallory))).toBe("reply_forged");
    const lying = resigned(first, { key: mallory.key.publicKey }, mallory.key);
    expect(codeOf([lying])).toBe("reply_forged");
  });

  test("A-2 the true answer to another call, and to another call of the same id", () => {
    expect(codeOf(answer({ ...answered, callId: "cd".repeat(16) }))).toBe("reply_broken");
    expect(codeOf(answer({ ...answered, digest: digestBytes("another") }))).toBe("reply_broken");
    expect(codeOf(answer({ ...answered, sender: mallory.nodeId }))).toBe("reply_broken");
  });

  test("A-2 a node that signs a last reply as if more came is not believed", () => {
    expect(codeOf([first, second, resigned(last, { last: false }, bob.key)])).toBe("reply_broken");
    expect(codeOf([resigned(first, { last: true }, bob.key)])).toBe("reply_broken");
  });
});

describe("A-2 a call nobody could read", () => {
  const unattributed = { ...answered, callId: null, sender: null };
  const refused = (kind: "refusal" | "result", call: AnsweredCall = unattributed) => {
    const frames: Uint8Array[] = [];
    new ReplyWriter(bob, call, (frame) => frames.push(frame)).write(kind, { code: "x" });
    return frames;
  };

  test("A-2 is refused without its id, and the caller knows by the digest that it was this one", () => {
    expect(readAll(refused("refusal"))).toEqual([{ code: "x" }]);
    expect(codeOf(refused("refusal", { ...unattributed, digest: digestBytes("y") }))).toBe(
      "reply_broken",
    );
  });

  test("A-2 has no result", () => {
    expect(codeOf(refused("result"))).toBe("reply_broken");
  });
});
