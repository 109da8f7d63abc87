import { showDuration } from "../duration.ts";
import type { NodeRow } from "../node-rows.ts";
import { claimsText, linkText } from "./nodes.ts";
import {
  bytesText,
  countText,
  loadText,
  lossText,
  roundTripText,
  skewText,
  timeText,
  wrapLines,
} from "./words.ts";

export interface ShownMember extends NodeRow {
  readonly key: string;
  readonly certificate: string;
  readonly links: readonly {
    readonly from: string;
    readonly to: string;
    readonly roundTripUs: number;
    readonly bytesPerSecond: number;
    readonly lossPerMillion: number;
    readonly path: string;
    readonly class: string;
  }[];
  readonly provenance: {
    readonly author: string;
    readonly scope: string;
    readonly atMs: number;
  } | null;
}

const indent = 13;

/** One member for a person, a fact to a line. */
export function memberLines(member: ShownMember, columns: number): readonly string[] {
  const { labels, token, leaseUntilMs, provenance } = member;
  const facts: readonly (readonly [string, string | null])[] = [
    ["node", member.node],
    ["standing", `${standingText(member)}, epoch ${member.epoch}`],
    ["part", member.part === "none" ? "in the log's membership not yet" : member.part],
    ["roles", member.roles.join(" ") || "none"],
    ["labels", labels.map(({ label, value }) => `${label}=${value}`).join(" ") || null],
    ["reached at", member.places.join(" ") || "nowhere: it only dials others"],
    ["key", member.key],
    ["certificate", member.certificate],
    ["came with", token === null ? null : `the token ${token}`],
    ["lease until", leaseUntilMs === null ? null : timeText(leaseUntilMs)],
    ["holds", countText(member.blobCount, "blob")],
    ["machine", machineText(member)],
    [
      "clock",
      member.clockSkewMs === null ? null : `${skewText(member.clockSkewMs)} of this node's`,
    ],
    ...linkFacts(member),
    ...member.links.map((link) => ["measured", measuredText(link)] as const),
    [
      "decided by",
      provenance === null
        ? null
        : `${provenance.author} as ${provenance.scope}, ${timeText(provenance.atMs)}`,
    ],
  ];
  return facts.flatMap(([name, text]) =>
    text === null ? [] : wrapLines(`${name.padEnd(indent)}${text}`, columns, indent),
  );
}

function standingText({ standing, isSelf, isFounder, isOwner, sinceMs }: NodeRow): string {
  const who = [
    ...(isSelf ? ["this node"] : []),
    ...(isFounder ? ["founder"] : []),
    ...(isOwner ? ["owner"] : []),
  ];
  const of = who.length === 0 ? "" : ` (${who.join(", ")})`;
  return `${standing}${of} since ${timeText(sinceMs)}`;
}

function machineText({ facts }: NodeRow): string | null {
  if (facts === null) return null;
  const speeds = [
    ...(facts.exactTokensPerSecond > 0 ? [`${facts.exactTokensPerSecond} tokens/s exact`] : []),
    ...(facts.fastTokensPerSecond > 0 ? [`${facts.fastTokensPerSecond} tokens/s fast`] : []),
  ];
  return [
    ...[facts.device, `${bytesText(facts.memoryBytes)} memory`],
    ...[`${loadText(facts.loadPerMille)} of its cores busy`, ...speeds],
    ...(facts.isReady ? [] : ["not ready for work"]),
    `measured ${showDuration(facts.ageMs)} ago`,
  ].join(", ");
}

function linkFacts(member: NodeRow): readonly (readonly [string, string | null])[] {
  const { link } = member;
  if (link === null) return [];
  const { claims } = link;
  const silent =
    link.silentMs === null ? "never heard" : `heard ${showDuration(link.silentMs)} ago`;
  const by = link.relay === null ? "" : ` by ${link.relay}`;
  return [
    ["link", `${linkText(member)}${by}, ${silent}${link.place === null ? "" : `, ${link.place}`}`],
    ["round trip", `${roundTripText(link.roundTripUs)}, loss ${lossText(link.lossPerMillion)}`],
    ["reason", link.reason === null ? null : `${link.reason.code}: ${link.reason.message}`],
    ["try", link.reason === null ? null : link.reason.hint],
    [
      "claims",
      `${claimsText(claims).replace("claims ", "")}; asked here: ${claims?.policy ?? "none"}`,
    ],
    ["profile", claims?.profile ?? null],
    ["identity", claims?.identityDigest ?? null],
    ["manifest", claims?.manifestDigest ?? null],
  ];
}

function measuredText({ from, to, ...link }: ShownMember["links"][number]): string {
  return [
    `${from.slice(0, 9)} → ${to.slice(0, 9)}:`,
    `${roundTripText(link.roundTripUs)},`,
    `${bytesText(link.bytesPerSecond)}/s, loss ${lossText(link.lossPerMillion)},`,
    `${link.path}, ${link.class}`,
  ].join(" ");
}
