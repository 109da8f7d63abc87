import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { claimMaximum, nameMaximum } from "./bounds.ts";
import { clusterOf, requireOwner, submitAsOwner } from "./command-parts.ts";
import { durationMs, durationText } from "./duration.ts";
import { discoveries, postures } from "./event.ts";
import { configurationResult } from "./status-result.ts";
import { timingText } from "./views/status.ts";
import { wrapLines } from "./views/words.ts";

const entry = (description: string) => v.optional(durationText(description));

/** Where the change came to stand; null where nothing was to be changed. */
const indexOrNull = v.nullable(v.number());

defineCommand({
  name: "cluster/configure",
  summary: "The mesh's durations: shown, or set for all members.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    interval: entry("between heartbeats: 5s"),
    stale: entry("silence after which a member is suspected: 15s"),
    expiry: entry("silence after which it is given up: 30s"),
    lease: entry("how long a ready member's lease lasts without a renewal: 60s"),
    drain: entry("how long a member that drains has: 15s"),
    skew: entry("how far a newcomer's clock may be from the coordinator's: 60s"),
  }),
  result: v.strictObject({
    configuration: configurationResult,
    isChanged: v.boolean(),
    index: indexOrNull,
  }),
  examples: ["psionic cluster configure", "psionic cluster configure --stale 10s --expiry 20s"],
  async run(given, { services, signal }) {
    const cluster = clusterOf(services);
    const said = Object.entries(given).map(([key, text]) => [`${key}Ms`, durationMs(text)]);
    const before = { ...cluster.state().configuration };
    if (said.length === 0) return { configuration: before, isChanged: false, index: null };
    const configuration = { ...before, ...(Object.fromEntries(said) as Partial<typeof before>) };
    const { index } = await submitAsOwner(
      cluster,
      { kind: "configuration-set", configuration },
      signal,
    );
    return { configuration, isChanged: true, index };
  },
  view: (screen) => ({
    result({ configuration, isChanged }) {
      for (const line of wrapLines(timingText(configuration), screen.columns, 0))
        screen.print(line);
      if (isChanged) screen.note("all members follow it from now on");
    },
  }),
});

/** `gpu,site-a`: claims as a person types them in one word. */
const claimWords = v.pipe(
  v.string(),
  v.maxLength(claimMaximum * (nameMaximum + 1)),
  v.regex(/^[a-z0-9][a-z0-9-]*(,[a-z0-9][a-z0-9-]*)*$/, "write claims with commas between"),
  v.description("claims asked of newcomers, with commas between; attested-peers needs one"),
);

defineCommand({
  name: "cluster/posture",
  summary: "What the mesh says it is; never more than it can show.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    posture: v.optional(
      v.pipe(
        v.picklist(postures),
        v.description(`${postures.join(", ")}; the last is refused, with its reasons`),
      ),
    ),
    claims: v.optional(claimWords),
    discovery: v.optional(
      v.pipe(
        v.picklist(discoveries),
        v.description("whether members look for others on a network interface they name"),
      ),
    ),
  }),
  positional: ["posture"],
  result: v.strictObject({
    posture: v.picklist(postures),
    discovery: v.picklist(discoveries),
    claims: v.array(v.string()),
    isChanged: v.boolean(),
    index: indexOrNull,
  }),
  examples: ["psionic cluster posture", "psionic cluster posture attested-peers --claims runtime"],
  async run({ posture, claims, discovery }, { services, signal }) {
    const cluster = clusterOf(services);
    const { posture: before } = cluster.state();
    const next = {
      posture: posture ?? before.posture,
      discovery: discovery ?? before.discovery,
      claims: claims === undefined ? [...before.claims] : [...new Set(claims.split(","))],
    };
    if (posture === undefined && claims === undefined && discovery === undefined)
      return { ...next, isChanged: false, index: null };
    requireOwner(cluster);
    const { index } = await cluster.submit("owner", { kind: "posture-set", ...next }, signal);
    return { ...next, isChanged: true, index };
  },
  view: (screen) => ({
    result({ posture, discovery, claims }) {
      screen.print(posture);
      screen.note(meaning[posture]);
      if (claims.length > 0) screen.note(`newcomers bring ${claims.join(", ")}`);
      screen.note(`discovery: ${discovery}`);
    },
  }),
});

const meaning: Readonly<Record<(typeof postures)[number], string>> = {
  "trusted-lan": "whoever has a token may join; members trust each other",
  "configured-peers": "only nodes that the operator's description names may join",
  "attested-peers": "only nodes that are described and bring the claims named may join",
  "compute-market": "strangers compute for strangers",
};
