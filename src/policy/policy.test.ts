import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { signingKeyFromSeed } from "#src/receipt/signature.ts";
import { contentDigest, parsePolicy, policyDigest, signPolicy } from "./policy.ts";
import { type Policy } from "./policy-schema.ts";
import { loadPolicy } from "./policy-store.ts";
import { owner, peer, PolicyNode, refusalOf, sample, sampleText } from "./policy.fixture.ts";

const json = (more: Record<string, unknown> = {}) => JSON.stringify({ ...sample, ...more });

describe("A-8 a policy's document", () => {
  test("A-8 TOML and JSON say the same", () => {
    expect(contentDigest(parsePolicy(json()))).toBe(contentDigest(sample));
    const nested = sampleText.replace("[signals]", '[signals]\nparameter.steps = "int"');
    expect(parsePolicy(nested).signals["parameter.steps"]).toBe("int");
  });

  const broken: [string, string, string][] = [
    ["neither TOML nor JSON", "name = ", "neither TOML nor JSON"],
    ["JSON that is cut off", json().slice(0, -1), "neither TOML nor JSON"],
    ["an unknown field", json({ rule: [] }), "rule"],
    ["no rules", json({ rules: [] }), "rules"],
    ["a default that allows", json({ default: { outcome: "allow", reason: "r" } }), "must be deny"],
    ["revision 0", json({ revision: 0 }), "revision"],
    ["a fraction of a revision", json({ revision: 1.5 }), "revision"],
    ["a name with a capital", json({ name: "Sample" }), "name"],
    ["a float signal", json({ signals: { x: "double" } }), "signals"],
    ["a computed signal", json({ signals: { "caller.trust": "string" } }), "computed by the node"],
    ["a word of the language", json({ signals: { int: "int" } }), "word of the rule language"],
    ["a malformed signal", json({ signals: { "a-b": "int" } }), "one word"],
    ["a malformed parameter", json({ signals: { "parameter.a.b": "int" } }), "no parameter's name"],
    [
      "a parameter no rule can name",
      json({ signals: { "parameter.in": "int" } }),
      "cannot be said in the rule language",
    ],
    ["two rules of one id", json({ rules: [sample.rules[0], sample.rules[0]] }), "two rules"],
    ["33 rules", json({ rules: Array.from({ length: 33 }, () => sample.rules[0]) }), "rules"],
    ["a signature", json({ signature: "00" }), "signed already"],
    ["half a character", json({ summary: "\ud83d" }), "half a character"],
    [
      "65 signals",
      json({
        signals: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`s${index}`, "int"])),
      }),
      "65 signals",
    ],
  ];
  test.each(broken)("A-8 %s is refused", async (_, source, reason) => {
    const refusal = await refusalOf(() => parsePolicy(source));
    expect(refusal.code).toBe("policy_wrong");
    expect(refusal.message).toContain(reason);
  });
});

