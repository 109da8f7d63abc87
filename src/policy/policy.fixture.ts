import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { digestJson } from "#src/codec/digest.ts";
import type { Caller, Trust } from "#src/command/caller.ts";
import type { Services } from "#src/command/define.ts";
import { dispatch } from "#src/command/dispatch.ts";
import { Registry, registry as program, type AnyCommand } from "#src/command/registry.ts";
import { compose } from "#src/node/services.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import type { RuntimeManifest } from "#src/receipt/runtime-manifest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Attestation } from "./attestation.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { parsePolicy } from "./policy.ts";
import { type PolicyContent } from "./policy-schema.ts";
import { addPolicy } from "./policy-store.ts";
import { signalsDigestOf, type Signals } from "./signals.ts";
// oxlint-disable import/no-unassigned-import -- declaring is what importing a command file does
import "./attestation.command.ts";
import "./execute.command.ts";
import "./policy.command.ts";

/** A policy with a rule of every kind the tests need. */
export const sampleText = `
name = "sample"
revision = 1
summary = "Marks may be made with a purpose"

[signals]
purpose = "string"
count = "int"
urgent = "bool"
labels = "list<string>"
sizes = "list<int>"

[[rules]]
id = "too-many"
when = 'count * 2 > 100 || sizes.exists(s, s > count)'
outcome = "deny"
reason = "that is too many"

[[rules]]
id = "divides"
when = '100 / count == 10 && urgent'
outcome = "deny"
reason = "ten is not urgent"

[[rules]]
id = "purpose"
when = 'purpose in ["teaching", "testing"] || labels.all(l, l.startsWith("open-")) && !urgent'
outcome = "allow"
reason = "a purpose we know"
`;

export const sample: PolicyContent = parsePolicy(sampleText);

/** Signals that the sample's rules allow. */
export const allowed = { purpose: "testing", count: 5, urgent: false, labels: [], sizes: [1] };

/** A stream of numbers below 1, the same for the same seed. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
}

/** Signals of the sample policy, drawn from a seed. */
export function drawnSignals(seed: number): Signals {
  const next = numbers(seed + 1);
  const below = (maximum: number) => Math.floor(next() * maximum);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const many = <T>(item: () => T) => Array.from({ length: below(5) }, item);
  next();
  return {
    "caller.provenance": pick(["local", "token", "peer"]),
    "caller.trust": pick(["owner", "member", "trusted"]),
    "caller.node": `psn${below(1000)}`,
    command: pick(["test/mark", "run/start"]),
    parameters: digestJson(below(10)),
    purpose: pick(["teaching", "testing", "résumé 🜚", ""]),
    count: below(30) - 10,
    urgent: next() < 0.5,
    labels: many(() => pick(["open-a", "open-b", "closed"])),
    sizes: many(() => below(25)),
  };
}

/** A digest over what the sample policy says to a thousand drawn signals, and over their digests. */
export function outcomesDigest(): string {
  return digestJson(
    Array.from({ length: 1_000 }, (_, seed) => {
      const signals = drawnSignals(seed);
      return { ...evaluatePolicy(sample, signals), signals: signalsDigestOf(signals) };
    }),
  );
}

const manifest: RuntimeManifest = {
  type: "runtime-manifest",
  version: 1,
  execution: {
    binary: { version: "0", buildDigest: "" },
    backend: {
      ...{ name: "cpu", lane: "reference", compiler: "", kernelLibraries: {} },
      numericSpecification: "exact/1",
    },
    ...{ device: {}, environmentReferences: {}, artifactBindings: {}, staticConfiguration: {} },
    claimsProfile: "recomputable",
  },
  mutable: { environmentVariables: {}, knobs: {} },
};

/** Leaves a receipt that can be counted, whoever ran it and how often. */
const mark: AnyCommand = {
  name: "test/mark",
  summary: "Leaves a countable trace.",
  access: "member",
  parameters: v.strictObject({ key: v.string(), steps: v.optional(v.number(), 3) }),
  async run(parameters, { services }) {
    const { key } = parameters as { key: string };
    const log = await services.receipts.open();
    await services.clock.sleep(1);
    log.append("test.marked", key, {});
    await services.clock.sleep(1);
    return { key, fraction: 0.5 };
  },
};

