import { showDuration } from "../duration.ts";
import type { LinkRow } from "../node-rows.ts";
import { bytesText, lossText, phraseLines, roundTripText, tableLines, unknown } from "./words.ts";

type Shown = LinkRow & {
  readonly shortId: string;
  readonly places: readonly string[];
  readonly isSuspected: boolean;
};

/** A line of figures for each link, and below it where it goes and why it does not. */
export function peerLines(
  links: readonly Shown[],
  columns: number,
): { readonly head: string; readonly lines: readonly string[] } {
  const [head, ...rows] = tableLines(
    ["NODE", "STATE", "PATH", "ROUND TRIP", "LOSS", "RATE", "HEARD"],
    links.map((link) => [
      ...[link.shortId, link.isSuspected ? "SUSPECTED" : link.state, link.path ?? unknown],
      ...[roundTripText(link.roundTripUs), lossText(link.lossPerMillion), rateText(link)],
      link.silentMs === null ? unknown : `${showDuration(link.silentMs)} ago`,
    ]),
  );
  const lines = rows.flatMap((line, index) => {
    const [phrases, reasons] = wordsOf(links[index]!);
    return [
      line,
      ...phraseLines(phrases, { columns, indent: 2 }),
      ...reasons.flatMap((reason) => phraseLines([reason], { columns, indent: 2 })),
    ];
  });
  return { head: head!, lines };
}

/** A line for each node that answered nearby. */
export function seenLines(
  nodes: readonly {
    readonly shortId: string;
    readonly places: readonly string[];
    readonly isMember: boolean;
    readonly silentMs: number;
  }[],
): readonly string[] {
  return nodes.map(({ shortId, places, isMember, silentMs }) =>
    [
      ...[shortId, isMember ? "member" : "stranger", places.join(" ") || "no address"],
      `${showDuration(silentMs)} ago`,
    ].join("  "),
  );
}

const rateText = ({ bytesPerSecond }: LinkRow) =>
  bytesPerSecond === null ? unknown : `${bytesText(bytesPerSecond)}/s`;

/** Where it was dialled, or that it dialled this node, and where the mesh says that it is. */
function placeText({ place, places, path }: Shown): string {
  if (place !== null) return place;
  const known = places.join(" ");
  if (path !== "direct") return known || "no address: it only dials others";
  return known === "" ? "it dialled here and has no address" : `it dialled here from ${known}`;
}

function wordsOf(link: Shown): readonly [readonly string[], readonly string[]] {
  const { relay, epoch, failureCount, nextDialMs, sentBytes, receivedBytes, reason } = link;
  const phrases = [
    placeText(link),
    ...(relay === null ? [] : [`relayed by ${relay}`]),
    ...(epoch === null ? [] : [`epoch ${epoch}`]),
    `${bytesText(sentBytes)} out, ${bytesText(receivedBytes)} in`,
    ...(failureCount === 0 ? [] : [`${failureCount} failed dial${failureCount === 1 ? "" : "s"}`]),
    ...(nextDialMs === null ? [] : [`next dial in ${showDuration(nextDialMs)}`]),
  ];
  const reasons = reason === null ? [] : [`${reason.code}: ${reason.message}`, reason.hint];
  return [phrases, reasons];
}
