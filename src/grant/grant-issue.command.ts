import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  capabilityList,
  grantResult,
  printGrant,
  refuseExisting,
  writeGrantFile,
} from "./grant-entries.ts";
import { byteMaximum, callMaximum, deviceSecondMaximum } from "./grant.ts";
import { checkCapabilities } from "./lendable.ts";
import { lifetimeMs, lifetimeSchema } from "./lifetime.ts";

const limit = (maximum: number, what: string) =>
  v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(maximum), v.description(what)),
  );

defineCommand({
  name: "grant/issue",
  summary: "Lend commands of this node to another node's key.",
  access: "owner",
  localOnly: true,
  flow: "peer",
  parameters: v.strictObject({
    to: v.pipe(
      v.string(),
      v.regex(/^(?:[0-9a-f]{64}|psn[a-z2-7]{32})$/, "not a public key nor a node id"),
      v.description("public key of the grantee, or the node id of one entered with `trust set`"),
    ),
    capability: v.pipe(
      capabilityList,
      v.minLength(1, "name a command with --capability"),
      v.description("a command to lend; what lies below it is lent too"),
    ),
    expires: v.optional(
      v.pipe(lifetimeSchema, v.description("how long it counts: 30m, 12h, 7d; 90d at most")),
      "7d",
    ),
    calls: limit(callMaximum, "calls it is good for"),
    deviceSeconds: limit(deviceSecondMaximum, "seconds its calls may run, added up"),
    bytes: limit(byteMaximum, "bytes of answers, added up"),
    file: v.optional(v.pipe(v.string(), v.nonEmpty(), v.description("where to write the grant"))),
  }),
  paths: ["file"],
  result: v.object({ grant: grantResult, file: v.nullable(v.string()) }),
  examples: [
    `psionic grant issue --to ${"ab".repeat(32)} --capability sample --calls 100 --file grant.json`,
  ],
  async run({ to, capability, expires, calls, deviceSeconds, bytes, file }, { services }) {
    const log = await services.receipts.open();
    checkCapabilities(capability, services.registry.all());
    const grantee = to.startsWith("psn") ? services.trust.find(to)?.publicKey : to;
    if (grantee === undefined)
      throw new Refusal(
        "not_found",
        `no peer ${to} was entered`,
        "name it by its public key; `psionic identity show` there prints it",
        { peer: to },
      );
    if (grantee === log.author.key.publicKey)
      throw new Refusal("usage", "that is this node's own key", "name the key of another node");
    await refuseExisting(file, services);
    const budget = {
      ...(calls === undefined ? {} : { calls }),
      ...(deviceSeconds === undefined ? {} : { deviceSeconds }),
      ...(bytes === undefined ? {} : { bytes }),
    };
    const capabilities = [...new Set(capability)];
    const grant = services.issued.issue({
      ...{ grantee, capabilities, lifetimeMs: lifetimeMs(expires), budget },
    });
    return { grant, file: await writeGrantFile(file, grant, services) };
  },
  view: (screen) => ({
    result({ grant, file }) {
      if (file === null) screen.print(JSON.stringify(grant, null, 2));
      else printGrant(screen, grant);
      screen.note(
        `hand ${file ?? "it"} to the grantee, who runs \`psionic grant present FILE\`; it replaces what that key was granted before`,
      );
    },
  }),
});
