import * as v from "valibot";
import type { CommandContext, Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { policyFileMaximum, policySchema } from "./policy-schema.ts";

const file = (what: string) =>
  v.pipe(v.string(), v.nonEmpty(), v.maxLength(4096), v.description(what));
const reference = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.maxLength(100),
  v.description("the policy, as NAME@REVISION"),
);

/** The text of a file no longer than a policy may be. */
export async function readBounded(path: string, disk: Services["disk"]): Promise<string> {
  const entry = await disk.stat(path);
  if (entry !== null && entry.sizeBytes > policyFileMaximum)
    throw new Refusal(
      "usage",
      `${path} has ${entry.sizeBytes} bytes; ${policyFileMaximum} are allowed`,
      "give the right file",
      { path, sizeBytes: entry.sizeBytes },
    );
  return disk.readText(path);
}

defineCommand({
  name: "policy/add",
  summary: "Check, sign and store a policy: rules that decide whether a command may proceed.",
  access: "owner",
  flow: "evidence",
  localOnly: true,
  parameters: v.strictObject({ file: file("the policy, in TOML or JSON") }),
  positional: ["file"],
  paths: ["file"],
  result: v.object({
    policy: v.string(),
    digest: v.string(),
    isNew: v.boolean(),
    document: policySchema,
  }),
  examples: ["psionic policy add small-runs.toml"],
  async run({ file }, { services }) {
    const [{ parsePolicy, referenceOf }, { addPolicy }] = await Promise.all([
      import("./policy.ts"),
      import("./policy-store.ts"),
    ]);
    const content = parsePolicy(await readBounded(file, services.disk));
    await services.identity.openOrCreate();
    const { policy, digest, isNew } = await addPolicy(content, services);
    return { policy: referenceOf(policy), digest, isNew, document: policy };
  },
  view: (screen) => ({
    result({ policy, digest, isNew }) {
      screen.print(`${policy}  ${digest}`);
      screen.note(isNew ? "signed and stored" : "it is stored already, with the same content");
    },
  }),
});

defineCommand({
  name: "policy/list",
  summary: "The policies this node holds.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({}),
  result: v.object({
    policies: v.array(
      v.object({
        reference: v.string(),
        digest: v.string(),
        addedMs: v.number(),
        summary: v.string(),
        holds: v.boolean(),
      }),
    ),
  }),
  examples: ["psionic policy list"],
  async run(_parameters, { services }) {
    const { listPolicies } = await import("./policy-store.ts");
    return { policies: await listPolicies(services) };
  },
  view: (screen) => ({
    result({ policies }) {
      if (policies.length === 0)
        return screen.note("no policies yet; `psionic policy add FILE` adds one");
      for (const { reference, digest, summary, holds } of policies)
        screen.print(`${reference}  ${digest.slice(0, 12)}  ${holds ? "" : "DAMAGED: "}${summary}`);
    },
  }),
});

defineCommand({
  name: "policy/show",
  summary: "One policy as it was signed; to a file with --file.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({
    policy: reference,
    file: v.optional(file("write the signed policy there, as JSON")),
  }),
  positional: ["policy"],
  paths: ["file"],
  result: v.object({ policy: policySchema, digest: v.string(), addedMs: v.number() }),
  examples: ["psionic policy show small-runs@1"],
  async run({ policy: asked, file }, { services }) {
    const [{ loadPolicy }, { canonicalText }] = await Promise.all([
      import("./policy-store.ts"),
      import("#src/codec/digest.ts"),
    ]);
    const { policy, digest, addedMs } = await loadPolicy(asked, services);
    if (file !== undefined) await services.disk.publish(file, `${canonicalText(policy)}\n`);
    return { policy, digest, addedMs };
  },
  view: (screen) => ({
    result({ policy, digest }) {
      screen.print(`${policy.name}@${policy.revision}  ${policy.summary}`);
      screen.print(`digest   ${digest}`);
      screen.print(`author   ${policy.author}`);
      for (const [name, type] of Object.entries(policy.signals))
        screen.print(`signal   ${name}: ${type}`);
      for (const { id, when, outcome, reason } of policy.rules)
        screen.print(`${outcome.padEnd(7)}  ${id}: ${when}  (${reason})`);
      screen.print(`deny     otherwise  (${policy.default.reason})`);
    },
  }),
});

const caseResult = v.object({
  name: v.string(),
  outcome: v.picklist(["allow", "deny"]),
  rule: v.nullable(v.string()),
  reason: v.string(),
  expected: v.nullable(v.string()),
  isExpected: v.boolean(),
});

defineCommand({
  name: "policy/test",
  summary: "What a policy says to given signals, without executing anything.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({
    policy: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(4096),
      v.description("a policy's file, or NAME@REVISION of a stored one"),
    ),
    signals: v.optional(
      v.pipe(
        v.union([v.string(), v.record(v.string(), v.unknown())]),
        v.description("signals or cases as JSON, or a file that holds them"),
      ),
      {},
    ),
  }),
  positional: ["policy"],
  result: v.object({ policy: v.string(), cases: v.array(caseResult) }),
  examples: ["psionic policy test small-runs.toml --signals cases.json"],
  async run({ policy: asked, signals }, { services, emit }) {
    const { testPolicy } = await import("./cases.ts");
    const content = await policyToTest(asked, services);
    const given = typeof signals === "string" ? await readSignals(signals, services.disk) : signals;
    return testPolicy(content, given, emit);
  },
  view: (screen) => ({
    event(event) {
      if (event.type !== "policy.case") return;
      const { name, outcome, rule, reason, expected, isExpected } = event as unknown as Record<
        string,
        string | boolean | null
      >;
      const verdict = isExpected ? "" : `  EXPECTED ${expected}`;
      screen.print(`${name}  ${outcome}  ${rule ?? "default"}  ${reason}${verdict}`);
    },
    result: ({ cases }) => screen.note(`${cases.length} as expected`),
  }),
});

async function policyToTest(asked: string, services: CommandContext["services"]) {
  const [{ parsePolicy, readReference }, { loadPolicy }] = await Promise.all([
    import("./policy.ts"),
    import("./policy-store.ts"),
  ]);
  if (readReference(asked) !== null) return (await loadPolicy(asked, services)).policy;
  return parsePolicy(await readBounded(asked, services.disk));
}

async function readSignals(text: string, disk: Services["disk"]): Promise<unknown> {
  const source = text.trimStart().startsWith("{") ? text : await readBounded(text, disk);
  try {
    return JSON.parse(source);
  } catch {
    throw new Refusal("usage", "the signals are not JSON", "write --signals '{\"name\": value}'");
  }
}
