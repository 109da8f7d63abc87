import { resolve } from "node:path";
import * as v from "valibot";
import { parseUniqueJson } from "#src/codec/unique-json.ts";
import type { Screen, Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { capabilityLength, capabilityMaximum, capabilityShape, grantTextMaximum } from "./grant.ts";
import type { Grant, GrantBudget } from "./grant.ts";
import { grantRefusals } from "./grant-refusals.ts";

/** Parameters and results that the commands of grants share. */

export const capabilityList = v.pipe(
  v.array(
    v.pipe(
      v.string(),
      v.maxLength(capabilityLength),
      v.regex(capabilityShape, "not the name of a command"),
    ),
  ),
  v.maxLength(capabilityMaximum),
);

const budgetResult = v.object({
  calls: v.optional(v.number()),
  deviceSeconds: v.optional(v.number()),
  bytes: v.optional(v.number()),
});

/** The document itself, as it travels. */
export const grantResult = v.object({
  type: v.literal("psionic-grant"),
  version: v.literal(1),
  id: v.string(),
  mesh: v.string(),
  issuer: v.string(),
  issuerKey: v.string(),
  grantee: v.string(),
  epoch: v.number(),
  capabilities: v.array(v.string()),
  issuedMs: v.number(),
  expiresMs: v.number(),
  budget: budgetResult,
  signature: v.string(),
});

export const standingResult = v.picklist([
  ...(["live", "not_begun", "expired", "revoked", "superseded", "exhausted", "empty"] as const),
]);

/** The JSON value in a grant's file. Refused with `not_found`, `grant_malformed`. */
export async function readGrantFile(path: string, services: Services): Promise<unknown> {
  const place = resolve(path);
  const file = await services.disk.stat(place);
  if (file === null)
    throw new Refusal("not_found", `${place} does not exist`, "name the grant's file", { path });
  if (file.sizeBytes > grantTextMaximum)
    throw grantRefusals.malformed(`${place} has more than ${grantTextMaximum} bytes`);
  try {
    return parseUniqueJson(await services.disk.readText(place));
  } catch (error) {
    if (error instanceof SyntaxError) throw grantRefusals.malformed(`${place} is not JSON`);
    throw error;
  }
}

/** Refuses a file that exists already, before anything is signed. */
export async function refuseExisting(path: string | undefined, services: Services): Promise<void> {
  if (path === undefined) return;
  const place = resolve(path);
  if ((await services.disk.stat(place)) !== null)
    throw new Refusal("usage", `${place} exists already`, "name a new file", { path: place });
}

/** Writes a grant to a file that only its owner reads: what it confers is nobody else's business. */
export async function writeGrantFile(
  path: string | undefined,
  grant: Grant,
  services: Services,
): Promise<string | null> {
  if (path === undefined) return null;
  const place = resolve(path);
  await services.disk.publish(place, `${JSON.stringify(grant, null, 2)}\n`, 0o600);
  return place;
}

/** `3 of 10 calls, 12 of 60 device-seconds`, or what was used where nothing is limited. */
export function useText(
  budget: GrantBudget,
  spent: { readonly calls: number; readonly deviceMs: number; readonly bytes: number },
): string {
  const of = (used: number, limit: number | undefined, unit: string) =>
    limit === undefined ? `${used} ${unit}` : `${used} of ${limit} ${unit}`;
  return [
    of(spent.calls, budget.calls, "calls"),
    of(Math.ceil(spent.deviceMs / 1000), budget.deviceSeconds, "device-seconds"),
    of(spent.bytes, budget.bytes, "bytes"),
  ].join(", ");
}

/** A grant for people, line by line. */
export function printGrant(screen: Screen, grant: Grant): void {
  screen.print(`grant    ${grant.id}`);
  screen.print(`issuer   ${grant.issuer}`);
  screen.print(`for key  ${grant.grantee}`);
  screen.print(`confers  ${grant.capabilities.join(", ") || "nothing: it takes back"}`);
  screen.print(`epoch    ${grant.epoch}`);
  screen.print(`from     ${new Date(grant.issuedMs).toISOString()}`);
  screen.print(`until    ${new Date(grant.expiresMs).toISOString()}`);
  const { calls, deviceSeconds, bytes } = grant.budget;
  const limits = [
    ...(calls === undefined ? [] : [`${calls} calls`]),
    ...(deviceSeconds === undefined ? [] : [`${deviceSeconds} device-seconds`]),
    ...(bytes === undefined ? [] : [`${bytes} bytes`]),
  ];
  screen.print(`budget   ${limits.join(", ") || "not limited"}`);
}