/** Only the owner may; refuses on demand. */
const destroy: AnyCommand = {
  name: "test/destroy",
  summary: "Destroys something.",
  access: "owner",
  parameters: v.strictObject({ how: v.optional(v.string(), "") }),
  run(parameters) {
    const { how } = parameters as { how: string };
    if (how === "refuse") throw new Refusal("not_found", "there is nothing", "make something");
    if (how === "crash") throw new Error("a bug");
    return { text: how === "half" ? "\ud83d" : "destroyed" };
  },
};

export const owner: Caller = { provenance: "local" };
export const peer = (registered: Trust): Caller => ({
  ...{ provenance: "peer", publicKey: "ab".repeat(32), nodeId: "psnpeer", registered, grant: null },
});

/** A node in a folder of its own, with the commands of this room and two to execute. */
export class PolicyNode implements Disposable {
  readonly registry = new Registry();
  readonly services: Services;
  readonly #close: () => void;
  readonly #remove: string | null;

  /** In a fresh folder that is removed afterwards, or in one that stays. */
  constructor(
    readonly home = mkdtempSync(join(tmpdir(), "policy-")),
    stays = false,
  ) {
    const interaction = {
      ...{ canAsk: false, verbose: false, readLine: async () => null },
      askSecret: async () => "",
    };
    const composed = compose({ home, interaction });
    this.#close = () => composed.close();
    this.#remove = stays ? null : home;
    for (const command of program.all())
      if (/^(policy|execute|attestation)/.test(command.name)) this.registry.declare(command);
    this.registry.declare(mark);
    this.registry.declare(destroy);
    const own = { registry: this.registry, runtime: { manifest: async () => manifest } };
    this.services = Object.create(
      composed.services,
      Object.getOwnPropertyDescriptors(own),
    ) as Services;
  }

  async add(content: PolicyContent = sample) {
    await this.services.identity.openOrCreate();
    return addPolicy(content, this.services);
  }

  /** Calls a command as a door does. */
  async call(name: string, parameters: unknown, caller: Caller = owner): Promise<unknown> {
    const { registry, services } = this;
    const { signal } = new AbortController();
    return dispatch({ registry, services, caller, signal, emit() {} }, name, parameters);
  }

  /** Executes a mark under the sample policy. */
  async mark(key: string, more: Record<string, unknown> = {}, caller: Caller = owner) {
    const request = { command: "test/mark", policy: "sample@1", signals: allowed };
    const asked = { ...request, parameters: { key }, ...more };
    return (await this.call("execute", asked, caller)) as {
      execution: string;
      attestation: { body: Record<string, unknown>; key: string };
    };
  }

  /** How often a mark was made. */
  async marks(key: string): Promise<number> {
    const log = await this.services.receipts.open();
    return log.list({ kind: "test.marked", subject: key, limit: 100 }).length;
  }

  [Symbol.dispose](): void {
    this.#close();
    if (this.#remove !== null) rmSync(this.#remove, { recursive: true, force: true });
  }
}

/** The refusal that work ends in; anything else fails the test. */
export async function refusalOf(work: Promise<unknown> | (() => unknown)): Promise<Refusal> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** A policy that allows everything, to see that it confers nothing. */
export const everything: PolicyContent = {
  ...sample,
  name: "everything",
  signals: {},
  rules: [{ id: "all", when: "true", outcome: "allow", reason: "why not" }],
};

/** A node that holds both policies. */
export async function withPolicies(): Promise<PolicyNode> {
  const node = new PolicyNode();
  await node.add();
  await node.add(everything);
  return node;
}

/** The attestations of a node, the last first. */
export const attested = async (node: PolicyNode) =>
  (await node.services.receipts.open())
    .list({ kind: "execution.attested", limit: 1_000 })
    .map(({ receipt }) => receipt as Receipt & Attestation);
