import { resolve } from "node:path";
import * as v from "valibot";
import { durationMsOf } from "#src/codec/duration.ts";
import { defineCommand } from "#src/command/registry.ts";
import { overlapMaximumMs } from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";

defineCommand({
  name: "identity/rotate",
  summary: "Give this node a fresh key; its id stays, the old key counts until the overlap ends.",
  access: "owner",
  flow: "node",
  localOnly: true,
  place: "node",
  parameters: v.strictObject({
    overlap: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(16),
        v.description("how long others still accept the old key: 0s, 12h, 7d; at most 366d"),
      ),
      "7d",
    ),
  }),
  result: v.object({
    nodeId: v.string(),
    from: v.string(),
    to: v.string(),
    overlapUntilMs: v.number(),
    receipt: v.string(),
  }),
  examples: ["psionic identity rotate", "psionic identity rotate --overlap 0s"],
  async run({ overlap }, { services }) {
    const { receiptDigest } = await import("#src/receipt/receipt.ts");
    const { rotationBody } = await import("#src/receipt/rotation.ts");
    const { rotateIdentity } = await import("./rotate-identity.ts");
    const { nodeId, rotations } = await rotateIdentity(services, overlapMsOf(overlap));
    const receipt = rotations.at(-1)!;
    return { nodeId, ...rotationBody(receipt), receipt: receiptDigest(receipt) };
  },
  view: (screen) => ({
    result({ nodeId, to, overlapUntilMs }) {
      screen.print(to);
      screen.note(`${nodeId} signs with this key from now on`);
      screen.note(`others accept the old one until ${new Date(overlapUntilMs).toISOString()}`);
      screen.note(
        "back it up: psionic identity backup FILE; tell others: psionic identity export FILE",
      );
    },
  }),
});

function overlapMsOf(text: string): number {
  const overlapMs = durationMsOf(text);
  if (overlapMs !== null && overlapMs <= overlapMaximumMs) return overlapMs;
  throw new Refusal(
    "usage",
    `"${text}" is no overlap between 0s and 366d`,
    "write a number and s, m, h or d: --overlap 7d",
    { overlap: text },
  );
}

defineCommand({
  name: "identity/export",
  summary: "Write this node's trust bundle: its keys, signed, for other nodes to pin.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("where to write the trust bundle")),
  }),
  positional: ["file"],
  paths: ["file"],
  result: v.object({ nodeId: v.string(), key: v.string(), file: v.string() }),
  examples: ["psionic identity export this-node.json"],
  async run({ file }, { services }) {
    const { sealTrustBundle } = await import("#src/receipt/trust-bundle.ts");
    const identity = await services.identity.open();
    const path = resolve(file);
    if ((await services.disk.stat(path)) !== null)
      throw new Refusal("usage", `${path} exists already`, "name a new file", { path });
    await services.disk.publish(path, sealTrustBundle(identity, services.clock.wallMs()));
    return { nodeId: identity.nodeId, key: identity.publicKey, file: path };
  },
  view: (screen) => ({
    result({ nodeId, file }) {
      screen.print(file);
      screen.note(`whoever pins it recognises ${nodeId}; it holds nothing secret`);
    },
  }),
});
