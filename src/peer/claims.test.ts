import { describe, expect, test } from "bun:test";
import {
  identityDigestOf,
  manifestDigestOf,
  type RuntimeManifest,
} from "#src/receipt/runtime-manifest.ts";
import { judgeClaims, makeClaims, refusedClaims, type ClaimsPath } from "./claims.ts";
import { claimsPolicies, type ClaimsStanding } from "./link.ts";
import { message, self } from "./message.fixture.ts";
import { readMessage } from "./message.ts";
import { alice, bob, keyOf, mallory, refusalOf } from "./peer.fixture.ts";
import type { JsonObject } from "./signed-document.ts";

const manifest: RuntimeManifest = {
  ...{ type: "runtime-manifest", version: 1 },
  execution: {
    binary: { version: "1.2.3", buildDigest: "b" },
    backend: {
      ...{ name: "cpu", lane: "avx2", compiler: "gcc", kernelLibraries: {} },
      numericSpecification: "exact/1",
    },
    ...{ device: { coreCount: 2 }, environmentReferences: {}, artifactBindings: {} },
    ...{ staticConfiguration: {}, claimsProfile: "recomputable" },
  },
  mutable: { environmentVariables: { TZ: "UTC" }, knobs: {} },
};

const direct: ClaimsPath = { kind: "direct" };
const relayed: ClaimsPath = { kind: "relay", relay: mallory.nodeId, session: "s1" };
const good = makeClaims(alice, manifest, direct);
const byRelay = makeClaims(alice, manifest, relayed);
const without = ({ ...claims }: Record<string, unknown>, name: string) => {
  delete claims[name];
  return claims;
};

/** What a bundle must be under the policies none, best_effort and required, in this order. */
type Outcomes = readonly [string, string, string];
const everywhere = (outcome: string): Outcomes => [outcome, outcome, outcome];

const cases: [string, JsonObject | undefined, ClaimsPath, Outcomes][] = [
  ["missing", undefined, direct, ["unavailable", "unavailable", "claims_missing"]],
  ["missing on a relay", undefined, relayed, ["unavailable", "unavailable", "claims_missing"]],
  ["its own", good, direct, everywhere("verified")],
  ["its own on a relay", byRelay, relayed, everywhere("verified")],
  ["its own, of no proof", { ...good, proofPosture: "none" }, direct, everywhere("verified")],
  ["of proof", { ...good, proofPosture: "proof_bearing" }, direct, everywhere("verified")],
  ["another node's", { ...good, nodeId: bob.nodeId }, direct, everywhere("claims_detached")],
  [
    "another node's whole",
    makeClaims(bob, manifest, direct),
    direct,
    everywhere("claims_detached"),
  ],
  [
    "of another key",
    { ...good, publicKey: keyOf(9).publicKey },
    direct,
    everywhere("claims_detached"),
  ],
  ["of the direct way on a relay", good, relayed, everywhere("claims_detached")],
  ["of a relay on the direct way", byRelay, direct, everywhere("claims_detached")],
  ["of another relay", byRelay, { ...relayed, relay: bob.nodeId }, everywhere("claims_detached")],
  ["of another session", byRelay, { ...relayed, session: "s2" }, everywhere("claims_detached")],
  ["empty", {}, direct, everywhere("claims_invalid")],
  ["with more in them", { ...good, isTrusted: true }, direct, everywhere("claims_invalid")],
  ["of a key that is none", { ...good, publicKey: "key" }, direct, everywhere("claims_invalid")],
  [
    "of a digest that is none",
    { ...good, manifestDigest: "0" },
    direct,
    everywhere("claims_invalid"),
  ],
  [
    "of a posture that is none",
    { ...good, proofPosture: "sure" },
    direct,
    everywhere("claims_invalid"),
  ],
  [
    "of a way that is none",
    { ...good, path: { kind: "air" } },
    direct,
    everywhere("claims_invalid"),
  ],
  [
    "of a relay without a name",
    { ...good, path: { kind: "relay" } },
    relayed,
    everywhere("claims_invalid"),
  ],
  ["of a long profile", { ...good, profile: "a".repeat(65) }, direct, everywhere("claims_invalid")],
  ...Object.keys(good).map((name): (typeof cases)[number] => [
    `without ${name}`,
    ...([without(good, name), direct, everywhere("claims_invalid")] as const),
  ]),
];

function judged(
  policy: (typeof claimsPolicies)[number],
  claims: JsonObject | undefined,
  path: ClaimsPath,
): ClaimsStanding {
  const bytes = message({ claims: claims ?? null });
  const { envelope } = readMessage(bytes, self);
  return judgeClaims(policy, envelope.claims, {
    ...{ sender: envelope.sender, key: envelope.key, path },
  });
}

describe.each(claimsPolicies.map((policy, place) => ({ policy, place })))(
  "I-4 claims under the policy $policy",
  ({ policy, place }) => {
    test.each(cases)("I-4 %s", (_, claims, path, outcomes) => {
      const outcome = outcomes[place]!;
      if (outcome.startsWith("claims_")) {
        expect(refusalOf(() => judged(policy, claims, path)).code as string).toBe(outcome);
        return;
      }
      const standing = judged(policy, claims, path);
      expect([standing.policy, standing.result as string]).toEqual([policy, outcome]);
    });
  },
);

describe("I-5 what is shown of claims", () => {
  test("I-5 both digests, the profile and the posture", () => {
    expect(judged("required", good, direct)).toEqual({
      ...{ policy: "required", result: "verified", profile: "recomputable", reason: null },
      identityDigest: identityDigestOf(manifest),
      manifestDigest: manifestDigestOf(manifest),
      proofPosture: "best_effort",
    });
  });

  test("I-5 missing ones are unavailable, with a reason where they were asked for", () => {
    const nothing = { identityDigest: null, manifestDigest: null, profile: null };
    expect(judged("none", undefined, direct)).toEqual({
      ...{ ...nothing, policy: "none", result: "unavailable", proofPosture: "none", reason: null },
    });
    const asked = judged("best_effort", undefined, direct);
    expect(asked).toMatchObject({ ...nothing, result: "unavailable", proofPosture: "none" });
    expect(asked.reason).toContain("no claims");
  });

  test("I-5 proofs nobody checked are not passed off as checked", () => {
    const standing = judged("required", { ...good, proofPosture: "proof_bearing" }, direct);
    expect(standing.proofPosture).toBe("proof_bearing");
    expect(standing.reason).toContain("checks none");
  });

  test("I-5 refused ones say why", () => {
    const refusal = refusalOf(() => judged("required", undefined, direct));
    expect(refusedClaims("required", refusal)).toMatchObject({
      ...{ policy: "required", result: "refused", reason: refusal.message, identityDigest: null },
    });
  });

  test("I-4 a mutable variable moves the manifest's digest and not the identity's", () => {
    const other = { ...manifest, mutable: { ...manifest.mutable, knobs: { threads: 2 } } };
    const moved = makeClaims(alice, other, direct);
    expect(moved.identityDigest).toBe(good.identityDigest);
    expect(moved.manifestDigest).not.toBe(good.manifestDigest);
  });
});
