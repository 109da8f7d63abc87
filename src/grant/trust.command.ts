import { resolve } from "node:path";
import * as v from "valibot";
import { trustTiers, type Trust } from "#src/command/caller.ts";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { currentKey } from "#src/receipt/rotation.ts";
import type { TrustedNode } from "#src/receipt/trust-bundle.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { historyOf, type TrustEntry } from "./trust-registry.ts";

const nodeOrKey = v.pipe(
  v.string(),
  v.regex(/^(?:[0-9a-f]{64}|psn[a-z2-7]{32})$/, "not a public key nor a node id"),
  v.description("public key of the node, or the node id of one that was entered before"),
);

const entryResult = v.object({
  nodeId: v.string(),
  publicKey: v.string(),
  tier: v.picklist(trustTiers),
  note: v.string(),
  sinceMs: v.number(),
  updatedMs: v.number(),
  rotations: v.number(),
});

const shown = ({ history, ...entry }: TrustEntry) => ({ ...entry, rotations: history.length });

const meaning: Readonly<Record<Trust, string>> = {
  blocked: "may call nothing, grants included",
  provisional: "as anybody: safe commands",
  member: "member and safe commands",
  trusted: "all but the owner's commands",
  owner: "calls as trusted; its grants are honoured here",
};

defineCommand({
  name: "trust/set",
  summary: "How far this node trusts another.",
  access: "owner",
  localOnly: true,
  flow: "peer",
  parameters: v.strictObject({
    node: nodeOrKey,
    tier: v.pipe(
      v.picklist(trustTiers),
      v.description(
        "blocked, provisional, member, trusted or owner; no remote caller exceeds trusted",
      ),
    ),
    note: v.optional(
      v.pipe(v.string(), v.maxLength(200), v.description("a word on who that is, for yourself")),
    ),
  }),
  positional: ["node"],
  result: entryResult,
  examples: [`psionic trust set ${"ab".repeat(32)} --tier member --note "Ada's laptop"`],
  async run({ node, tier, note }, { services }) {
    await services.receipts.open();
    const publicKey = keyOf(node, services);
    return shown(services.trust.set({ publicKey, tier, ...(note === undefined ? {} : { note }) }));
  },
  view: (screen) => ({
    result({ nodeId, tier }) {
      screen.print(`${nodeId}  ${tier}`);
      screen.note(meaning[tier]);
    },
  }),
});

/** A node id stands for the key it was entered with. */
function keyOf(node: string, services: Services): string {
  if (!node.startsWith("psn")) return node;
  const entry = services.trust.find(node);
  if (entry !== null) return entry.publicKey;
  throw new Refusal(
    "not_found",
    `no peer ${node} was entered`,
    "name it by its public key; `psionic identity show` there prints it",
    { peer: node },
  );
}

defineCommand({
  name: "trust/add",
  summary: "Enter a node by the trust bundle its owner handed over.",
  access: "owner",
  localOnly: true,
  flow: "peer",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("what `identity export` wrote there")),
    tier: v.optional(
      v.pipe(
        v.picklist(trustTiers),
        v.description("how far it is trusted; as before, or provisional, when left out"),
      ),
    ),
    note: v.optional(
      v.pipe(v.string(), v.maxLength(200), v.description("a word on who that is, for yourself")),
    ),
  }),
  positional: ["file"],
  paths: ["file"],
  result: entryResult,
  examples: ["psionic trust add ada.trust.json --tier trusted"],
  async run({ file, tier, note }, { services }) {
    await services.receipts.open();
    const { history } = await openBundleFile(resolve(file), services);
    const publicKey = currentKey(history);
    const known = services.trust.lookup(publicKey, history.rotations);
    return shown(
      services.trust.set({
        ...{ publicKey, rotations: history.rotations, tier: tier ?? known.registered },
        ...(note === undefined ? {} : { note }),
      }),
    );
  },
  view: (screen) => ({
    result({ nodeId, tier, rotations }) {
      screen.print(`${nodeId}  ${tier}`);
      screen.note(`${meaning[tier]}; rotations of its key: ${rotations}`);
    },
  }),
});

/** The bundle in a file, checked against what is known of that node already. */
async function openBundleFile(path: string, services: Services): Promise<TrustedNode> {
  const { openTrustBundle, trustBundleMaximumLength } =
    await import("#src/receipt/trust-bundle.ts");
  const found = await services.disk.stat(path);
  if (found === null)
    throw new Refusal("not_found", `${path} does not exist`, "name the bundle's file", { path });
  // One letter more than a bundle may have is enough to refuse it.
  const bytes = await services.disk.readRange(path, 0, trustBundleMaximumLength + 1);
  const text = Buffer.from(bytes).toString("utf8");
  const named = /"nodeId"\s*:\s*"(psn[a-z2-7]{32})"/.exec(text)?.[1];
  const entry = named === undefined ? null : services.trust.find(named);
  return openTrustBundle(text, {
    known: entry === null ? null : historyOf(entry),
    nowMs: services.clock.wallMs(),
  });
}

defineCommand({
  name: "trust/list",
  summary: "The nodes this one has an opinion of.",
  access: "owner",
  flow: "peer",
  parameters: v.strictObject({}),
  result: v.object({ peers: v.array(entryResult) }),
  examples: ["psionic trust list"],
  run: (_parameters, { services }) => ({ peers: services.trust.list().map(shown) }),
  view: (screen) => ({
    result({ peers }) {
      if (peers.length === 0)
        return screen.note("no node was entered; every caller from outside is provisional");
      for (const { nodeId, tier, note } of peers)
        screen.print([nodeId, tier.padEnd(11), note].join("  ").trimEnd());
    },
  }),
});

defineCommand({
  name: "trust/forget",
  summary: "Take an entry back: the node is provisional again.",
  access: "owner",
  localOnly: true,
  flow: "peer",
  parameters: v.strictObject({ node: nodeOrKey }),
  positional: ["node"],
  result: entryResult,
  examples: [`psionic trust forget ${"ab".repeat(32)}`],
  async run({ node }, { services }) {
    await services.receipts.open();
    return shown(services.trust.forget(node));
  },
  view: (screen) => ({
    result({ nodeId, tier }) {
      screen.print(nodeId);
      screen.note(`it was ${tier}; now it may call what anybody may`);
    },
  }),
});
