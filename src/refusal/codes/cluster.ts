import { entry, type CodeEntry } from "./entry.ts";

/** The state of a mesh: who may join it, who is in it, and who may change what. */
export const clusterCodes = {
  event_malformed: entry(
    13,
    400,
    false,
    "What was submitted to the mesh is not a command of the shape this version reads, or passes a maximum. Its author runs another version.",
  ),
  scope_lacking: entry(
    12,
    403,
    false,
    "The author of a command may not ask for it in the capacity it names: only a node itself speaks for itself, only an end of a link measures it, only a ready member admits, only a coordinator gives orders, and only the founder's owner sets what the mesh is.",
  ),
  mesh_wrong: entry(
    14,
    421,
    false,
    "The newcomer asked for another mesh than the one that answered, or the mesh is not founded, or is already. Use the join line that `psionic up` printed on a member of the mesh you want.",
  ),
  mesh_full: entry(
    14,
    507,
    false,
    "The mesh knows as many members, tokens, links or blobs as it may. Nothing was added.",
  ),
  token_used: entry(
    12,
    409,
    false,
    "The join token was for one node, and that node has joined. Make another token for the next.",
  ),
  token_expired: entry(
    12,
    403,
    false,
    "The join token ran out before it was used, by the clock of the mesh's leader. Make another.",
  ),
  token_exists: entry(
    14,
    409,
    false,
    "A token of that name was made before. Make one of another name.",
  ),
  epoch_stale: entry(
    16,
    409,
    false,
    "The mesh has seen the node in a later epoch than the one it speaks in. Two processes run with one identity, or its home was restored from an old copy. End the other one; an old copy catches up by starting until its epoch is higher.",
  ),
  clock_skewed: entry(
    14,
    409,
    true,
    "The newcomer's clock differs from the leader's by more than the mesh allows. Set it, best by NTP, and join again.",
  ),
  version_unfit: entry(
    14,
    409,
    false,
    "The newcomer speaks another version of the protocol than the mesh. Install the version that the mesh runs.",
  ),
  node_duplicate: entry(
    14,
    409,
    false,
    "A member of that node id is in the mesh. If it is this machine, start it without joining again. If the home was copied, give the copy an identity of its own.",
  ),
  claims_missing: entry(
    12,
    403,
    false,
    "The mesh admits only nodes that bring the claims its posture names, and the newcomer lacks some. The message names them.",
  ),
  manifest_outside: entry(
    12,
    403,
    false,
    "The operator's manifest of the mesh does not name the node with that key and those roles, or names one twice. Change the manifest and set it again.",
  ),
  member_unknown: entry(
    10,
    404,
    false,
    "No member of that node id is in the mesh: it never joined, left, or was evicted. It joins with a new token.",
  ),
  member_standing_wrong: entry(
    14,
    409,
    false,
    "The member does not stand as the command needs: only who is ready holds a lease or drains, and the founder neither leaves nor is evicted.",
  ),
  lease_absent: entry(
    16,
    409,
    false,
    "The member holds no lease that could end. Another coordinator was faster, or the member drains.",
  ),
  lease_live: entry(
    16,
    409,
    true,
    "The member still has time by the clock of the leader. Nothing ends before its time.",
  ),
  fence_stale: entry(
    16,
    409,
    false,
    "An order carries an older fence than one that is known, or was given by an authority that has changed since. Whoever gave it does not coordinate any more.",
  ),
  configuration_unfit: entry(
    2,
    400,
    false,
    "The durations of the mesh do not follow each other: the heartbeat interval is shorter than the time after which a silent node is suspected, that is shorter than the one after which it is given up, and a lease is no shorter than that.",
  ),
  posture_unfounded: entry(
    14,
    409,
    false,
    "The mesh cannot show what it was to say of itself. Configured peers need a manifest that names every member; attested peers need claims too.",
  ),
  compute_market_refused: entry(
    12,
    403,
    false,
    "A mesh may not be called a compute market: results of strangers are neither attested nor settled, and nothing isolates the work of one from another.",
  ),
} as const satisfies Record<string, CodeEntry>;
