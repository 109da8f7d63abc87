import { describe, expect, test } from "bun:test";
import { digestJson } from "#src/codec/digest.ts";
import type { Caller } from "#src/command/caller.ts";
import { identityDigestOf } from "#src/receipt/runtime-manifest.ts";
import { signingKeyFromSeed } from "#src/receipt/signature.ts";
import { contentDigest } from "./policy.ts";
import {
  allowed,
  attested,
  everything,
  owner,
  peer,
  PolicyNode,
  refusalOf,
  sample,
  withPolicies,
} from "./policy.fixture.ts";

const token = { provenance: "token" } as const;

const destroy = (node: PolicyNode, how: string, caller = owner) =>
  node.call(
    "execute",
    { command: "test/destroy", policy: "everything@1", parameters: { how } },
    caller,
  );

describe("A-8 execution under a policy", () => {
  test("A-8 an allowed command runs and is attested", async () => {
    using node = await withPolicies();
    const result = await node.mark("a");
    expect(result).toMatchObject({
      outcome: "allow",
      rule: "purpose",
      result: { key: "a", fraction: 0.5 },
    });
    const { body } = result.attestation;
    const parameters = { key: "a", steps: 3 };
    const { nodeId } = await node.services.identity.open();
    expect(body).toMatchObject({
      execution: result.execution,
      ...{ policy: "sample", revision: 1, command: "test/mark", outcome: "allow", ended: "done" },
      parametersDigest: digestJson(parameters),
      resultDigest: digestJson({ key: "a", fraction: 0.5 }),
      runtimeDigest: identityDigestOf(await node.services.runtime.manifest()),
      signalsDigest: digestJson({
        ...allowed,
        ...{ "caller.provenance": "local", "caller.trust": "owner", "caller.node": nodeId },
        ...{ command: "test/mark", parameters: digestJson(parameters) },
      }),
      fingerprint: digestJson({
        ...{ type: "psionic-execution", version: 1, policy: contentDigest(sample), key: "" },
        ...{ command: "test/mark", parametersDigest: digestJson(parameters), signals: allowed },
        caller: nodeId,
      }),
    });
    const journal = node.services.journal
      .after(0, 100)
      .filter(({ type }) => type === "policy.executed");
    expect(journal).toMatchObject([{ subject: result.execution, body: { ended: "done" } }]);
    expect(await node.marks("a")).toBe(1);
  });

  test("A-8 what is denied does not run, and is attested all the same", async () => {
    using node = await withPolicies();
    const refusal = await refusalOf(node.mark("a", { signals: { ...allowed, count: 51 } }));
    expect(refusal).toMatchObject({
      code: "policy_denied",
      exitStatus: 12,
      details: { rule: "too-many", reason: "that is too many" },
    });
    expect(await node.marks("a")).toBe(0);
    expect(await attested(node)).toMatchObject([
      { body: { outcome: "deny", ended: "denied", rule: "too-many", resultDigest: null } },
    ]);
    const byDefault = await refusalOf(
      node.mark("a", { signals: { ...allowed, purpose: "x", urgent: true } }),
    );
    expect(byDefault).toMatchObject({ code: "policy_denied", details: { rule: null } });
    const byError = await refusalOf(
      node.mark("a", { signals: { ...allowed, count: 0, sizes: [], urgent: true } }),
    );
    expect(byError.details).toMatchObject({ rule: "divides", error: "division_by_zero" });
    const again = await refusalOf(node.mark("a", { signals: { ...allowed, count: 51 } }));
    expect(again).toMatchObject({ code: "execution_duplicate", details: { state: "denied" } });
  });

  test("A-8 missing, unknown, wrong and reserved signals block and claim nothing", async () => {
    using node = await withPolicies();
    const { purpose: _, ...without } = allowed;
    const blocked: [string, Record<string, unknown>][] = [
      ["policy_signal_missing", without],
      ["policy_signal_wrong", { ...allowed, extra: 1 }],
      ["policy_signal_wrong", { ...allowed, count: "5" }],
      ["policy_signal_wrong", { ...allowed, count: 1.5 }],
      ["policy_signal_wrong", { ...allowed, count: 2 ** 53 }],
      ["policy_signal_wrong", { ...allowed, urgent: 1 }],
      ["policy_signal_wrong", { ...allowed, labels: [1] }],
      ["policy_signal_wrong", { ...allowed, labels: "a" }],
      ["policy_signal_wrong", { ...allowed, sizes: Array.from({ length: 129 }, () => 1) }],
      ["policy_signal_wrong", { ...allowed, purpose: "x".repeat(257) }],
      ["policy_signal_wrong", { ...allowed, purpose: "\ud800" }],
      ["policy_signal_wrong", { ...allowed, purpose: null }],
      ["policy_signal_reserved", { ...allowed, "caller.trust": "owner" }],
      ["policy_signal_reserved", { ...allowed, command: "x" }],
      ["policy_signal_reserved", { ...allowed, parameters: "x" }],
      ["policy_signal_reserved", { ...allowed, "parameter.key": "x" }],
      ["policy_signal_reserved", { ...allowed, caller: "x" }],
    ];
    for (const [code, signals] of blocked)
      expect([code, (await refusalOf(node.mark("a", { signals }))).code]).toEqual([code, code]);
    expect(node.services.store.all("SELECT * FROM execution")).toEqual([]);
    await node.mark("a");
  });

  test("A-8 a policy sees the command's own parameters, defaults filled in", async () => {
    using node = await withPolicies();
    await node.add({
      ...everything,
      name: "steps",
      signals: { "parameter.steps": "int" },
      rules: [{ id: "few", when: "parameter.steps <= 3", outcome: "allow", reason: "few" }],
    });
    const ask = (parameters: Record<string, unknown>) =>
      node.call("execute", { command: "test/mark", policy: "steps@1", parameters });
    expect(await ask({ key: "a" })).toMatchObject({ rule: "few" });
    expect((await refusalOf(ask({ key: "a", steps: 4 }))).code).toBe("policy_denied");
    expect((await refusalOf(ask({ key: "a", steps: 0.5 }))).code).toBe("policy_signal_wrong");
    const same = await refusalOf(ask({ key: "a", steps: 3 }));
    expect(same.code).toBe("execution_duplicate");
    const other = { command: "test/destroy", policy: "steps@1" };
    expect((await refusalOf(node.call("execute", other))).code).toBe("policy_signal_missing");
  });

  test("A-8 what cannot be asked claims nothing", async () => {
    using node = await withPolicies();
    const ask = (more: Record<string, unknown>) => refusalOf(node.mark("a", more));
    expect((await ask({ command: "test/markk" })).code).toBe("unknown_command");
    expect((await ask({ parameters: { kee: 1 } })).code).toBe("usage");
    expect(
      (await ask({ command: "execute", parameters: { command: "x", policy: "y" } })).code,
    ).toBe("usage");
    expect((await ask({ parameters: { key: "\ud800" } })).code).toBe("usage");
    expect((await ask({ key: "\ud800" })).code).toBe("usage");
    expect((await ask({ parameters: { key: "x".repeat(70_000) } })).code).toBe("usage");
    expect((await ask({ policy: "nothing@1" })).code).toBe("policy_not_found");
    expect((await ask({ policy: "sample" })).code).toBe("usage");
    expect(node.services.store.all("SELECT * FROM execution")).toEqual([]);
  });

  test("A-8 a command that refuses or fails is attested as such", async () => {
    using node = await withPolicies();
    const refused = await refusalOf(destroy(node, "refuse"));
    expect(refused).toMatchObject({ code: "not_found", message: "there is nothing" });
    expect(refused.details["execution"]).toMatch(/^psx[0-9a-f]{32}$/);
    const bug: unknown = await destroy(node, "crash").catch((error: unknown) => error);
    expect(bug).toHaveProperty("message", "a bug");
    expect((await refusalOf(destroy(node, "crash"))).details["state"]).toBe("failed");
    expect((await refusalOf(destroy(node, "refuse"))).details["state"]).toBe("refused");
    expect((await attested(node)).map(({ body }) => [body.outcome, body.ended])).toEqual([
      ["allow", "failed"],
      ["allow", "refused"],
    ]);
  });

  test("A-8 a result with half a character is attested", async () => {
    using node = await withPolicies();
    await destroy(node, "half");
    expect((await attested(node))[0]!.body.resultDigest).toBe(digestJson({ text: "\ufffd" }));
  });

  test("A-8 without a runtime manifest or an identity nothing runs", async () => {
    using node = await withPolicies();
    const broken = {
      manifest: async () => {
        throw new Error("no manifest");
      },
    };
    Object.defineProperty(node.services, "runtime", { value: broken });
    const failure: unknown = await node.mark("a").catch((error: unknown) => error);
    expect(failure).toHaveProperty("message", "no manifest");
    expect(node.services.store.all("SELECT * FROM execution")).toEqual([]);
    using empty = new PolicyNode();
    expect((await refusalOf(empty.mark("a"))).code).toBe("policy_not_found");
  });
});

