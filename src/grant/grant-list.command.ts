import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  grantResult,
  printGrant,
  readGrantFile,
  standingResult,
  useText,
} from "./grant-entries.ts";
import { grantRefusals } from "./grant-refusals.ts";
import { isIntact, readGrant, type Grant } from "./grant.ts";

const useResult = v.object({
  calls: v.number(),
  deviceMs: v.number(),
  bytes: v.number(),
  lastUsedMs: v.nullable(v.number()),
});

const issuedResult = v.object({ grant: grantResult, standing: standingResult, use: useResult });
const heldResult = v.object({
  grant: grantResult,
  presentedMs: v.number(),
  isLive: v.boolean(),
});

/** A grant of this node with how it stands and what of it is gone, running uses included. */
function issuedLine(grant: Grant, { issued }: Services) {
  const use = {
    ...issued.spendings.of(grant.id),
    lastUsedMs: issued.spendings.lastUsedMs(grant.id),
  };
  return { grant, standing: issued.standingOf(grant), use };
}

const date = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

defineCommand({
  name: "grant/list",
  summary: "Grants this node issued, with their use, and those it holds.",
  access: "owner",
  flow: "peer",
  parameters: v.strictObject({
    limit: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(10_000),
        v.description("issued grants to show, newest first"),
      ),
      100,
    ),
  }),
  result: v.object({ issued: v.array(issuedResult), held: v.array(heldResult) }),
  examples: ["psionic grant list"],
  async run({ limit }, { services }) {
    await services.receipts.open();
    const issued = services.issued.list(limit).filter((grant) => grant.capabilities.length > 0);
    const held = services.presented.list().map(({ grant, presentedMs }) => ({
      ...{ grant, presentedMs },
      isLive: services.presented.forIssuer(grant.issuer)?.id === grant.id,
    }));
    return { issued: issued.map((grant) => issuedLine(grant, services)), held };
  },
  view: (screen) => ({
    result({ issued, held }) {
      if (issued.length + held.length === 0)
        return screen.note(
          "no grants; `psionic grant issue` lends a command to another node's key",
        );
      for (const { grant, standing, use } of issued) {
        screen.print(`${grant.id}  ${standing}  until ${date(grant.expiresMs)}`);
        screen.print(`  to ${grant.grantee}: ${grant.capabilities.join(", ")}`);
        screen.print(`  used: ${useText(grant.budget, use)}`);
      }
      for (const { grant, isLive } of held) {
        const standing = isLive ? "held" : "held, over";
        screen.print(`${grant.id}  ${standing}  until ${date(grant.expiresMs)}`);
        screen.print(`  from ${grant.issuer}: ${grant.capabilities.join(", ") || "nothing"}`);
      }
    },
  }),
});

defineCommand({
  name: "grant/show",
  summary: "One grant: what it lends, how it stands, what of it is gone.",
  access: "owner",
  flow: "peer",
  parameters: v.strictObject({
    grant: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(4096),
      v.description("id or its beginning, or the grant's file"),
    ),
  }),
  positional: ["grant"],
  result: v.object({
    grant: grantResult,
    origin: v.picklist(["issued", "held", "file"]),
    /** Whether id, content and signature belong together. */
    isIntact: v.boolean(),
    standing: v.nullable(standingResult),
    use: v.nullable(useResult),
  }),
  examples: ["psionic grant show psgabc", "psionic grant show ./grant.json"],
  async run({ grant: wanted }, { services }) {
    await services.receipts.open();
    const { grant, origin } = await findGrant(wanted, services);
    const own = services.issued.find(grant.id);
    const { standing, use } = own === null ? nothingKnown : issuedLine(own, services);
    return { grant, origin, isIntact: isIntact(grant), standing, use };
  },
  view: (screen) => ({
    result({ grant, standing, use, isIntact: intact }) {
      printGrant(screen, grant);
      if (!intact) screen.print("signed   NO: it is not as its issuer signed it");
      if (standing !== null) screen.print(`standing ${standing}`);
      if (use !== null) screen.print(`used     ${useText(grant.budget, use)}`);
    },
  }),
});

const nothingKnown = { standing: null, use: null };

async function findGrant(
  wanted: string,
  services: Services,
): Promise<{ grant: Grant; origin: "issued" | "held" | "file" }> {
  if (!/^psg[a-z2-7]{0,32}$/.test(wanted)) {
    const grant = readGrant(await readGrantFile(wanted, services));
    if ("wrong" in grant) throw grantRefusals.malformed(grant.wrong);
    return { grant, origin: "file" };
  }
  const issued = services.issued.find(wanted);
  if (issued !== null) return { grant: issued, origin: "issued" };
  const held = services.presented.find(wanted);
  if (held !== null) return { grant: held.grant, origin: "held" };
  throw unknownGrant(wanted);
}

/** The refusal of an id that is no grant's, or the beginning of several. */
export function unknownGrant(wanted: string): Refusal {
  return new Refusal(
    "not_found",
    `no one grant here has an id that begins with ${wanted}`,
    "`psionic grant list` shows them",
    { grant: wanted },
  );
}
