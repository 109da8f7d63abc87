import * as v from "valibot";
import type { Caller, PeerCaller } from "#src/command/caller.ts";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf } from "#src/cluster/command-parts.ts";
import { shapes } from "#src/cluster/event.ts";
import { defaultTokenRoles } from "#src/cluster/make-token.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { admissionSchema } from "./admission-schema.ts";

const described = <Schema extends v.GenericSchema>(schema: Schema, text: string) =>
  v.pipe(schema, v.description(text));

defineCommand({
  name: "cluster/admit",
  summary: "Admit the calling node to this mesh, if the join token it shows allows that.",
  // Whoever has a token may come; the token is judged, not the caller's standing.
  access: "safe",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    mesh: described(shapes.name, "the mesh that the token names"),
    node: described(shapes.name, "the caller's node id"),
    key: described(shapes.digest, "the key that the caller signs with"),
    epoch: described(shapes.count, "which start of the caller this is"),
    meshVersion: described(shapes.count, "the version of messages between members it speaks"),
    contact: described(shapes.contact, "where the caller is reached, and its other keys"),
    token: described(shapes.name, "the name of the join token"),
    proof: v.pipe(
      v.string(),
      v.regex(/^[0-9a-f]{128}$/),
      v.description("the caller's signature with the key that the token's secret makes"),
    ),
    roles: v.optional(described(shapes.roleList, "what it wants to be; all the token allows")),
    clockMs: described(shapes.count, "the caller's clock"),
    claims: described(shapes.claims, "names of the claims it brings"),
    isProbe: v.optional(
      v.pipe(v.boolean(), v.description("say what would happen and change nothing")),
      false,
    ),
  }),
  result: admissionSchema,
  async run({ roles, isProbe, meshVersion, ...facts }, { services, caller, signal }) {
    const cluster = clusterOf(services);
    requireNewcomer(caller, facts);
    const token = cluster.state().tokens.find((each) => each.token === facts.token);
    const wanted = roles ?? token?.roles ?? defaultTokenRoles;
    const newcomer = {
      ...{ ...facts, version: meshVersion },
      roles: [...wanted],
    };
    const admission = await cluster.admit(newcomer, isProbe, signal);
    return { ...admission, members: admission.members.map((member) => ({ ...member })) };
  },
});

/** Nobody joins for another: the key that signed the call is the newcomer's own. */
function requireNewcomer(
  caller: Caller,
  { node, key }: { readonly node: string; readonly key: string },
): asserts caller is PeerCaller {
  if (caller.provenance === "peer" && caller.nodeId === node && caller.publicKey === key) return;
  throw new Refusal(
    "not_authorised",
    "a node is admitted over its own connection, by the key it signs with",
    "type `psionic join HOST:PORT --token …` on the machine that is to join",
    { node },
  );
}