describe("A-5 a policy confers nothing", () => {
  test("A-5 whom the gate refuses, an allowing policy does not help", async () => {
    using node = await withPolicies();
    for (const trust of ["member", "trusted", "owner"] as const) {
      const refusal = await refusalOf(destroy(node, "", peer(trust)));
      expect(refusal).toMatchObject({
        code: "not_authorised",
        details: { command: "test/destroy" },
      });
    }
    expect(node.services.store.all("SELECT * FROM execution")).toEqual([]);
    expect(await destroy(node, "")).toMatchObject({ result: { text: "destroyed" } });
  });

  test("A-6 a grant's last call executes: what it runs belongs to the same use", async () => {
    using node = await withPolicies();
    await node.services.receipts.open();
    const grantee = signingKeyFromSeed(new Uint8Array(32).fill(9)).publicKey;
    const grant = node.services.issued.issue({
      ...{ grantee, capabilities: ["execute", "test/mark"], lifetimeMs: 3_600_000 },
      budget: { calls: 1 },
    });
    const guest = { ...peer("provisional"), publicKey: grantee, grant } as Caller;
    await node.mark("last", {}, guest);
    expect(await node.marks("last")).toBe(1);
    const refusal = await refusalOf(node.mark("one-more", {}, guest));
    expect(refusal.code).toBe("grant_exhausted");
    expect(await node.marks("one-more")).toBe(0);
  });

  test("A-5 execute itself is for members", async () => {
    using node = await withPolicies();
    for (const caller of [
      peer("provisional"),
      peer("blocked"),
      { provenance: "anonymous" } as const,
    ])
      expect(["not_authorised", "peer_blocked"]).toContain(
        (await refusalOf(node.mark("a", {}, caller))).code,
      );
    const member = await node.mark("a", {}, peer("member"));
    expect(member.execution).toBeString();
    expect((await refusalOf(node.mark("a", { file: "/tmp/x" }, peer("member")))).code).toBe(
      "not_authorised",
    );
    expect((await refusalOf(node.mark("a", { file: "/tmp/x" }, token))).code).toBe(
      "not_authorised",
    );
  });
});

