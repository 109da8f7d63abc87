import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { confers } from "./confers.ts";
import { guestKey, keyOf, ownerKey, thiefKey } from "./grant.fixture.ts";
import {
  clockSkewMs,
  isIntact,
  lifetimeMaximumMs,
  readGrant,
  signGrant,
  type Grant,
} from "./grant.ts";
import { judgeGrant, type GrantFacts } from "./judge-grant.ts";
import { meshIdOf } from "./mesh.ts";

const nowMs = 1_800_000_000_000;
const owner = nodeIdOf(ownerKey.publicKey);
const mesh = meshIdOf({ nodeId: owner });
const hourMs = 3_600_000;

const facts: GrantFacts = {
  nowMs,
  mesh,
  standingOf(issuer, key) {
    if (issuer !== owner) return "unknown";
    return key === ownerKey.publicKey ? "pinned" : "stale";
  },
  horizonMs: () => 0,
  watermarkOf: () => null,
  spendingOf: () => ({ calls: 0, deviceMs: 0, bytes: 0 }),
};

const content = {
  ...{ mesh, issuer: owner, grantee: guestKey.publicKey, epoch: 5 },
  capabilities: ["run", "sample"],
  ...{ issuedMs: nowMs - hourMs, expiresMs: nowMs + hourMs },
  budget: { calls: 10, deviceSeconds: 60, bytes: 1_000 },
};

const make = (change: Partial<typeof content> = {}, key = ownerKey) =>
  signGrant({ ...content, ...change }, key);

const sender = guestKey.publicKey;

function judged(
  grant: unknown,
  more: { command?: string; sender?: string; facts?: Partial<GrantFacts> } = {},
): string {
  const result = judgeGrant(grant, more.sender ?? sender, more.command ?? "run/status", {
    ...facts,
    ...more.facts,
  });
  return result instanceof Refusal ? result.code : "admitted";
}

const altered = (change: Partial<Grant>) => ({ ...make(), ...change });
const spent = (calls: number, deviceMs: number, bytes: number) => ({
  spendingOf: () => ({ calls, deviceMs, bytes }),
});

describe("A-6 a grant is admitted or refused with the code of what is wrong", () => {
  test("A-6 a good grant is admitted for what it confers, by its grantee", () => {
    expect(judged(make())).toBe("admitted");
    expect(judged(make(), { command: "sample" })).toBe("admitted");
  });

  test("A-6 grant_malformed: no grant, unknown members, beyond a maximum", () => {
    const tooLong = { expiresMs: content.issuedMs + lifetimeMaximumMs + 1 };
    for (const wrong of [
      ...[null, undefined, 7, "grant", [], {}, altered({ epoch: 0 }), altered({ epoch: 1.5 })],
      ...[{ ...make(), more: 1 }, altered({ version: 2 as 1 }), altered({ signature: "00" })],
      ...[make(tooLong), make({ expiresMs: content.issuedMs })],
      make({ capabilities: Array.from({ length: 65 }, (_, index) => `c${index}`) }),
      ...["Run", "run/", "/run", "run//x", "*", "", "x".repeat(129)].map((name) =>
        make({ capabilities: [name] }),
      ),
      ...[0, -1, 0.5, 2 ** 53].map((calls) => make({ budget: { ...content.budget, calls } })),
    ])
      expect(judged(wrong)).toBe("grant_malformed");
  });

  test("A-6 grant_issuer_unknown: another issuer, with whatever key", () => {
    const foreign = make({ issuer: nodeIdOf(thiefKey.publicKey) }, thiefKey);
    expect(judged(foreign)).toBe("grant_issuer_unknown");
  });

  test("A-6 grant_issuer_stale: a key the issuer has rotated out", () => {
    expect(judged(make({}, keyOf(9)))).toBe("grant_issuer_stale");
  });

  test("A-6 grant_tampered: any member changed after signing, or signed by another", () => {
    for (const change of [
      { capabilities: ["run", "sample", "train"] },
      { epoch: 6 },
      { grantee: thiefKey.publicKey },
      { mesh: `psm${"a".repeat(32)}` },
      { expiresMs: content.expiresMs + 1 },
      { issuedMs: content.issuedMs - 1 },
      { budget: {} },
      { id: `psg${"a".repeat(32)}` },
      { signature: make({ epoch: 6 }).signature },
      { signature: "00".repeat(64) },
    ])
      expect(judged(altered(change))).toBe("grant_tampered");
    const forged = { ...make({}, thiefKey), issuerKey: ownerKey.publicKey };
    expect(judged(forged)).toBe("grant_tampered");
  });

  test("A-6 grant_stolen: presented by another key than the one it was issued to", () => {
    expect(judged(make(), { sender: thiefKey.publicKey })).toBe("grant_stolen");
    const reissued = altered({ grantee: thiefKey.publicKey });
    expect(judged(reissued, { sender: thiefKey.publicKey })).toBe("grant_tampered");
  });

  test("A-6 grant_wrong_mesh: issued for another mesh", () => {
    const other = meshIdOf({ nodeId: nodeIdOf(thiefKey.publicKey) });
    expect(judged(make({ mesh: other }))).toBe("grant_wrong_mesh");
  });

  test("A-6 grant_expired: over, before the horizon, or not begun beyond the clock skew", () => {
    expect(judged(make({ expiresMs: nowMs }))).toBe("grant_expired");
    expect(judged(make({ expiresMs: nowMs + 1 }))).toBe("admitted");
    expect(judged(make(), { facts: { horizonMs: () => content.expiresMs } })).toBe("grant_expired");
    expect(judged(make({ issuedMs: nowMs + clockSkewMs }))).toBe("admitted");
    expect(judged(make({ issuedMs: nowMs + clockSkewMs + 1 }))).toBe("grant_expired");
  });

  test("A-6 grant_superseded and grant_revoked: below the watermark, by what set it", () => {
    const below = (epoch: number, revokedBelow: number) => ({
      facts: { watermarkOf: () => ({ epoch, revokedBelow }) },
    });
    expect(judged(make(), below(5, 0))).toBe("admitted");
    expect(judged(make(), below(4, 4))).toBe("admitted");
    expect(judged(make(), below(6, 0))).toBe("grant_superseded");
    expect(judged(make(), below(6, 6))).toBe("grant_revoked");
    expect(judged(make(), below(7, 3))).toBe("grant_superseded");
    expect(judged(make({ capabilities: [] }))).toBe("grant_revoked");
  });

  test("A-6 grant_not_conferred: near-miss names", () => {
    const near = ["runs", "ru", "ru/n", "sampler", "sample-all", "replay", "run-status"];
    for (const command of near) expect(judged(make(), { command })).toBe("grant_not_conferred");
    const generate = make({ capabilities: ["ai/generate"] });
    expect(judged(generate, { command: "ai/generatex" })).toBe("grant_not_conferred");
    expect(judged(generate, { command: "ai" })).toBe("grant_not_conferred");
    expect(judged(generate, { command: "ai/generate/text" })).toBe("admitted");
  });

  test("A-6 grant_exhausted: each part of the budget", () => {
    expect(judged(make(), { facts: spent(9, 59_999, 999) })).toBe("admitted");
    for (const used of [spent(10, 0, 0), spent(0, 60_000, 0), spent(0, 0, 1_000)])
      expect(judged(make(), { facts: used })).toBe("grant_exhausted");
    expect(judged(make({ budget: {} as never }), { facts: spent(1e9, 1e9, 1e9) })).toBe("admitted");
  });
});