describe("A-8 stored policies", () => {
  test("A-8 a policy is signed, receipted and journalled once", async () => {
    using node = new PolicyNode();
    const { isNew, digest, policy } = await node.add();
    expect(isNew).toBe(true);
    expect((await node.add()).isNew).toBe(false);
    const log = await node.services.receipts.open();
    const receipts = log.list({ kind: "policy.added", limit: 10 });
    expect(receipts.map(({ receipt }) => [receipt.subject, receipt.body["digest"]])).toEqual([
      ["sample@1", digest],
    ]);
    expect(node.services.journal.after(0, 10).map(({ type }) => type)).toEqual(["policy.added"]);
    expect(await loadPolicy("sample@1", node.services)).toMatchObject({ digest, policy });
  });

  test("A-8 a revision never changes; the next one may", async () => {
    using node = new PolicyNode();
    await node.add();
    const refusal = await refusalOf(node.add({ ...sample, summary: "another" }));
    expect(refusal).toMatchObject({ code: "policy_exists", details: { next: 2 } });
    expect((await node.add({ ...sample, summary: "another", revision: 2 })).isNew).toBe(true);
  });

  test("A-8 exactly the named revision loads, or none", async () => {
    using node = new PolicyNode();
    await node.add();
    await node.add({ ...sample, revision: 3 });
    const missing = await refusalOf(loadPolicy("sample@2", node.services));
    expect(missing).toMatchObject({
      code: "policy_not_found",
      details: { available: ["sample@3", "sample@1"] },
    });
    const misspelt = await refusalOf(loadPolicy("sampel@1", node.services));
    expect(misspelt).toMatchObject({ code: "policy_not_found" });
    expect(misspelt.hint).toContain("sample@1");
    const without = await refusalOf(loadPolicy("sample", node.services));
    expect(without.code).toBe("usage");
    expect(without.hint).toContain("sample@3, sample@1");
    for (const reference of ["", "sample@", "sample@01", "sample@1 ", "../x@1", "sample@1.0"])
      expect((await refusalOf(loadPolicy(reference, node.services))).code).toBe("usage");
  });

  const stranger = signingKeyFromSeed(new Uint8Array(32).fill(7));
  const damages: [string, (policy: Policy) => unknown][] = [
    [
      "a rule was changed",
      (policy) => ({ ...policy, rules: [{ ...policy.rules[0], outcome: "allow" }] }),
    ],
    ["the signature was changed", (policy) => ({ ...policy, signature: "00".repeat(64) })],
    ["it is no policy", () => ({})],
    ["it is another revision", (policy) => ({ ...policy, revision: 2 })],
    [
      "another key signed it",
      ({ author }) => signPolicy(sample, { nodeId: author, key: stranger }),
    ],
    ["another node signed it", () => signPolicy(sample, { nodeId: "psnother", key: stranger })],
  ];
  test.each(damages)("A-8 a stored policy is refused when %s", async (_, damage) => {
    using node = new PolicyNode();
    const { policy } = await node.add();
    const changed = damage(policy) as Policy;
    // Whoever can write the database also writes a fitting digest, where the text has one.
    const digest = "rules" in changed ? policyDigest(changed) : "00";
    node.services.store.run(
      "UPDATE policy SET text = ?, digest = ?",
      JSON.stringify(changed),
      digest,
    );
    expect((await refusalOf(loadPolicy("sample@1", node.services))).code).toBe("policy_damaged");
    expect((await refusalOf(node.mark("a"))).code).toBe("policy_damaged");
    expect(await node.marks("a")).toBe(0);
    const { policies } = (await node.call("policy/list", {})) as { policies: { holds: boolean }[] };
    expect(policies.map(({ holds }) => holds)).toEqual([false]);
  });

  test("A-8 a digest that no longer fits is damage", async () => {
    using node = new PolicyNode();
    await node.add();
    node.services.store.run("UPDATE policy SET digest = ?", "11".repeat(32));
    expect((await refusalOf(loadPolicy("sample@1", node.services))).code).toBe("policy_damaged");
  });

  test("A-8 a stored policy beyond today's language is refused", async () => {
    using node = new PolicyNode();
    const { policy } = await node.add();
    const { author } = await node.services.receipts.open();
    const beyond = { ...sample, rules: [{ ...sample.rules[0]!, when: "purpose.matches('a')" }] };
    const signed = signPolicy(beyond, author);
    expect(signed.author).toBe(policy.author);
    node.services.store.run(
      "UPDATE policy SET text = ?, digest = ?",
      JSON.stringify(signed),
      policyDigest(signed),
    );
    const refusal = await refusalOf(loadPolicy("sample@1", node.services));
    expect(refusal.code).toBe("policy_damaged");
    expect(refusal.message).toContain("matches");
  });
});

