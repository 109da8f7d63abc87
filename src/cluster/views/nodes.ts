import type { NodeRow } from "../node-rows.ts";
import { showDuration } from "../duration.ts";
import {
  bytesText,
  countText,
  loadText,
  phraseLines,
  roundTripText,
  skewText,
  tableLines,
  unknown,
} from "./words.ts";

/** Two lines a node: figures that are compared in columns, the rest in phrases below. */
export function nodeLines(
  nodes: readonly NodeRow[],
  columns: number,
): { readonly head: string; readonly lines: readonly string[] } {
  const table = tableLines(
    ["", "NODE", "STANDING", "PART", "LINK", "ROUND TRIP", "CLOCK", "LOAD"],
    nodes.map((row) => [
      ...[row.isSelf ? "*" : " ", row.shortId],
      ...[row.standing, row.part === "none" ? unknown : row.part, linkText(row)],
      ...[roundTripText(row.link?.roundTripUs ?? null), skewText(row.clockSkewMs)],
      loadText(row.facts?.loadPerMille ?? null),
    ]),
  );
  const [head, ...rows] = table;
  const lines = rows.flatMap((line, index) => [
    line,
    ...phraseLines(phrasesOf(nodes[index]!), { columns, indent: 3 }),
  ]);
  return { head: head!, lines };
}

/** How this node reaches the other, in a word or two. */
export function linkText({ isSelf, isSuspected, standing, link }: NodeRow): string {
  if (isSelf) return "this node";
  if (standing === "left" || standing === "evicted") return unknown;
  if (isSuspected) return "SUSPECTED";
  if (link === null) return "none";
  if (link.state === "connected") return link.path ?? "connected";
  return link.state;
}

function phrasesOf(row: NodeRow): readonly string[] {
  const { link, facts, labels, isSuspected } = row;
  const { relay = null, reason = null } = link ?? {};
  const isReached = link?.state === "connected" && !isSuspected;
  return [
    ...(isSuspected ? [silenceText(row)] : []),
    row.roles.join(" ") || "no roles",
    ...(row.isFounder ? ["founder"] : []),
    ...(row.isOwner ? ["owner"] : []),
    `epoch ${row.epoch}`,
    countText(row.blobCount, "blob"),
    ...(facts === null ? [] : [facts.device, `${bytesText(facts.memoryBytes)} memory`]),
    ...(facts === null || facts.exactTokensPerSecond === 0
      ? []
      : [`${facts.exactTokensPerSecond} tokens/s exact`]),
    ...(facts !== null && !facts.isReady ? ["not ready for work"] : []),
    ...(relay === null ? [] : [`relayed by ${relay.slice(0, 9)}`]),
    ...(isReached ? [claimsText(link.claims)] : []),
    ...labels.map(({ label, value }) => `${label}=${value}`),
    ...(reason === null || isReached ? [] : [`${reason.code}: ${reason.message}`]),
  ];
}

function silenceText({ link }: NodeRow): string {
  const { silentMs = null } = link ?? {};
  return silentMs === null ? "never heard" : `silent for ${showDuration(silentMs)}`;
}

/** What the other end claims of itself and whether that held. */
export function claimsText(claims: NonNullable<NodeRow["link"]>["claims"]): string {
  if (claims === null) return "no claims asked";
  const { result, proofPosture, reason } = claims;
  const why = reason === null ? "" : ` (${reason})`;
  if (result === "verified") return `claims verified, proof ${words(proofPosture)}${why}`;
  return `claims ${result}${why}`;
}

const words = (name: string) => name.replaceAll("_", " ");
