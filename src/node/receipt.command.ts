import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { nodeIdSchema, subjectMaximumLength } from "#src/receipt/parse-receipt.ts";
import { ReceiptArchive, type LoggedReceipt } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Receipts given when nobody says how many, and the most that are. */
const [limitDefault, limitMaximum] = [50, 1_000];
/** Shorter beginnings of a digest meet too many. */
const prefixMinLength = 4;

const lineResult = v.object({
  digest: v.string(),
  author: v.string(),
  sequence: v.number(),
  previous: v.string(),
  atMs: v.number(),
  kind: v.string(),
  subject: v.string(),
  body: v.record(v.string(), v.unknown()),
});

defineCommand({
  name: "receipt/list",
  summary: "Signed receipts of what happened on this node, newest first.",
  access: "trusted",
  flow: "evidence",
  parameters: v.strictObject({
    subject: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(subjectMaximumLength),
        v.description("only those about this: a run's, a grant's or a node's id"),
      ),
    ),
    kind: v.optional(
      v.pipe(v.string(), v.maxLength(64), v.description("only those of this kind: grant.issued")),
    ),
    author: v.optional(v.pipe(nodeIdSchema, v.description("only those by this node"))),
    limit: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(limitMaximum),
        v.description("the most to show"),
      ),
      limitDefault,
    ),
  }),
  result: v.object({ receipts: v.array(lineResult) }),
  examples: ["psionic receipt list", "psionic receipt list --kind key.rotated --json"],
  run(filter, { services }) {
    const archive = new ReceiptArchive(services.store);
    return { receipts: archive.list(filter).map(lineOf) };
  },
  view: (screen) => ({
    result({ receipts }) {
      if (receipts.length === 0) return screen.note("no such receipts are here");
      const width = Math.max(...receipts.map(({ kind }) => kind.length));
      for (const { digest, sequence, atMs, kind, subject } of receipts)
        screen.print(
          [
            digest.slice(0, 12),
            String(sequence).padStart(6),
            new Date(atMs).toISOString(),
            kind.padEnd(width),
            subject,
          ].join("  "),
        );
    },
  }),
});

function lineOf({ digest, receipt }: LoggedReceipt): v.InferOutput<typeof lineResult> {
  const { author, sequence, previous, atMs, kind, subject, body } = receipt;
  return { digest, author, sequence, previous, atMs, kind, subject, body };
}

defineCommand({
  name: "receipt/show",
  summary: "One receipt in full, by its digest or the beginning of it.",
  access: "trusted",
  flow: "evidence",
  parameters: v.strictObject({
    digest: v.pipe(
      v.string(),
      v.regex(
        new RegExp(`^[0-9a-f]{${prefixMinLength},64}$`),
        `must be ${prefixMinLength} to 64 hexadecimal characters`,
      ),
      v.description("the digest, or its first characters"),
    ),
  }),
  positional: ["digest"],
  result: v.object({ digest: v.string(), receipt: v.record(v.string(), v.unknown()) }),
  examples: ["psionic receipt show 3f2a"],
  run({ digest: prefix }, { services }) {
    const found = new ReceiptArchive(services.store).matching(prefix);
    if (found.length === 1) return { digest: found[0]!.digest, receipt: { ...found[0]!.receipt } };
    throw new Refusal(
      found.length === 0 ? "receipt_not_found" : "usage",
      found.length === 0
        ? `no receipt's digest begins with ${prefix}`
        : `more than one receipt's digest begins with ${prefix}`,
      found.length === 0 ? "`psionic receipt list` shows what is here" : "give more characters",
      { digest: prefix },
    );
  },
  view: (screen) => ({
    result({ digest, receipt }) {
      screen.print(JSON.stringify(receipt, null, 2));
      screen.note(`digest ${digest}`);
    },
  }),
});
