import { useMemo } from "preact/hooks";
import { formatCount } from "../format.ts";
import type { MeasuredLink, MeshStatus, NodeRow, NodesAnswer } from "../mesh-answers.ts";
import { driftText, isGone, meshPostureText, quorumText } from "../mesh-words.ts";
import { liveRows, topologyOf } from "../topology.ts";
import { Digest } from "./digest.tsx";
import { JoinPanel } from "./join-panel.tsx";
import { LinkTable, MeasuredTable } from "./link-tables.tsx";
import { GoneTable, MemberTable } from "./member-tables.tsx";
import { Facts, Loading, Reading, RefusalNote } from "./pieces.tsx";
import { TopologyPicture } from "./topology-picture.tsx";
import { useAnswer } from "./use-answer.ts";

/** Links move every second; the rest comes with the journal. */
const everyMs = 3_000;
/** What members measured of their links is much where they are many, and moves little. */
const measuredEveryMs = 30_000;
const isOfCluster = ({ type }: { readonly type: string }) => type.startsWith("cluster.");

/** Where a node that takes part in no mesh, or is too old to know of them, says no. */
const absentCodes = new Set(["daemon_absent", "unknown_command"]);

/** The mesh this node belongs to: who is in it, how they reach each other, what joins it. */
export function ClusterView() {
  const kept = { on: isOfCluster, everyMs };
  const status = useAnswer<MeshStatus>("cluster/status", {}, kept);
  const nodes = useAnswer<NodesAnswer>("nodes", { all: true }, kept);
  const measured = useAnswer<NodesAnswer>(
    "nodes",
    { links: true },
    { on: isOfCluster, everyMs: measuredEveryMs },
  );
  const refused = status.refused ?? nodes.refused;
  const isAbsent = refused !== null && absentCodes.has(refused.code);
  return (
    <>
      <h1>Cluster</h1>
      {isAbsent ? (
        <section class="panel" aria-labelledby="absent-title">
          <h2 id="absent-title">No mesh</h2>
          <p>
            This node takes part in no mesh now. One begins with <code>psionic up</code>, of this
            node alone; its join line lets others in.
          </p>
        </section>
      ) : (
        <RefusalNote refused={refused} />
      )}
      {status.value !== null && <MeshReadings status={status.value} />}
      {status.value !== null && <MeshNotes status={status.value} />}
      {status.value === null || nodes.value === null ? (
        refused === null && <Loading what="the mesh" />
      ) : (
        <Mesh
          status={status.value}
          nodes={nodes.value.nodes}
          links={measured.value?.links ?? noLinks}
        />
      )}
    </>
  );
}

function MeshReadings({ status }: { readonly status: MeshStatus }) {
  const { leader, node, voters, learners, posture, memberCount, log, term, spareCount } = status;
  const short = [...voters, ...learners].find((each) => each.node === leader);
  const name = leader === null ? "nobody" : (short?.shortId ?? leader.slice(0, 9));
  return (
    <dl class="readings">
      <Reading label="Members" note={node.taking === "member" ? "this node is one" : node.taking}>
        {formatCount(memberCount)}
      </Reading>
      <Reading label="Coordinator" note={short?.isSelf ? "this node" : undefined}>
        {name}
      </Reading>
      <Reading label="Term" note={`index ${formatCount(log.appliedIndex)}`}>
        {formatCount(term)}
      </Reading>
      <Reading label="Decide" note={quorumText(status)}>
        {formatCount(voters.length)}
      </Reading>
      <Reading label="May be lost" note="of those that decide">
        {formatCount(spareCount)}
      </Reading>
      <Reading label="Posture" note={`discovery ${posture.discovery}`}>
        {posture.posture}
      </Reading>
    </dl>
  );
}

const takingTexts: Readonly<Record<string, string>> = {
  joining: "This node is joining: the mesh's log has yet to say that it is a member.",
  out:
    "This node is no member any more: it left, or was evicted. What follows is the last it knew; " +
    "a new join line takes it in.",
};

