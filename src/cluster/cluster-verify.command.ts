import * as v from "valibot";
import type { CommandContext } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import type { Clock } from "#src/port/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { clusterOf } from "./command-parts.ts";
import { compareMembers, digestAnswer, type Comparison } from "./compare-members.ts";
import type { ClusterService } from "./services.ts";
import { countText, digestText, timeText, wrapLines } from "./views/words.ts";

const comparisonResult = v.strictObject({
  node: v.string(),
  outcome: v.picklist(["equal", "differs", "unknown"]),
  digest: v.nullable(v.string()),
  reason: v.nullable(v.string()),
});

const logResult = v.strictObject({
  checked: v.literal("log"),
  mesh: v.string(),
  node: v.string(),
  index: v.number(),
  term: v.number(),
  digest: v.string(),
  /** From where the log was folded, and how many entries. */
  fromSnapshotIndex: v.number(),
  entryCount: v.number(),
  /** What the other members say of the same index. */
  members: v.array(comparisonResult),
});

const fileResult = v.strictObject({
  checked: v.literal("snapshot"),
  file: v.string(),
  mesh: v.string(),
  node: v.string(),
  key: v.string(),
  index: v.number(),
  term: v.number(),
  digest: v.string(),
  logDigest: v.string(),
  madeMs: v.number(),
  memberCount: v.number(),
  signer: v.picklist(["proven", "known", "unproven"]),
  agreesHere: v.nullable(v.boolean()),
});

type LogResult = v.InferOutput<typeof logResult>;
type FileResult = v.InferOutput<typeof fileResult>;

defineCommand({
  name: "cluster/verify",
  summary: "Fold the log again and compare it with other members.",
  access: "owner",
  flow: "cluster",
  // A snapshot's file is checked without a daemon; the log is the daemon's.
  place: "node",
  parameters: v.strictObject({
    snapshot: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.description("check this file of `cluster snapshot` instead; needs no daemon"),
      ),
    ),
    alone: v.optional(
      v.pipe(v.boolean(), v.description("check this node's log only; ask nobody")),
      false,
    ),
  }),
  paths: ["snapshot"],
  result: v.variant("checked", [logResult, fileResult]),
  examples: ["psionic cluster verify", "psionic cluster verify --snapshot mesh.json"],
  async run({ snapshot, alone }, { services, signal }): Promise<LogResult | FileResult> {
    if (snapshot === undefined) return verifyLog(clusterOf(services), alone, signal);
    const { checkSnapshotFile } = await import("./snapshot-file.ts");
    return { checked: "snapshot", ...(await checkSnapshotFile(snapshot, services)) };
  },
  view: (screen) => ({
    result(result) {
      const lines = result.checked === "log" ? logLines(result) : fileLines(result);
      for (const line of lines)
        for (const part of wrapLines(line, screen.columns, 10)) screen.print(part);
    },
  }),
});

/**
 * Refused with `cluster_state_wrong` where the log on the disk does not give the state in memory, with
 * `cluster_digest_differs` where another member has another state at the same index.
 */
async function verifyLog(
  cluster: ClusterService,
  isAlone: boolean,
  signal: AbortSignal,
): Promise<LogResult> {
  const { mesh, node } = cluster.standing();
  const { liveDigest, ...own } = await cluster.recompute();
  if (own.digest !== liveDigest)
    throw new Refusal(
      "cluster_state_wrong",
      `the log on the disk gives ${digestText(own.digest)}… at index ${own.index}, and memory holds ${digestText(liveDigest)}…`,
      "stop this node and keep its home; the other members go on without it",
      { node, index: own.index, recomputed: own.digest, live: liveDigest },
    );
  const members = isAlone ? [] : await compareMembers(cluster, own, signal);
  const differing = members.filter(({ outcome }) => outcome === "differs");
  if (differing.length > 0) throw differs(node, own, members, differing);
  return { checked: "log", mesh, node, ...own, members: [...members] };
}

function differs(
  node: string,
  { index, digest }: { readonly index: number; readonly digest: string },
  members: readonly Comparison[],
  differing: readonly Comparison[],
): Refusal {
  return new Refusal(
    "cluster_digest_differs",
    `at index ${index} ${differing.map((each) => each.node).join(", ")} ${differing.length === 1 ? "has" : "have"} another state than this node`,
    "run it on a third member: whoever differs from the majority leaves and joins anew; keep its home",
    { node, index, digest, members },
  );
}

function logLines({ index, digest, fromSnapshotIndex, entryCount, members }: LogResult): string[] {
  const from = fromSnapshotIndex === 0 ? "the log's beginning" : `snapshot ${fromSnapshotIndex}`;
  const equal = members.filter(({ outcome }) => outcome === "equal").length;
  return [
    `verified  index ${index}: folding ${countText(entryCount, "entry", "entries")} from ${from} gives the state in memory`,
    `state     ${digest}`,
    members.length === 0
      ? "members   nobody was compared with"
      : `members   ${equal} of ${members.length} others say the same`,
    ...members
      .filter(({ outcome }) => outcome === "unknown")
      .map(({ node, reason }) => `unknown   ${node}: ${reason}`),
  ];
}

function fileLines(file: FileResult): string[] {
  const signer = {
    proven: "its id is that key's",
    known: "the key this node knows of it",
    unproven: "a key only the snapshot names for it: enter the node with `trust set` to be sure",
  }[file.signer];
  const here =
    file.agreesHere === true
      ? "this node's log gives the same"
      : "not compared with this node's log, which does not have that index or mesh";
  return [
    `verified  ${file.file}`,
    `mesh      ${file.mesh}, ${countText(file.memberCount, "member")}, index ${file.index}, term ${file.term}`,
    `state     ${file.logDigest}`,
    `signed    by ${file.node}, ${timeText(file.madeMs)}: ${signer}`,
    `here      ${here}`,
  ];
}

/** How long a member waits to come as far as it is asked about, and how often it looks. */
const catchUpMs = 5_000;
const lookMs = 50;

defineCommand({
  name: "cluster/digest",
  summary: "What this member's state was at an index of the log, as a digest.",
  access: "member",
  // Members ask it of each other.
  hidden: true,
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    index: v.pipe(
      v.number(),
      v.safeInteger(),
      v.minValue(0),
      v.description("which; waited for a few seconds where the log has not come so far"),
    ),
  }),
  positional: ["index"],
  result: digestAnswer,
  examples: ["psionic cluster digest 128"],
  async run({ index }, { services, signal }) {
    const cluster = clusterOf(services);
    await untilApplied(cluster, index, services.clock, signal);
    const { mesh, node } = cluster.standing();
    return { mesh, node, index, digest: await cluster.digestAt(index) };
  },
  view: (screen) => ({
    result: ({ digest, index }) => screen.print(`${digest}  ${index}`),
  }),
});

async function untilApplied(
  cluster: ClusterService,
  index: number,
  clock: Clock,
  signal: CommandContext["signal"],
): Promise<void> {
  const endMs = clock.monotonicMs() + catchUpMs;
  while (cluster.standing().appliedIndex < index && clock.monotonicMs() < endMs)
    await clock.sleep(lookMs, signal);
}
