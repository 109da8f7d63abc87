import { describe, expect, test } from "bun:test";
import { answerHello, askHello, readHello } from "./hello.ts";
import {
  alice,
  bob,
  changed,
  keyOf,
  mallory,
  nowMs,
  parsed,
  random,
  refusalOf,
  resigned,
  rotation,
  trustOf,
} from "./peer.fixture.ts";

const mesh = `psm${"a".repeat(32)}`;
const { bytes: question, challenge } = askHello(random);
const hello = answerHello(parsed(question), bob, { rotations: [], mesh });
const codeOf = (bytes: Uint8Array) =>
  refusalOf(() => readHello(bytes, challenge, nowMs, trustOf())).code;

describe("A-2 who is there", () => {
  test("A-2 a node signs the question with what it is", () => {
    expect(readHello(hello, challenge, nowMs, trustOf())).toMatchObject({
      ...{ sender: bob.nodeId, key: bob.key.publicKey, rotations: [], mesh },
    });
  });

  test("A-2 a recorded hello does not answer a new question", () => {
    const next = askHello(random);
    expect(next.challenge).not.toBe(challenge);
    expect(refusalOf(() => readHello(hello, next.challenge, nowMs, trustOf())).code).toBe(
      "hello_forged",
    );
  });

  test("A-2 a changed hello, another's key and another's name are refused", () => {
    expect(codeOf(changed(hello, { mesh: `psm${"b".repeat(32)}` }))).toBe("hello_forged");
    expect(codeOf(changed(hello, { extra: 1 }))).toBe("hello_forged");
    expect(codeOf(question)).toBe("hello_forged");
    expect(codeOf(new Uint8Array([1, 2]))).toBe("envelope_malformed");
    const named = resigned(hello, { key: mallory.key.publicKey }, mallory.key);
    expect(codeOf(named)).toBe("envelope_forged");
  });

  test("I-6 a node with a new key shows how it came to it", () => {
    const newKey = keyOf(8);
    const rotations = [rotation(alice.nodeId, alice.key, newKey)];
    const renewed = { nodeId: alice.nodeId, key: newKey };
    const shown = answerHello(parsed(question), renewed, { rotations, mesh });
    expect(readHello(shown, challenge, nowMs, trustOf()).sender).toBe(alice.nodeId);
    const hidden = answerHello(parsed(question), renewed, { rotations: [], mesh });
    expect(codeOf(hidden)).toBe("envelope_forged");
    const old = answerHello(parsed(question), alice, { rotations, mesh });
    expect(refusalOf(() => readHello(old, challenge, nowMs + 20_000, trustOf())).code).toBe(
      "key_retired",
    );
  });

  test("I-6 a retired key that was stolen hands over to nobody, however far its history goes", () => {
    const known = trustOf({}, [rotation(alice.nodeId, alice.key, keyOf(8))]);
    const forks = [keyOf(9), keyOf(10), keyOf(11)].map((key, index, keys) =>
      rotation(alice.nodeId, keys[index - 1] ?? alice.key, key, { sequence: index + 1 }),
    );
    for (const length of [1, 2, 3]) {
      const thief = { nodeId: alice.nodeId, key: keyOf(8 + length) };
      const rotations = forks.slice(0, length);
      const shown = answerHello(parsed(question), thief, { rotations, mesh });
      expect(readHello(shown, challenge, nowMs, trustOf()).sender).toBe(alice.nodeId);
      expect(refusalOf(() => readHello(shown, challenge, nowMs, known)).code).toBe(
        "envelope_forged",
      );
    }
  });

  test("A-2 a question of another shape is refused", () => {
    for (const wrong of [{ challenge: "00" }, { challenge, extra: 1 }, { version: 2 }])
      expect(
        refusalOf(() =>
          answerHello({ ...parsed(question), ...wrong }, bob, { rotations: [], mesh }),
        ).code,
      ).toBe("envelope_malformed");
  });
});
