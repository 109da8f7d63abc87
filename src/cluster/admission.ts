import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { memberOf, ready, withMember } from "./members.ts";
import { isLive, type MeshState } from "./state.ts";
import { requireToken, useToken } from "./tokens.ts";

/** Founds the mesh with its first member, which is ready: whoever founds is there. */
export function found(
  state: MeshState,
  { mesh, node, key, roles, epoch, version, founding, contact }: CommandOf<"mesh-founded">,
): MeshState {
  if (state.mesh !== "")
    deny("mesh_wrong", `this log is that of the mesh ${state.mesh}`, "found one in another home");
  const { timeMs: sinceMs } = state;
  const facts = { node, key, contact, roles, epoch, labels: [] } as const;
  const founder = { ...facts, token: null, sinceMs, standing: "joining" } as const;
  const founded = withMember(
    { ...state, mesh, founder: node, founding, owners: [node], version },
    founder,
  );
  return ready(founded, { kind: "node-ready", node, epoch, key, contact });
}

/**
 * Admits a newcomer, or refuses it without any trace: everything is checked before anything changes, and
 * the token is used in the same event, so that of two who come with one at once the second is refused.
 */
export function admit(state: MeshState, newcomer: CommandOf<"node-admitted">): MeshState {
  requireFit(state, newcomer);
  const token = requireToken(state, newcomer);
  requireOwnId(state, newcomer);
  requireDescribed(state, newcomer);
  const { node, key, contact, roles, epoch } = newcomer;
  const { timeMs: sinceMs } = state;
  const facts = { node, key, contact, roles, epoch, labels: [] } as const;
  const member = { ...facts, token: token.token, sinceMs } as const;
  return withMember(useToken(state, token), { ...member, standing: "joining" });
}

function requireFit(
  { mesh, version, timeMs, configuration: { skewMs } }: MeshState,
  newcomer: CommandOf<"node-admitted">,
): void {
  if (newcomer.mesh !== mesh)
    deny("mesh_wrong", `this is the mesh ${mesh}, not ${newcomer.mesh}`, "use its own join line");
  if (newcomer.version !== version)
    deny(
      "version_unfit",
      `the mesh speaks version ${version}, the newcomer ${newcomer.version}`,
      "install the program that the mesh runs",
    );
  const apartMs = Math.abs(newcomer.clockMs - timeMs);
  if (apartMs > skewMs)
    deny(
      "clock_skewed",
      `the clocks are ${apartMs} ms apart; ${skewMs} are allowed`,
      "set the newcomer's clock, best by NTP",
    );
}

/** A node id belongs to one member. Who left or was evicted comes back only in a later epoch. */
function requireOwnId(state: MeshState, { node, epoch }: CommandOf<"node-admitted">): void {
  const known = memberOf(state, node);
  if (known === undefined) return;
  if (isLive(known))
    deny(
      "node_duplicate",
      `${node} is a member already`,
      "if it is this machine, start it without joining; a copied home needs an identity of its own",
    );
  if (epoch <= known.epoch)
    deny(
      "epoch_stale",
      `${node} was here until epoch ${known.epoch}, and comes in epoch ${epoch}`,
      "its home was restored from an old copy: start it anew until its epoch is higher",
    );
}

function requireDescribed(
  { manifest, posture }: MeshState,
  { node, key, roles, claims }: CommandOf<"node-admitted">,
): void {
  const described = manifest?.nodes.find((each) => each.node === node && each.key === key);
  const isDescribed = roles.every((role) => described?.roles.includes(role));
  if (manifest !== null && (described === undefined || !isDescribed))
    deny(
      "manifest_outside",
      `${node} does not stand so in the operator's manifest`,
      "add it there, with its key and roles",
    );
  const missing = posture.claims.filter((claim) => !claims.includes(claim));
  if (missing.length > 0)
    deny("claims_missing", `the newcomer lacks ${missing.join(", ")}`, "have it attested first");
}
