import { resolve } from "node:path";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { openSnapshot, snapshotMaximumBytes, wrong } from "./mesh-snapshot.ts";

/** What checking a snapshot's file found. */
export interface CheckedSnapshot {
  readonly file: string;
  readonly mesh: string;
  readonly node: string;
  readonly key: string;
  readonly index: number;
  readonly term: number;
  readonly digest: string;
  readonly logDigest: string;
  readonly madeMs: number;
  readonly memberCount: number;
  /** By its id, by what this node's owner entered with `trust`, or by this node's own mesh. */
  readonly signer: "proven" | "known" | "unproven";
  /** Whether this node's own log says the same at that index; null where it cannot tell. */
  readonly agreesHere: boolean | null;
}

/**
 * Checks a snapshot's file without a cluster, and against this node's log where it has that part of it.
 * Refused with `not_found`, `cluster_snapshot_wrong`, and `cluster_digest_differs`.
 */
export async function checkSnapshotFile(
  path: string,
  services: Pick<Services, "disk" | "cluster" | "trust">,
): Promise<CheckedSnapshot> {
  const file = resolve(path);
  const found = await services.disk.stat(file);
  if (found === null)
    throw new Refusal("not_found", `${file} does not exist`, "name the snapshot's file", { file });
  if (found.sizeBytes > snapshotMaximumBytes)
    throw wrong(`it has more than ${snapshotMaximumBytes} bytes`, { file });
  const { snapshot, isSignerProven } = openSnapshot(await services.disk.readText(file));
  const { mesh, node, key, index, term, digest, logDigest, madeMs, state } = snapshot;
  const agreesHere = await compareHere(snapshot, services);
  if (agreesHere === false)
    throw new Refusal(
      "cluster_digest_differs",
      `${node} signed another state at index ${index} than this node's log gives`,
      "psionic cluster verify compares all members",
      { file, node, index, said: logDigest },
    );
  const signer = isSignerProven ? "proven" : isKnown(snapshot, services) ? "known" : "unproven";
  return {
    ...{ file, mesh, node, key, index, term, digest, logDigest, madeMs },
    ...{ memberCount: state.members.filter(isHere).length, signer, agreesHere },
  };
}

const isHere = ({ standing }: { readonly standing: string }) =>
  standing !== "left" && standing !== "evicted";

function isKnown(
  { node, key }: { readonly node: string; readonly key: string },
  { cluster, trust }: Pick<Services, "cluster" | "trust">,
): boolean {
  const member = cluster?.state().members.find((each) => each.node === node);
  return member?.key === key || trust.find(node)?.publicKey === key;
}

async function compareHere(
  snapshot: { readonly mesh: string; readonly index: number; readonly logDigest: string },
  { cluster }: Pick<Services, "cluster">,
): Promise<boolean | null> {
  if (cluster === null || cluster.standing().mesh !== snapshot.mesh) return null;
  try {
    return (await cluster.digestAt(snapshot.index)) === snapshot.logDigest;
  } catch (error) {
    if (error instanceof Refusal && error.code === "cluster_index_unkept") return null;
    throw error;
  }
}