describe("A-8 the policy commands", () => {
  test("A-8 add, show and list agree; the export is the signed policy", async () => {
    using node = new PolicyNode();
    const file = join(node.home, "sample.toml");
    writeFileSync(file, sampleText);
    expect(await node.call("policy/add", { file })).toMatchObject({
      policy: "sample@1",
      isNew: true,
    });
    expect(await node.call("policy/add", { file })).toMatchObject({
      policy: "sample@1",
      isNew: false,
    });
    const out = join(node.home, "signed.json");
    const shown = (await node.call("policy/show", { policy: "sample@1", file: out })) as {
      policy: Policy;
    };
    expect(await Bun.file(out).json()).toEqual(shown.policy);
    expect(await node.call("policy/list", {})).toMatchObject({
      policies: [{ reference: "sample@1", holds: true }],
    });
  });

  test("A-4 only the owner at the machine adds; only the owner lists", async () => {
    using node = new PolicyNode();
    const file = join(node.home, "sample.toml");
    writeFileSync(file, sampleText);
    for (const caller of [{ provenance: "token" } as const, peer("trusted")])
      expect((await refusalOf(node.call("policy/add", { file }, caller))).code).toBe(
        "not_authorised",
      );
    expect((await refusalOf(node.call("policy/list", {}, peer("trusted")))).code).toBe(
      "not_authorised",
    );
    expect(await node.call("policy/list", {}, { provenance: "token" })).toEqual({ policies: [] });
  });

  test("A-8 a file beyond the bound is refused before it is read", async () => {
    using node = new PolicyNode();
    const file = join(node.home, "large.toml");
    writeFileSync(file, `# ${"x".repeat(300_000)}\n${sampleText}`);
    expect((await refusalOf(node.call("policy/add", { file }))).code).toBe("usage");
  });

  const given = { purpose: "x", count: 10, urgent: true, labels: [], sizes: [] };

  test("A-8 a test says which rule decides and executes nothing", async () => {
    using node = new PolicyNode();
    await node.add();
    expect(await node.call("policy/test", { policy: "sample@1", signals: given })).toMatchObject({
      cases: [{ outcome: "deny", rule: "divides", isExpected: true, expected: null }],
    });
    const text = JSON.stringify(given);
    expect(await node.call("policy/test", { policy: "sample@1", signals: text })).toMatchObject({
      cases: [{ rule: "divides" }],
    });
    const log = await node.services.receipts.open();
    expect(log.list({ kind: "execution.attested", limit: 1 })).toEqual([]);
  });

  test("A-8 a table of cases is refused where one comes out otherwise", async () => {
    using node = new PolicyNode();
    const policy = join(node.home, "sample.toml");
    writeFileSync(policy, sampleText);
    const cases = join(node.home, "cases.json");
    const good = { name: "ten", signals: given, outcome: "deny", rule: "divides" };
    writeFileSync(cases, JSON.stringify({ cases: [good] }));
    expect(await node.call("policy/test", { policy, signals: cases })).toMatchObject({
      cases: [{ name: "ten", isExpected: true }],
    });
    for (const wrong of [
      { ...good, outcome: "allow" },
      { ...good, rule: null },
    ]) {
      writeFileSync(cases, JSON.stringify({ cases: [good, wrong] }));
      const refusal = await refusalOf(node.call("policy/test", { policy, signals: cases }));
      expect(refusal).toMatchObject({ code: "policy_test_failed", exitStatus: 13 });
      expect(refusal.details["cases"]).toMatchObject([{ isExpected: true }, { isExpected: false }]);
    }
    expect((await refusalOf(node.call("policy/test", { policy }))).code).toBe(
      "policy_signal_missing",
    );
    const unreadable = { policy, signals: "{" };
    expect((await refusalOf(node.call("policy/test", unreadable, owner))).code).toBe("usage");
  });

  test("A-8 a test needs the computed signals its rules mention, and no others", async () => {
    using node = new PolicyNode();
    const rules = [{ id: "m", when: 'caller.trust == "member"', outcome: "allow", reason: "r" }];
    const file = join(node.home, "p.json");
    writeFileSync(file, json({ signals: {}, rules }));
    const missing = await refusalOf(node.call("policy/test", { policy: file }));
    expect(missing).toMatchObject({
      code: "policy_signal_missing",
      details: { signals: ["caller.trust"] },
    });
    const signals = { "caller.trust": "member" };
    expect(await node.call("policy/test", { policy: file, signals })).toMatchObject({
      cases: [{ outcome: "allow", rule: "m" }],
    });
  });
});
