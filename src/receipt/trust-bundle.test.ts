import { describe, expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { keyOf, rotatedChain } from "./receipt.fixture.ts";
import { historyEndingIn, type KeyHistory } from "./rotation.ts";
import { openTrustBundle, sealTrustBundle } from "./trust-bundle.ts";

const { nodeId, receipts } = rotatedChain();
const rotations = [receipts[3]!, receipts[6]!];
const history = historyEndingIn(keyOf(102).publicKey, rotations);
const rotatedMs = receipts[3]!.atMs;

/** The bundle the node's operator wrote under its first, second or third key. */
const bundle = (keyNumber: 0 | 1 | 2) =>
  sealTrustBundle(
    { nodeId, key: keyOf([1, 101, 102][keyNumber]!), rotations: rotations.slice(0, keyNumber) },
    rotatedMs - 1_000,
  );

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

const open = (text: string, nowMs: number, known?: KeyHistory) =>
  openTrustBundle(text, { known, nowMs });

describe("I-6 trust bundle", () => {
  test("I-6 a bundle proves the node and all its keys to who has never met it", () => {
    const trusted = open(bundle(2), rotatedMs);
    expect(trusted).toMatchObject({ nodeId, standing: { standing: "current" } });
    expect(trusted.history.keys.length).toBe(3);
    expect(open(bundle(0), rotatedMs).history.keys.length).toBe(1);
  });

  test("I-6 under the previous key it is accepted during the overlap and stale afterwards", () => {
    const untilMs = rotatedMs + 60_000;
    const accepted = open(bundle(0), untilMs - 1, history);
    expect(accepted.standing).toEqual({ standing: "overlapping", untilMs });
    expect(accepted.history).toEqual(history);
    const refusal = refusalOf(() => open(bundle(0), untilMs + 5, history));
    expect(refusal.code).toBe("trust_bundle_stale");
    expect(refusal.details).toEqual({
      ...{ nodeId, key: keyOf(1).publicKey, rotatedMs, to: keyOf(101).publicKey },
      ...{ overlapUntilMs: untilMs, overMs: 5 },
    });
    expect(refusal.message).toContain(new Date(rotatedMs).toISOString());
    expect(refusal.message).toContain(keyOf(101).publicKey.slice(0, 16));
    // A window of nothing: the second key was refused the moment it was rotated.
    expect(refusalOf(() => open(bundle(1), receipts[6]!.atMs, history)).code).toBe(
      "trust_bundle_stale",
    );
  });

  test("I-6 who knows less than the bundle learns from it", () => {
    const first = historyEndingIn(keyOf(1).publicKey, []);
    expect(open(bundle(2), rotatedMs, first).history).toEqual(history);
  });

  const content = JSON.parse(bundle(2)) as Record<string, unknown>;
  const other = rotatedChain(20);
  const wrong: [string, string][] = [
    ["no JSON", "{"],
    ["too long", " ".repeat(600_000)],
    ["changed in its time", JSON.stringify({ ...content, issuedMs: 5 })],
    ["of another node's name", JSON.stringify({ ...content, nodeId: other.nodeId })],
    ["with another key", JSON.stringify({ ...content, key: keyOf(9).publicKey })],
    ["with a rotation less", JSON.stringify({ ...content, rotations: rotations.slice(0, 1) })],
    ["with another's rotations", JSON.stringify({ ...content, rotations: [other.receipts[3]] })],
    [
      "with a forged rotation",
      JSON.stringify({ ...content, rotations: [{ ...rotations[0], atMs: 7 }, rotations[1]] }),
    ],
    ["with an unknown member", JSON.stringify({ ...content, more: 1 })],
    ["signed by another", sealTrustBundle({ nodeId, key: keyOf(9), rotations: [] }, 1)],
  ];
  test.each(wrong)("I-6 a bundle %s is refused", (_, text) => {
    expect(refusalOf(() => open(text, rotatedMs)).code).toBe("trust_bundle_wrong");
  });

  test("I-6 another node's, or another history than the known one, is refused", () => {
    const others = historyEndingIn(keyOf(20).publicKey, []);
    expect(refusalOf(() => open(bundle(2), rotatedMs, others)).code).toBe("trust_bundle_wrong");
    // The old key, stolen, hands over to a thief: the node's own history parts from that one.
    const { log } = rotatedChain(1);
    log.store.run("DELETE FROM receipt WHERE sequence > 3");
    log.signWith({ nodeId, key: keyOf(1) });
    const theft = log.rotate(keyOf(66), 60_000).receipt;
    const text = sealTrustBundle({ nodeId, key: keyOf(66), rotations: [theft] }, rotatedMs);
    expect(open(text, rotatedMs).nodeId).toBe(nodeId);
    expect(refusalOf(() => open(text, rotatedMs, history)).code).toBe("trust_bundle_wrong");
  });

  test("I-6 a bundle that says something twice is refused, for others may read the other", () => {
    const text = bundle(2);
    const twin = text.replace('"key"', `"key": "${keyOf(66).publicKey}",\n  "key"`);
    expect(JSON.parse(twin)).toEqual(JSON.parse(text));
    expect(refusalOf(() => open(twin, rotatedMs)).code).toBe("trust_bundle_wrong");
  });
});
