import { resolve } from "node:path";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { trustOf } from "#src/command/gate.ts";
import { defineCommand } from "#src/command/registry.ts";
import type { BundleSummary } from "#src/receipt/bundle.ts";
import type { ChainSummary } from "#src/receipt/chain.ts";
import { nodeIdSchema, subjectMaximumLength } from "#src/receipt/parse-receipt.ts";
import { ReceiptArchive } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Characters of a bundle that comes as text; longer ones come as a file. */
const textMaximumLength = 256 * 1024;

const place = (description: string) =>
  v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.description(description)));

defineCommand({
  name: "receipt/export",
  summary: "Write a bundle of receipts that anybody verifies offline.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("where to write the bundle")),
    author: v.optional(v.pipe(nodeIdSchema, v.description("whose chain; this node's when absent"))),
    subject: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.maxLength(subjectMaximumLength),
        v.description("the stretch from the first to the last receipt about this"),
      ),
    ),
    from: place("first place of the stretch"),
    to: place("last place of the stretch"),
  }),
  positional: ["file"],
  paths: ["file"],
  result: v.object({
    ...{ file: v.string(), author: v.string(), first: v.number(), last: v.number() },
    ...{ count: v.number(), head: v.string(), sizeBytes: v.number() },
  }),
  examples: [
    "psionic receipt export receipts.jsonl",
    "psionic receipt export run.jsonl --subject abcdefgh",
  ],
  async run({ file, author, subject, from, to }, { services }) {
    const path = resolve(file);
    if ((await services.disk.stat(path)) !== null)
      throw new Refusal("usage", `${path} exists already`, "name a new file", { path });
    const { writeBundle } = await import("#src/receipt/bundle-file.ts");
    const whose = author ?? (await services.receipts.open()).author.nodeId;
    const parts = { archive: new ReceiptArchive(services.store), disk: services.disk };
    const written = await writeBundle(parts, { author: whose, subject, from, to }, path);
    return { file: path, author: whose, ...written };
  },
  view: (screen) => ({
    result({ file, first, last, head }) {
      screen.print(file);
      screen.note(`receipts ${first} to ${last}, ending in ${head}`);
    },
  }),
});

const verifyResult = v.object({
  ...{ isValid: v.literal(true), author: v.string(), first: v.number(), last: v.number() },
  ...{ count: v.number(), head: v.string(), keys: v.array(v.string()) },
  ...{ rotationCount: v.number(), backwardCount: v.number(), isFromStart: v.boolean() },
  subject: v.nullable(v.string()),
  subjectCount: v.nullable(v.number()),
});

defineCommand({
  name: "receipt/verify",
  summary: "Verify a bundle of receipts, or this node's whole chain; works offline.",
  access: "safe",
  flow: "evidence",
  parameters: v.strictObject({
    file: v.optional(
      v.pipe(v.string(), v.nonEmpty(), v.description("a bundle; without it this node's own chain")),
    ),
    bundle: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(textMaximumLength),
        v.description("the bundle itself instead of a file, for callers elsewhere"),
      ),
    ),
  }),
  positional: ["file"],
  paths: ["file"],
  result: verifyResult,
  examples: ["psionic receipt verify", "psionic receipt verify receipts.jsonl"],
  async run({ file, bundle }, { services, caller }): Promise<v.InferOutput<typeof verifyResult>> {
    const { verifyBundleFile, verifyBundleText } = await import("#src/receipt/bundle-file.ts");
    if (bundle !== undefined) return found(verifyBundleText(bundle));
    // The files and the chain of this machine are its owner's to name.
    if (trustOf(caller) !== "owner") throw onlyText();
    if (file !== undefined) return found(await verifyBundleFile(services.disk, resolve(file)));
    return found({ ...(await ownChain(services)), subject: null, subjectCount: null });
  },
  view: (screen) => ({
    result({ author, first, last, head, isFromStart, backwardCount, rotationCount }) {
      screen.print(`receipts ${first} to ${last} of ${author} hold`);
      screen.print(`head ${head}`);
      if (rotationCount > 0) screen.note(`rotations of the key in it: ${rotationCount}`);
      if (!isFromStart) screen.note(`what came before receipt ${first} is not in it`);
      if (backwardCount > 0) screen.note(`times the clock went back: ${backwardCount}`);
    },
  }),
});

function found(summary: BundleSummary): v.InferOutput<typeof verifyResult> {
  return { isValid: true, ...summary, keys: [...summary.keys] };
}

async function ownChain(services: Services): Promise<ChainSummary> {
  const { verifyArchive } = await import("#src/receipt/bundle-file.ts");
  const { nodeId, rotations } = await services.identity.open();
  const summary = verifyArchive(new ReceiptArchive(services.store), nodeId, rotations);
  if (summary !== null) return summary;
  throw new Refusal(
    "receipt_not_found",
    `${nodeId} has no receipts yet`,
    "name a bundle's file: psionic receipt verify FILE",
    { author: nodeId },
  );
}

function onlyText(): Refusal {
  return new Refusal(
    "not_authorised",
    "only the owner names files and chains of this machine",
    "send the bundle itself as `bundle`",
    { parameter: "bundle" },
  );
}
