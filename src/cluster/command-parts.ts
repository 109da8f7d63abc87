import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { nameMaximum } from "./bounds.ts";
import type { Command } from "./event.ts";
import type { ClusterService, Submitted } from "./services.ts";
import type { Member } from "./state.ts";

/** The running cluster. Refused with `daemon_absent` in a process that is no daemon. */
export function clusterOf({ cluster, home }: Pick<Services, "cluster" | "home">): ClusterService {
  if (cluster !== null) return cluster;
  throw new Refusal(
    "daemon_absent",
    "a node takes part in its mesh while its daemon runs, and none has this home",
    "`psionic up --detach` starts one",
    { home: home.root },
  );
}

/** What the node is called at a terminal: as much of its id as is clear, or `self`. */
export const nodeParameter = v.pipe(
  v.string(),
  v.maxLength(nameMaximum),
  v.regex(/^[a-z0-9][a-z0-9-]*$/, "not the beginning of a node id"),
  v.description("the beginning of a node id, or self"),
);

/**
 * The member that a person means, gone ones included. Refused with `member_unknown`, and with
 * `node_ambiguous` where several ids begin so.
 */
export function findMember(cluster: Pick<ClusterService, "standing" | "state">, words: string) {
  const wanted = words === "self" ? cluster.standing().node : words;
  const { members } = cluster.state();
  const exact = members.find(({ node }) => node === wanted);
  const found =
    exact === undefined ? members.filter(({ node }) => node.startsWith(wanted)) : [exact];
  if (found.length === 1) return found[0]!;
  if (found.length === 0)
    throw new Refusal(
      "member_unknown",
      `no member's id begins with ${wanted}`,
      "`psionic nodes --all` shows everybody who is or was a member",
      { node: wanted },
    );
  throw new Refusal(
    "node_ambiguous",
    `${found.length} members' ids begin with ${wanted}`,
    "type more of it",
    { node: wanted, members: found.slice(0, 8).map(({ node }) => node) },
  );
}

/** Letters of an id that are shown at least. */
const shortLength = 9;

/** The beginning of a node id that no other member's id has. */
export function shortId(
  node: string,
  { members }: { readonly members: readonly Pick<Member, "node">[] },
): string {
  const others = members.filter((each) => each.node !== node);
  let length = shortLength;
  while (length < node.length && others.some((each) => each.node.startsWith(node.slice(0, length))))
    length++;
  return node.slice(0, length);
}

/** Whether this node's owner answers for the mesh. */
export function isOwner(cluster: Pick<ClusterService, "standing" | "state">): boolean {
  return cluster.state().owners.includes(cluster.standing().node);
}

/**
 * Submits what only an owner of the mesh may ask for. On another node it is refused with
 * `scope_lacking` before anything is sent, naming the node where it is asked for.
 */
export async function submitAsOwner(
  cluster: ClusterService,
  command: Command,
  signal: AbortSignal,
): Promise<Submitted> {
  requireOwner(cluster);
  return cluster.submit("owner", command, signal);
}

/** Refused with `scope_lacking` on a node that is no owner of the mesh. */
export function requireOwner(cluster: Pick<ClusterService, "standing" | "state">): void {
  if (isOwner(cluster)) return;
  const { owners, members } = cluster.state();
  const placeOf = (owner: string) =>
    members.find(({ node }) => node === owner)?.contact.places[0] ?? null;
  const where = owners.map((owner) => placeOf(owner) ?? owner);
  throw new Refusal(
    "scope_lacking",
    `only an owner of the mesh decides this, and this node is none; ${owners.length === 1 ? "the one is" : "they are"} ${owners.join(", ")}`,
    `run the command on such a machine (${where.join(", ")}), or have one make this node an owner: psionic node own`,
    { owners, node: cluster.standing().node, places: owners.map(placeOf) },
  );
}

/** In which capacity this node speaks of a member: of itself, as the mesh's owner, or as any member. */
export function scopeFor(
  cluster: Pick<ClusterService, "standing" | "state">,
  { node }: Pick<Member, "node">,
): "self" | "owner" | "membership" {
  if (node === cluster.standing().node) return "self";
  return isOwner(cluster) ? "owner" : "membership";
}

/** Where a change came to stand in the log. */
export const submittedEntries = { index: v.number(), term: v.number() };
