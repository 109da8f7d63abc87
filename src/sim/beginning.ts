import { proveAdmission, tokenKey } from "#src/cluster/admission-proof.ts";
import type { Command, Event, Scope } from "#src/cluster/event.ts";
import { MeshFold } from "#src/cluster/mesh-fold.ts";
import { assert } from "#src/refusal/refusal.ts";
import { keyOf } from "./keys.ts";
import { contactOf, founderRoles, protocolVersion } from "./mesh-traffic.ts";
import { epochMs } from "./surroundings.ts";

/**
 * The text of a mesh of these nodes, all ready and able to coordinate; that of none where there are none.
 * The first is the founder.
 */
export function meshTextOf(nodes: readonly string[]): string {
  const fold = new MeshFold();
  const [owner] = nodes;
  if (owner === undefined) return fold.save();
  const apply = (author: string, scope: Scope, command: Command) => {
    const event: Event = { author, scope, policy: null, command, timeMs: epochMs, term: 0 };
    const outcome = fold.outcome(JSON.stringify(event));
    assert("done" in outcome, `a beginning has no refusals: ${JSON.stringify(outcome)}`);
  };
  const names = (node: string) => ({
    ...{ mesh: "home", node, key: keyOf(node), roles: [...founderRoles] },
    ...{ epoch: 1, version: protocolVersion, contact: contactOf(node, 1) },
  });
  apply(owner, "owner", { kind: "mesh-founded", ...names(owner), founding: 0 });
  const token = "first";
  const terms = { roles: [...founderRoles], isReusable: true, lifetimeMs: 60_000 };
  apply(owner, "owner", { kind: "token-created", token, secret: tokenKey(token), ...terms });
  for (const node of nodes.slice(1)) {
    const applicant = { ...names(node), token };
    const proof = proveAdmission(token, applicant);
    const newcomer = { ...applicant, proof, clockMs: epochMs, claims: [] };
    apply(owner, "membership", { kind: "node-admitted", ...newcomer });
    const { key, epoch, contact } = newcomer;
    apply(node, "self", { kind: "node-ready", node, key, epoch, contact });
  }
  return fold.save();
}
