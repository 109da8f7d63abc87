import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { nameMaximum } from "./bounds.ts";
import { clusterOf, submitAsOwner, submittedEntries } from "./command-parts.ts";
import { durationMs, durationText, showDuration } from "./duration.ts";
import { roles, type CommandOf } from "./event.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { defaultTokenRoles, makeToken } from "./make-token.ts";
import type { Token } from "./state.ts";
import { placeNote, tableLines } from "./views/words.ts";

const roleResult = v.picklist(roles);

/** `trainer,validator`, or `none`: a list a person types as one word. */
const roleWords = v.pipe(
  v.string(),
  v.maxLength(100),
  v.regex(/^[a-z]+(,[a-z]+)*$/, "write roles with commas between: trainer,validator"),
  v.description(`what who joins may be: ${roles.join(", ")}`),
);

function readRoles(text: string): CommandOf<"token-created">["roles"] {
  const words = [...new Set(text.split(","))];
  const parsed = v.safeParse(v.array(roleResult), words);
  if (parsed.success) return parsed.output;
  const wrong = words.find((word) => !roles.some((role) => role === word));
  throw new Refusal(
    "usage",
    `${wrong} is no role`,
    `name some of ${roles.join(", ")}, with commas between`,
    { role: wrong },
  );
}

defineCommand({
  name: "token/create",
  summary: "Make the line with which another machine joins this mesh.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    reusable: v.optional(
      v.pipe(v.boolean(), v.description("let any number of nodes join with it, not one")),
      false,
    ),
    ttl: v.optional(durationText("how long it opens the mesh"), "1h"),
    roles: v.optional(roleWords, defaultTokenRoles.join(",")),
  }),
  result: v.strictObject({
    /** The token's name; the secret stands in `text` and `line` alone. */
    token: v.string(),
    text: v.string(),
    line: v.string(),
    places: v.array(v.string()),
    roles: v.array(roleResult),
    isReusable: v.boolean(),
    expiryMs: v.number(),
    lifetimeMs: v.number(),
  }),
  examples: ["psionic token create", "psionic token create --reusable --ttl 7d --roles trainer"],
  async run({ reusable, ttl, roles: words }, { services, signal }) {
    const cluster = clusterOf(services);
    const lifetimeMs = durationMs(ttl);
    const request = { roles: readRoles(words), isReusable: reusable, lifetimeMs };
    const parts = { cluster, random: services.random, nowMs: services.clock.wallMs() };
    const made = await makeToken(parts, request, signal);
    return { ...made, places: [...made.places], lifetimeMs };
  },
  view: (screen) => ({
    result({ token, line, places, roles: allowed, isReusable, lifetimeMs }) {
      screen.print(line);
      const whom = isReusable ? "any number of nodes" : "one node";
      screen.note(`for ${whom}, within ${showDuration(lifetimeMs)}, as ${allowed.join(", ")}`);
      for (const note of placeNote(places)) screen.note(note);
      screen.note(`take it back: psionic token revoke ${token}`);
    },
  }),
});

const tokenStates = ["open", "used", "expired", "revoked"] as const;

/** How a token stands by the coordinator's time, or by this node's clock where that is ahead. */
function standingOf({ isRevoked, isReusable, expiryMs, useCount }: Token, nowMs: number) {
  if (isRevoked) return "revoked";
  if (useCount > 0 && !isReusable) return "used";
  return nowMs < expiryMs ? "open" : "expired";
}

defineCommand({
  name: "token/list",
  summary: "Join tokens: what each allows, its uses, until when.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({}),
  result: v.strictObject({
    tokens: v.array(
      v.strictObject({
        token: v.string(),
        state: v.picklist(tokenStates),
        roles: v.array(roleResult),
        isReusable: v.boolean(),
        useCount: v.number(),
        expiryMs: v.number(),
        /** Until it runs out; negative once it has. */
        leftMs: v.number(),
      }),
    ),
  }),
  examples: ["psionic token list"],
  run(_parameters, { services }) {
    const state = clusterOf(services).state();
    const nowMs = Math.max(state.timeMs, Math.floor(services.clock.wallMs()));
    return {
      tokens: state.tokens.map((token) => ({
        ...{ token: token.token, state: standingOf(token, nowMs), roles: [...token.roles] },
        ...{ isReusable: token.isReusable, useCount: token.useCount },
        ...{ expiryMs: token.expiryMs, leftMs: token.expiryMs - nowMs },
      })),
    };
  },
  view: (screen) => ({
    result({ tokens }) {
      if (tokens.length === 0)
        return screen.note("no join tokens; `psionic token create` makes one");
      const rows = tokens.map(({ token, state, isReusable, useCount, leftMs, roles: allowed }) => [
        ...[token, state, isReusable ? `${useCount}` : `${useCount} of 1`],
        ...[state === "open" ? `in ${showDuration(leftMs)}` : "–", allowed.join(" ")],
      ]);
      const [head, ...lines] = tableLines(["TOKEN", "STATE", "USED", "ENDS", "ROLES"], rows);
      screen.note(head!);
      for (const line of lines) screen.print(line);
    },
  }),
});

defineCommand({
  name: "token/revoke",
  summary: "Take a join token back: nobody joins with it any more.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    token: v.pipe(
      v.string(),
      v.maxLength(nameMaximum),
      v.regex(/^[a-z0-9][a-z0-9-]*$/, "not the name of a token"),
      v.description("its name, as `token list` shows it; not the token itself"),
    ),
  }),
  positional: ["token"],
  result: v.strictObject({ token: v.string(), ...submittedEntries }),
  examples: ["psionic token revoke k3x7qpab"],
  async run({ token }, { services, signal }) {
    const cluster = clusterOf(services);
    const { index, term } = await submitAsOwner(cluster, { kind: "token-revoked", token }, signal);
    return { token, index, term };
  },
  view: (screen) => ({
    result({ token }) {
      screen.print(token);
      screen.note("nobody joins with it any more; who joined with it stays (psionic node evict)");
    },
  }),
});
