import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { capabilityList, grantResult, refuseExisting, writeGrantFile } from "./grant-entries.ts";
import { unknownGrant } from "./grant-list.command.ts";
import { checkCapabilities } from "./lendable.ts";

defineCommand({
  name: "grant/revoke",
  summary: "Take back, at once, what a key was granted.",
  access: "owner",
  localOnly: true,
  flow: "peer",
  parameters: v.strictObject({
    grant: v.pipe(
      v.string(),
      v.regex(/^(?:[0-9a-f]{64}|psg[a-z2-7]{1,32})$/, "not a grant's id nor a public key"),
      v.description("a grant's id or its beginning, or the grantee's public key"),
    ),
    keep: v.optional(
      v.pipe(capabilityList, v.description("a capability the key keeps, in a new grant")),
      [],
    ),
    file: v.optional(
      v.pipe(v.string(), v.nonEmpty(), v.description("where to write the grant that takes back")),
    ),
  }),
  positional: ["grant"],
  paths: ["file"],
  result: v.object({
    grantee: v.string(),
    revoked: v.array(v.string()),
    grant: grantResult,
    file: v.nullable(v.string()),
  }),
  examples: [
    "psionic grant revoke psgabc",
    `psionic grant revoke ${"ab".repeat(32)} --keep runs --file fewer.json`,
  ],
  async run({ grant: wanted, keep, file }, { services }) {
    await services.receipts.open();
    checkCapabilities(keep, services.registry.all());
    const grantee = wanted.startsWith("psg") ? services.issued.find(wanted)?.grantee : wanted;
    if (grantee === undefined) throw unknownGrant(wanted);
    await refuseExisting(file, services);
    const { grant, revoked } = services.issued.revoke(grantee, [...new Set(keep)]);
    const written = await writeGrantFile(file, grant, services);
    return { grantee, revoked: [...revoked], grant, file: written };
  },
  view: (screen) => ({
    result({ grantee, revoked, grant, file }) {
      for (const id of revoked) screen.print(id);
      const kept = grant.capabilities.join(", ");
      screen.note(
        kept === ""
          ? `key ${grantee} is granted nothing any more`
          : `key ${grantee} keeps ${kept}, by ${file ?? `the grant \`psionic grant show ${grant.id} --json\` prints`}`,
      );
    },
  }),
});
