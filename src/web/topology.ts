import type { LinkRow, MeasuredLink, NodeRow } from "./mesh-answers.ts";
import { isGone, linkText, partText, roundTripText, standingText } from "./mesh-words.ts";

/** How a link looks: its colour tells the state, its dashes the way. */
export type Tone = "up" | "degraded" | "trying" | "down" | "refused" | "told";

export interface DrawnNode {
  readonly node: string;
  readonly name: string;
  /** A word under the name where there is room; empty for a member of which there is nothing to say. */
  readonly note: string;
  readonly isSelf: boolean;
  readonly isCoordinator: boolean;
  /** Not to be counted on now: offline, suspected or not ready. */
  readonly isFaded: boolean;
  readonly words: string;
}

export interface DrawnLink {
  /** Places in the list of nodes. */
  readonly from: number;
  readonly to: number;
  readonly tone: Tone;
  readonly isRelayed: boolean;
  readonly words: string;
}

export interface Topology {
  readonly nodes: readonly DrawnNode[];
  /** Those that matter most are drawn last, over the others. */
  readonly links: readonly DrawnLink[];
  /** The whole picture in a sentence or two. */
  readonly words: string;
}

/** Characters of the longest note. */
export const noteLetters = 11;

const tones: Readonly<Record<string, Tone>> = {
  connected: "up",
  degraded: "degraded",
  connecting: "trying",
  unreachable: "down",
  refused: "refused",
};

/** What each look means, in the order of a legend. */
export const toneNames: Readonly<Record<Tone, string>> = {
  up: "connected",
  degraded: "degraded",
  trying: "connecting",
  down: "unreachable",
  refused: "refused",
  told: "measured by others",
};

/** Those who are members, this node first. */
export function liveRows(rows: readonly NodeRow[]): NodeRow[] {
  const live = rows.filter((row) => !isGone(row));
  return [...live.filter(({ isSelf }) => isSelf), ...live.filter(({ isSelf }) => !isSelf)];
}

/**
 * The mesh as this node sees it: members that are there or should be, this node first; its own links as
 * they are now, and those between others as one of their ends measured them.
 */
export function topologyOf(rows: readonly NodeRow[], measured: readonly MeasuredLink[]): Topology {
  const ordered = liveRows(rows);
  const places = new Map(ordered.map(({ node }, index) => [node, index]));
  const names = new Map(rows.map(({ node, shortId }) => [node, shortId]));
  const nameOf = (node: string) => names.get(node) ?? node.slice(0, 9);
  const own = ordered.flatMap((row, to) => (row.link ? [ownLink(row, row.link, to, nameOf)] : []));
  const links = [...toldLinks(measured, places, nameOf, ordered[0]?.isSelf === true), ...own];
  return { nodes: ordered.map(drawnNode), links, words: wordsOf(ordered, own) };
}

function drawnNode(row: NodeRow): DrawnNode {
  const { node, shortId, isSelf, standing, isSuspected } = row;
  const isCoordinator = row.part === "leader";
  const isFaded = standing === "offline" || standing === "joining" || isSuspected;
  const state = standing === "ready" ? (isSuspected ? "suspected" : "") : standing;
  const note = state || (isCoordinator ? "coordinator" : isSelf ? "this node" : "");
  const said = [standingText(row), isSelf ? "this node" : "", partText(row)];
  return {
    ...{ node, name: shortId, note, isSelf, isCoordinator, isFaded },
    words: `${shortId}: ${said.filter((each) => each !== "" && each !== "–").join(", ")}`,
  };
}

function ownLink(
  { shortId }: NodeRow,
  link: LinkRow,
  to: number,
  nameOf: (node: string) => string,
): DrawnLink {
  const trip = link.roundTripUs === null ? "" : `, ${roundTripText(link.roundTripUs)}`;
  return {
    ...{ from: 0, to, tone: tones[link.state] ?? "down", isRelayed: link.path === "relayed" },
    words: `to ${shortId}: ${linkText(link, nameOf)}${trip}`,
  };
}

/** One line for each two members, whichever end measured it; what this node sees itself stands already. */
function toldLinks(
  measured: readonly MeasuredLink[],
  places: ReadonlyMap<string, number>,
  nameOf: (node: string) => string,
  hasSelf: boolean,
): DrawnLink[] {
  const drawn = new Map<string, DrawnLink>();
  for (const { from, to, path, roundTripUs } of measured) {
    const [a, b] = [places.get(from), places.get(to)];
    if (a === undefined || b === undefined || a === b || (hasSelf && (a === 0 || b === 0)))
      continue;
    const [first, second] = a < b ? [a, b] : [b, a];
    drawn.set(`${first} ${second}`, {
      ...{ from: first, to: second, tone: "told", isRelayed: path === "relayed" },
      words: `${nameOf(from)} to ${nameOf(to)}: ${path}, ${roundTripText(roundTripUs)}`,
    });
  }
  return [...drawn.values()];
}

function wordsOf(nodes: readonly NodeRow[], own: readonly DrawnLink[]): string {
  const count = (tone: Tone) => own.filter((link) => link.tone === tone).length;
  const counted = (Object.keys(toneNames) as Tone[])
    .filter((tone) => tone !== "told" && count(tone) > 0)
    .map((tone) => `${count(tone)} ${toneNames[tone]}`);
  const relayed = own.filter(({ isRelayed }) => isRelayed).length;
  const links = own.length === 0 ? "no links" : `this node's links: ${counted.join(", ")}`;
  const through = relayed === 0 ? "" : `, ${relayed} of them through another node`;
  const leader = nodes.find(({ part }) => part === "leader");
  const who = leader === undefined ? "nobody coordinates" : `coordinator ${leader.shortId}`;
  const members = nodes.length === 1 ? "1 node" : `${nodes.length} nodes`;
  return `${members}, ${who}; ${links}${through}. The tables below have every fact.`;
}
