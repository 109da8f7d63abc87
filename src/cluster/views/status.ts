import { showDuration } from "../duration.ts";
import type { StatusResult } from "../status-result.ts";
import { countText, digestText, timeText, wrapLines } from "./words.ts";

const indent = 10;

/** `cluster status` for a person. */
export function statusLines(status: StatusResult, columns: number): readonly string[] {
  const { mesh, node, log, term, digest, survives, configuration, provenance } = status;
  const facts: readonly (readonly [string, string])[] = [
    ["mesh", `${mesh}, founded ${status.isFounder ? "here" : `by ${status.founder}`}`],
    ["owners", ownersText(status)],
    ["node", nodeText(status)],
    ["posture", postureText(status)],
    ...agreementFacts(status),
    ["survives", survives],
    ["members", membersText(status)],
    [
      "log",
      `term ${term}, committed ${log.commitIndex}, applied ${log.appliedIndex}, snapshot at ${log.snapshotIndex}, then ${countText(log.entryCount, "entry", "entries")}`,
    ],
    ["state", digest],
    ["manifest", manifestText(status)],
    ...status.drift.map((line) => ["drift", driftText(line)] as const),
    ["timing", timingText(configuration)],
    ...provenance.map(
      ({ subject, author, scope, atMs }) =>
        [
          "set by",
          `${subject}: ${author === node.node ? "this node" : author.slice(0, 9)} as ${scope}, ${timeText(atMs)}`,
        ] as const,
    ),
  ];
  const lines = facts.map(([name, text]) => `${name.padEnd(indent)}${text}`);
  return [...lines, ...warnings(status)].flatMap((line) => wrapLines(line, columns, indent));
}

/** On whose machines the mesh is changed. */
function ownersText({ owners, isOwner, node }: StatusResult): string {
  const others = owners.filter((each) => each !== node.node);
  return [...(isOwner ? ["this node"] : []), ...others].join(", ") || "none yet";
}

/** Who leads, decides and follows; of no meaning on a node that is out. */
function agreementFacts(status: StatusResult): readonly (readonly [string, string])[] {
  if (status.node.taking === "out") return [];
  const follow = status.learners.map(voterText).join(" ");
  return [
    ["leads", leaderText(status)],
    ["decide", votersText(status)],
    ...(follow === "" ? [] : [["follow", follow] as const]),
  ];
}

function nodeText({ node: { node, epoch, taking, standing, role } }: StatusResult): string {
  if (taking === "out") return `${node} is out: it left or was evicted; a new token takes it in`;
  if (taking === "joining") return `${node} is joining, epoch ${epoch}`;
  return `${node} is ${standing ?? "not in the log yet"}, ${role}, epoch ${epoch}`;
}

function postureText({ posture: { posture, discovery, claims } }: StatusResult): string {
  const asked = claims.length === 0 ? "" : `, asks for ${claims.join(", ")}`;
  const found = discovery === "off" ? "discovery off" : "discovery on a named interface";
  return `${posture}, ${found}${asked}`;
}

function leaderText({ leader, node }: StatusResult): string {
  if (leader === null) return "nobody: nothing is decided until somebody does";
  return leader === node.node ? "this node" : leader;
}

const voterText = ({ shortId, isHeard, isSelf }: StatusResult["voters"][number]) =>
  `${shortId}${isSelf ? "*" : isHeard ? "" : " (not heard)"}`;

function votersText({ voters, neededCount, heardCount }: StatusResult): string {
  const heard = `${neededCount} of ${voters.length} must agree, ${heardCount} heard here`;
  return `${voters.map(voterText).join(" ")}: ${heard}`;
}

function membersText({ standings, memberCount }: StatusResult): string {
  const by = Object.entries(standings).map(([standing, count]) => `${count} ${standing}`);
  return `${memberCount}: ${by.join(", ")}`;
}

function manifestText({ manifest, drift }: StatusResult): string {
  if (manifest === null) return "none: whoever has a token may join";
  const differs = drift.length === 0 ? "no drift" : countText(drift.length, "difference");
  return `${digestText(manifest.digest)} names ${countText(manifest.nodeCount, "node")}, ${differs}`;
}

/** One difference from the operator's description, in words. */
export function driftText({ node, why, roles }: StatusResult["drift"][number]): string {
  if (why === "not_member") return `${node} is described and no member`;
  if (why === "not_described") return `${node} is a member and not described`;
  if (why === "other_key") return `${node} signs with another key than is described`;
  return `${node} has roles beyond its description: ${roles.join(", ")}`;
}

/** The durations of a mesh in one line. */
export function timingText(given: StatusResult["configuration"]): string {
  return [
    `heartbeat ${showDuration(given.intervalMs)}`,
    `suspected after ${showDuration(given.staleMs)}`,
    `given up after ${showDuration(given.expiryMs)}`,
    `lease ${showDuration(given.leaseMs)}`,
    `drain ${showDuration(given.drainMs)}`,
    `clocks ${showDuration(given.skewMs)} apart at most`,
  ].join(", ");
}

function warnings(status: StatusResult): readonly string[] {
  const { hasQuorum, heardCount, neededCount, node, undialled } = status;
  if (node.taking === "out") return [];
  const names = undialled.map(({ shortId }) => shortId).join(" ");
  return [
    ...(hasQuorum
      ? []
      : [
          `WARNING   this node hears ${heardCount} of the ${neededCount} that must agree: commands that change anything wait and are refused; \`psionic peers\` says why each is not reached`,
        ]),
    ...(names === ""
      ? []
      : [
          `WARNING   ${names} are at addresses of their own machines alone: unless that is one machine they meet through the others only, and not while those are lost. There: psionic down, then psionic up --detach --peer-host ADDRESS`,
        ]),
  ];
}
