import { describe, expect, test } from "bun:test";
import { canonicalText } from "#src/codec/digest.ts";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { openTicket, sealTicket, ticketHeader } from "./blob-ticket.ts";
import { freshnessMs } from "./envelope.ts";

const identity = (seed: number) => {
  const key = signingKeyFromSeed(new Uint8Array(32).fill(seed));
  return { key, nodeId: nodeIdOf(key.publicKey) };
};
const [alice, bob, eve] = [identity(1), identity(2), identity(3)];
const mesh = `psm${"a".repeat(32)}`;
const nowMs = 1_800_000_000_000;
const members: Record<string, string> = { [alice.nodeId]: alice.key.publicKey };
const self = { nodeId: bob.nodeId, mesh, nowMs, keyOf: (node: string) => members[node] ?? null };
const seal = (more: Partial<Parameters<typeof sealTicket>[1]> = {}, who = alice) =>
  sealTicket(who, { mesh, recipient: bob.nodeId, nowMs, ...more });

function codeOf(header: string, more: Partial<typeof self> = {}): string {
  try {
    return openTicket(header, { ...self, ...more }).sender;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

describe("W-5 tickets for blobs", () => {
  test("W-5 a live member's ticket opens, as often as it is shown while it is fresh", () => {
    const header = ticketHeader(seal());
    expect(header.length).toBeLessThan(1_000);
    for (const laterMs of [0, freshnessMs, -freshnessMs])
      expect(codeOf(header, { nowMs: nowMs + laterMs })).toBe(alice.nodeId);
  });

  test("W-5 another recipient, mesh, time or author opens nothing", () => {
    expect(codeOf(ticketHeader(seal({ recipient: eve.nodeId })))).toBe("envelope_misdirected");
    expect(codeOf(ticketHeader(seal({ mesh: `psm${"b".repeat(32)}` })))).toBe("mesh_wrong");
    for (const apartMs of [freshnessMs + 1, -freshnessMs - 1])
      expect(codeOf(ticketHeader(seal({ nowMs: nowMs + apartMs })))).toBe("envelope_stale");
    expect(codeOf(ticketHeader(seal({}, eve)))).toBe("member_unknown");
    const asAlice = { key: eve.key, nodeId: alice.nodeId };
    expect(codeOf(ticketHeader(seal({}, asAlice)))).toBe("envelope_forged");
    expect(codeOf(ticketHeader(seal()), { keyOf: () => null })).toBe("member_unknown");
  });

  test("W-5 changed, reshaped or overlong tickets are refused before anything is believed", () => {
    const content = JSON.parse(new TextDecoder().decode(seal())) as Record<string, unknown>;
    const changed = (more: object) =>
      ticketHeader(Buffer.from(canonicalText({ ...content, ...more })));
    expect(codeOf(changed({ sentMs: nowMs + 1 }))).toBe("envelope_forged");
    const shapes = [
      changed({ more: 1 }),
      changed({ type: "psionic-call" }),
      changed({ version: 2 }),
    ];
    const words = ["", "Bearer abc", "Psionic ", "Psionic a b", `Psionic ${"a".repeat(4_000)}`];
    for (const header of [...shapes, ...words]) expect(codeOf(header)).toBe("envelope_malformed");
  });

  test("W-5 5,000 torn headers give nothing but refusals", () => {
    const whole = ticketHeader(seal());
    let state = 1;
    const draw = (below: number) =>
      ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8) % below;
    const letters = 'ABCxyz019-_ ={}"\u0000\u00e9';
    const counts: Record<string, number> = {};
    for (let times = 0; times < 5_000; times++) {
      const place = 8 + draw(whole.length - 8);
      const letter = letters[draw(letters.length)]!;
      const rest = whole.slice(place + (draw(2) === 0 ? 1 : draw(40)));
      const torn = whole.slice(0, place) + letter + rest;
      // The last letter of base64 has bits that stand for nothing, and a letter may be drawn again.
      const isSame = Buffer.from(torn.slice(8), "base64url").equals(
        Buffer.from(whole.slice(8), "base64url"),
      );
      const outcome = codeOf(torn);
      if (!isSame) expect(outcome).not.toBe(alice.nodeId);
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
    expect(counts["envelope_malformed"]).toBeGreaterThan(1_000);
    expect(counts["envelope_forged"]).toBeGreaterThan(20);
  });
});
