import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { signReceipt } from "#src/receipt/receipt.ts";
import { signingKeyFromSeed } from "#src/receipt/signature.ts";
import { verifyAttestation, type Attestation } from "./attestation.ts";
import { loadPolicy } from "./policy-store.ts";
import {
  allowed,
  attested,
  PolicyNode,
  refusalOf,
  sample,
  withPolicies,
} from "./policy.fixture.ts";

describe("A-8 attestations", () => {
  const another = signingKeyFromSeed(new Uint8Array(32).fill(9));

  test("A-8 an attestation holds by itself and shows what it was about", async () => {
    using node = await withPolicies();
    const file = join(node.home, "a.json");
    const { execution, attestation } = await node.mark("a", { file });
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(attestation);
    const shown = (await node.call("attestation/show", { execution })) as Record<string, unknown>;
    expect(shown).toMatchObject({
      state: "done",
      result: { fraction: 0.5 },
      signals: allowed,
      attestation,
    });
    const out = join(node.home, "b.json");
    const signals = join(node.home, "signals.json");
    await node.call("attestation/export", { execution, file: out, signals });
    expect(readFileSync(out, "utf8")).toBe(readFileSync(file, "utf8"));
    using stranger = new PolicyNode();
    const checked = await stranger.call("attestation/verify", {
      file: out,
      signals,
      key: attestation.key,
    });
    expect(checked).toMatchObject({
      isAuthorProven: true,
      body: { execution },
      signalsChecked: true,
      key: attestation.key,
    });
    const document = attestation;
    const anonymous = { provenance: "anonymous" } as const;
    expect(await stranger.call("attestation/verify", { document }, anonymous)).toMatchObject({
      signalsChecked: false,
    });
    for (const parameters of [{ file: out }, { document, signals }])
      expect(
        (await refusalOf(stranger.call("attestation/verify", parameters, anonymous))).code,
      ).toBe("not_authorised");
  });

  test("A-8 whatever does not hold is refused with its reason", async () => {
    using node = await withPolicies();
    await node.mark("a");
    const [good] = (await attested(node)) as [Attestation];
    const { signature, ...content } = good;
    expect(verifyAttestation(good, { key: good.key.toUpperCase() })).toEqual(good);
    const body = { ...good.body, outcome: "deny" };
    const turned = (signature.startsWith("0") ? "1" : "0") + signature.slice(1);
    const signedBy = (more: Record<string, unknown>) =>
      signReceipt({ ...content, key: another.publicKey, ...more }, another);
    const faults: [string, unknown, Record<string, unknown>?][] = [
      ["shape", null],
      ["shape", []],
      ["shape", { ...good, kind: "run.checkpoint" }],
      ["shape", { ...good, extra: 1 }],
      ["shape", { ...good, body: { ...good.body, extra: 1 } }],
      ["shape", { ...good, subject: "psx0" }],
      ["shape", { ...good, body: { ...good.body, reason: "\ud800" } }],
      ["shape", { ...good, countersignature: { key: good.key, signature } }],
      ["shape", { ...good, sequence: 1.5 }],
      ["shape", content],
      ["signature_wrong", { ...good, body }],
      ["signature_wrong", { ...good, signature: turned }],
      ["signature_wrong", { ...good, atMs: good.atMs + 1 }],
      ["author_unproven", signedBy({})],
      ["author_unproven", { ...good, key: another.publicKey }],
      ["key_differs", good, { key: another.publicKey }],
      ["key_differs", signedBy({}), { key: good.key }],
      ["signals_differ", good, { signals: allowed }],
      ["signals_differ", good, { signals: "\ud800" }],
    ];
    for (const [reason, document, options] of faults) {
      const refusal = await refusalOf(() => verifyAttestation(document, options));
      expect([reason, refusal.code, refusal.exitStatus, refusal.details["reason"]]).toEqual([
        ...[reason, "attestation_wrong", 13, reason],
      ]);
    }
    const file = join(node.home, "broken.json");
    writeFileSync(file, "{");
    const broken = await refusalOf(node.call("attestation/verify", { file }));
    expect(broken).toMatchObject({ code: "attestation_wrong", details: { reason: "not_json" } });
    // Signed is what a parser reads last; another program would read the first.
    const twin = JSON.stringify(good).replace('"outcome"', '"outcome":"deny","outcome"');
    expect(JSON.parse(twin)).toEqual(good);
    writeFileSync(file, twin);
    const two = await refusalOf(node.call("attestation/verify", { file }));
    expect(two).toMatchObject({ code: "attestation_wrong", details: { reason: "not_json" } });
    for (const parameters of [{}, { file, document: {} }])
      expect((await refusalOf(node.call("attestation/verify", parameters))).code).toBe("usage");
  });

  test("I-6 after a rotation policies hold, duplicates stay refused, attestations need the new key", async () => {
    using node = await withPolicies();
    await node.mark("a");
    const log = await node.services.receipts.open();
    log.rotate(another, 1_000);
    expect((await refusalOf(node.mark("a"))).code).toBe("execution_duplicate");
    expect((await node.add()).isNew).toBe(false);
    const { attestation } = await node.mark("b");
    expect(attestation.key).toBe(another.publicKey);
    const unproven = await refusalOf(() => verifyAttestation(attestation));
    expect(unproven.details).toEqual({ reason: "author_unproven" });
    expect(verifyAttestation(attestation, { key: another.publicKey }).subject).toMatch(/^psx/);
    // Anybody may write another's name beside a key of their own; it does not count as proven.
    const asked = { document: { ...attestation }, key: another.publicKey };
    expect(await node.call("attestation/verify", asked)).toMatchObject({
      ...{ author: log.author.nodeId, isAuthorProven: false },
    });
    await node.add({ ...sample, revision: 2 });
    expect((await loadPolicy("sample@2", node.services)).policy.key).toBe(another.publicKey);
    // Without the rotation the old key is nobody's, and what it signed counts no more.
    node.services.store.run("DELETE FROM receipt WHERE kind = 'key.rotated'");
    expect((await refusalOf(loadPolicy("sample@1", node.services))).code).toBe("policy_damaged");
  });

  test("A-8 an execution nobody knows, or that never ended, has nothing to export", async () => {
    using node = await withPolicies();
    const nobody = { execution: `psx${"0".repeat(32)}`, file: join(node.home, "x") };
    for (const name of ["attestation/show", "attestation/export"]) {
      const { execution, file } = nobody;
      const parameters = name === "attestation/show" ? { execution } : { execution, file };
      expect((await refusalOf(node.call(name, parameters))).code).toBe("execution_not_found");
    }
    const { execution } = await node.mark("a");
    node.services.store.run(
      "UPDATE execution SET state = 'claimed', receipt_digest = NULL WHERE id = ?",
      execution,
    );
    expect(await node.call("attestation/show", { execution })).toMatchObject({
      state: "unfinished",
    });
    await node.mark("b");
    const list = async (unfinished: boolean) =>
      (await node.call("attestation/list", { unfinished })) as { executions: { state: string }[] };
    expect((await list(false)).executions.map(({ state }) => state)).toEqual([
      "done",
      "unfinished",
    ]);
    expect((await list(true)).executions).toMatchObject([{ execution, state: "unfinished" }]);
    const exported = node.call("attestation/export", { ...nobody, execution });
    expect((await refusalOf(exported)).details["state"]).toBe("unfinished");
  });

  test("A-8 a file that cannot be written takes the execution back neither way", async () => {
    using node = await withPolicies();
    const file = join(node.home, "absent", "a.json");
    const refusal = await refusalOf(node.mark("a", { file }));
    expect(refusal.hint).toContain("attestation export psx");
    expect(await node.marks("a")).toBe(1);
    expect((await refusalOf(node.mark("a"))).code).toBe("execution_duplicate");
  });
});