/** Faults in the order of A-6; each leaves what is checked before it alone. */
const faults = [
  "grant_issuer_stale",
  "grant_tampered",
  "grant_stolen",
  "grant_wrong_mesh",
  "grant_expired",
  "grant_superseded",
  "grant_not_conferred",
  "grant_exhausted",
] as const;

function withFaults(has: (code: (typeof faults)[number]) => boolean): string {
  const grant = make(
    {
      ...(has("grant_wrong_mesh") ? { mesh: `psm${"a".repeat(32)}` } : {}),
      ...(has("grant_expired") ? { expiresMs: nowMs - 1 } : {}),
    },
    has("grant_issuer_stale") ? keyOf(9) : ownerKey,
  );
  return judged(has("grant_tampered") ? { ...grant, epoch: 4 } : grant, {
    ...(has("grant_stolen") ? { sender: thiefKey.publicKey } : {}),
    command: has("grant_not_conferred") ? "replay" : "run",
    facts: {
      ...(has("grant_superseded") ? { watermarkOf: () => ({ epoch: 6, revokedBelow: 0 }) } : {}),
      ...(has("grant_exhausted") ? spent(10, 0, 0) : {}),
    },
  });
}

describe("A-6 the order of checks", () => {
  test("A-6 a grant wrong in several ways fails with the earliest code, for every combination", () => {
    for (let mask = 0; mask < 1 << faults.length; mask++) {
      const has = (code: (typeof faults)[number]) => (mask & (1 << faults.indexOf(code))) !== 0;
      expect(withFaults(has)).toBe(faults.find(has) ?? "admitted");
    }
  });
});

describe("A-6 properties", () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
  const name = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join("/"));

  test("A-6 a name confers itself and what lies below, and nothing else", () => {
    fc.assert(
      fc.property(name, name, word, (capability, other, more) => {
        expect(confers(capability, capability)).toBe(true);
        expect(confers(capability, `${capability}/${more}`)).toBe(true);
        expect(confers(capability, capability + more)).toBe(false);
        expect(confers(`${capability}/${more}`, capability)).toBe(false);
        const words = capability.split("/");
        const isBelow = other.split("/").slice(0, words.length).join("/") === capability;
        expect(confers(capability, other)).toBe(isBelow);
      }),
    );
  });

  test("A-6 hostile JSON is refused as malformed and never admitted", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(judged(value)).toBe("grant_malformed");
      }),
      { numRuns: 2_000 },
    );
  });

  test("A-6 a grant with one member replaced by any JSON is refused", () => {
    const members = Object.keys(make()) as (keyof Grant)[];
    fc.assert(
      fc.property(fc.constantFrom(...members), fc.jsonValue(), (member, value) => {
        fc.pre(!Bun.deepEquals(make()[member], value));
        const code = judged({ ...make(), [member]: value });
        expect(code).toMatch(/^grant_(malformed|issuer_unknown|issuer_stale|tampered)$/);
      }),
      { numRuns: 2_000 },
    );
  });

  test("A-6 what is signed reads back intact through its file", () => {
    const read = readGrant(JSON.parse(JSON.stringify(make())));
    expect("wrong" in read).toBe(false);
    expect(isIntact(read as Grant)).toBe(true);
  });
});