describe("A-8 at most once", () => {
  test("A-8 a duplicate is refused; another key, caller, policy or parameter is another request", async () => {
    using node = await withPolicies();
    const { execution } = await node.mark("a");
    const duplicate = await refusalOf(node.mark("a"));
    expect(duplicate).toMatchObject({
      code: "execution_duplicate",
      details: { execution, state: "done" },
    });
    expect(duplicate.details["claimedMs"]).toBeNumber();
    expect((await refusalOf(node.mark("a", {}, token))).code).toBe("execution_duplicate");
    await node.mark("a", { key: "again" });
    await node.mark("a", {}, peer("member"));
    await node.mark("b");
    await node.add({ ...sample, revision: 2 });
    await node.mark("a", { policy: "sample@2" });
    await node.mark("a", { signals: { ...allowed, count: 6 } });
    expect(await node.marks("a")).toBe(5);
  });

  test("A-8 while the first still runs, and across a restart", async () => {
    const node = await withPolicies();
    let finish = () => {};
    const waiting = new Promise<void>((resolve) => (finish = resolve));
    let started = () => {};
    const running = new Promise<void>((resolve) => (started = resolve));
    const slow = { ...node.registry.get("test/mark")!, name: "test/slow" };
    node.registry.declare({
      ...slow,
      async run() {
        started();
        await waiting;
        return {};
      },
    });
    const first = node.mark("a", { command: "test/slow" });
    await running;
    const during = await refusalOf(node.mark("a", { command: "test/slow" }));
    expect(during).toMatchObject({ code: "execution_duplicate", details: { state: "running" } });
    using second = new PolicyNode(node.home, true);
    second.registry.declare(slow);
    const elsewhere = await refusalOf(second.mark("a", { command: "test/slow" }));
    expect(elsewhere).toMatchObject({
      code: "execution_duplicate",
      details: { state: "unfinished" },
    });
    expect(elsewhere.hint).toContain("--key");
    finish();
    await first;
    expect((await refusalOf(second.mark("a", { command: "test/slow" }))).details["state"]).toBe(
      "done",
    );
    node[Symbol.dispose]();
  });
});
