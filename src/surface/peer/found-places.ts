import type { LinkMember } from "#src/peer/link.ts";
import type { Discovery } from "./discovery.ts";
import type { OpenLinks } from "./links.ts";

/** Addresses of one member that are dialled; those it says itself come first. */
const placeMaximum = 10;

/** Links that also dial where discovery saw a member. */
export interface FindingLinks extends OpenLinks {
  /** To be told whenever discovery heard somebody. */
  heard(): void;
}

/**
 * Links that also dial members where discovery saw them. The certificate, key and epoch asked of them
 * there are those of the mesh, so nobody gets in by being near.
 */
export function findingLinks(
  links: OpenLinks,
  discovery: Pick<Discovery, "setMembers" | "placesOf">,
): FindingLinks {
  let stated: readonly LinkMember[] = [];
  let told = "";
  const tell = (isNews: boolean) => {
    const members = stated.map((member) => ({
      ...member,
      places: [...new Set([...member.places, ...discovery.placesOf(member.node)])].slice(
        0,
        placeMaximum,
      ),
    }));
    const text = members.map(({ node, places }) => [node, ...places].join(" ")).join("\n");
    if (!isNews && text === told) return;
    told = text;
    links.setMembers(members);
  };
  return {
    setMembers(members) {
      stated = members;
      const known = members.flatMap(({ node, key }) => (key === undefined ? [] : [{ node, key }]));
      discovery.setMembers(known);
      tell(true);
    },
    heard: () => tell(false),
    send: (to, kind, body) => links.send(to, kind, body),
    views: () => links.views(),
    refusals: () => links.refusals(),
    isMember: (node, keys) => links.isMember(node, keys),
    accept: (wire) => links.accept(wire),
    stop: () => links.stop(),
  };
}