/** What an operator should know before anything else: nothing can be decided, or the mesh is not as described. */
function MeshNotes({ status }: { readonly status: MeshStatus }) {
  const { leader, hasQuorum, drift, node } = status;
  const taking = takingTexts[node.taking];
  return (
    <>
      {taking !== undefined && <p class="note warning">{taking}</p>}
      {node.taking !== "out" && (leader === null || !hasQuorum) && (
        <div class="note warning" role="alert">
          <p>
            <strong>{leader === null ? "Nobody coordinates the mesh." : quorumText(status)}</strong>{" "}
            Orders wait until enough of those that decide are back.
          </p>
        </div>
      )}
      {drift.length > 0 && (
        <div class="note warning">
          <p>
            <strong>The mesh differs from its manifest.</strong>
          </p>
          <ul>
            {drift.map((each) => (
              <li key={`${each.node} ${each.why}`}>{driftText(each)}</li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}

interface MeshProps {
  readonly status: MeshStatus;
  readonly nodes: readonly NodeRow[];
  readonly links: readonly MeasuredLink[];
}

const noLinks: readonly MeasuredLink[] = [];

function Mesh({ status, nodes, links }: MeshProps) {
  const topology = useMemo(() => topologyOf(nodes, links), [nodes, links]);
  const live = liveRows(nodes);
  const gone = nodes.filter(isGone);
  const owner = nodes.find(({ isOwner }) => isOwner);
  const isOut = status.node.taking === "out";
  const isAlone = live.length <= 1 && !isOut;
  return (
    <>
      {!isOut && <JoinPanel {...{ isAlone, owner }} isOwner={status.isOwner} />}
      <div class="beside">
        <section class="panel" aria-labelledby="topology-title">
          <h2 id="topology-title">Topology</h2>
          <TopologyPicture topology={topology} />
        </section>
        <MeshFacts status={status} />
      </div>
      <section class="panel" aria-labelledby="members-title">
        <h2 id="members-title">Nodes</h2>
        <MemberTable rows={live} />
      </section>
      {live.length > 1 && (
        <section class="panel" aria-labelledby="links-title">
          <h2 id="links-title">Links and claims</h2>
          <p class="muted">This node's own links, as they are now.</p>
          <LinkTable rows={live} />
          {links.length > 0 && (
            <details>
              <summary>Measured by the members ({links.length})</summary>
              <MeasuredTable rows={nodes} links={links} />
            </details>
          )}
        </section>
      )}
      <LogFacts status={status} />
      {gone.length > 0 && (
        <section class="panel" aria-labelledby="gone-title">
          <h2 id="gone-title">No members any more</h2>
          <GoneTable rows={gone} />
        </section>
      )}
    </>
  );
}

function MeshFacts({ status }: { readonly status: MeshStatus }) {
  const { mesh, founder, owners, posture, survives, manifest, voters, undialled } = status;
  return (
    <section class="panel" aria-labelledby="mesh-title">
      <h2 id="mesh-title">Mesh</h2>
      <Facts
        facts={[
          ["mesh", mesh],
          ["founder", founder],
          ["owners", owners],
          ["posture", meshPostureText(posture)],
          ["claims", posture.claims],
          ["survives", survives],
          [
            "decide",
            voters.map(({ shortId, isHeard }) => `${shortId}${isHeard ? "" : " (silent)"}`),
          ],
          ...(undialled.length === 0
            ? []
            : [["meet through others", undialled.map(({ shortId }) => shortId)] as const]),
          ["manifest", manifest === null ? null : `${manifest.nodeCount} nodes`],
          ...(manifest === null
            ? []
            : [["its digest", <Digest name="manifest" value={manifest.digest} />] as const]),
        ]}
      />
    </section>
  );
}

function LogFacts({ status }: { readonly status: MeshStatus }) {
  const { term, leader, log, configuration } = status;
  return (
    <section class="panel wide-facts" aria-labelledby="log-title">
      <h2 id="log-title">Log</h2>
      <Facts
        facts={[
          ["term", formatCount(term)],
          ["coordinator", leader],
          ["applied index", formatCount(log.appliedIndex)],
          ["committed", formatCount(log.commitIndex)],
          ["snapshot", `${formatCount(log.snapshotIndex)}, ${formatCount(log.entryCount)} since`],
          ["state digest", <Digest name="state digest" value={status.digest} />],
          ["topology", <Digest name="topology digest" value={status.topologyDigest} />],
          ["residency", <Digest name="residency digest" value={status.residencyDigest} />],
        ]}
      />
      <details>
        <summary>Timings</summary>
        <Facts
          facts={Object.entries(configuration).map(([name, ms]) => [
            name.replace(/Ms$/, ""),
            `${ms / 1000} s`,
          ])}
        />
      </details>
    </section>
  );
}
