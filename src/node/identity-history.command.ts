import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { receiptSchema } from "#src/receipt/parse-receipt.ts";

defineCommand({
  name: "identity/history",
  summary: "This node's keys, first to present, with the receipts that lead from each to the next.",
  access: "member",
  flow: "peer",
  parameters: v.strictObject({}),
  result: v.strictObject({
    nodeId: v.string(),
    key: v.string(),
    rotations: v.array(receiptSchema),
  }),
  examples: ["psionic identity history"],
  async run(_, { services }) {
    const { nodeId, publicKey, rotations } = await services.identity.open();
    return { nodeId, key: publicKey, rotations: [...rotations] };
  },
});
