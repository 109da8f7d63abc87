import type { Request } from "#src/cluster/event.ts";
import type { Asks } from "./asks.ts";
import type { Chance } from "./chance.ts";
import type { MeshTraffic, MeshView } from "./mesh-traffic.ts";
import type { Site } from "./site.ts";

/** Of what nodes are asked for, how much is to sync, and how much is in the name of another. */
const syncShare = 0.2;
const forgedShare = 0.04;
/** Ticks that who asks may have patience for. */
const patiences = [10, 30, 60] as const;

/** What who asks sees of a simulated cluster. */
export interface Asked {
  readonly sites: readonly Site[];
  /** Those who believe that they lead, the newest term first. */
  leaders(): readonly Site[];
  view(): MeshView;
  nextRequest(): number;
  /** The highest index at which anything was answered. */
  readonly floor: number;
}

/** Has nodes asked for commands of their own and for syncs, as their daemons and operators do. */
export class Asking {
  constructor(
    readonly world: Asked,
    readonly asks: Asks,
    readonly traffic: MeshTraffic,
    readonly chance: Chance,
  ) {}

  /** Has a node asked for something. `numbered` hears the number of its request first. */
  askAt(
    site: string,
    asked: Request,
    patienceTicks: number,
    numbered: (request: number) => void = () => {},
  ): void {
    const found = this.world.sites.find(({ id }) => id === site)!;
    this.#ask(found, asked, patienceTicks, numbered);
  }

  /** Has a node asked for something, mostly in its own name. */
  askAny(): void {
    const { chance, world } = this;
    if (chance.happens(syncShare)) {
      // Bad luck would have it that one asks who lost its office unaware.
      const leader = chance.happens(0.5) ? world.leaders().at(-1) : undefined;
      return this.#sync(leader ?? chance.pick(world.sites));
    }
    const command = this.traffic.request(world.view());
    const any = chance.pick(world.sites);
    const isForged = chance.happens(forgedShare);
    const own = world.sites.find(({ id }) => id === command.author);
    this.#ask(isForged ? any : (own ?? any), command);
  }

  /** Says that a node is there, where the mesh waits for that or thinks otherwise; `isBack`: it goes nowhere. */
  keep(site: Site, isBack = false): void {
    const member = site.node?.mesh.members.find(({ node }) => node === site.id);
    if (member === undefined) return;
    const { node, key, contact, epoch, standing } = member;
    const self = { author: node, scope: "self", policy: null } as const;
    if (standing === "ready")
      this.#ask(site, { ...self, command: { kind: "lease-renewed", node, epoch } });
    if (standing === "offline" || standing === "joining" || (isBack && standing === "draining"))
      this.#ask(site, { ...self, command: { kind: "node-ready", node, key, contact, epoch } });
  }

  /** Asks the first of those who decide, unless a node still owes an answer. */
  askVoter(): void {
    const voter = this.world.leaders()[0]?.replica?.core.membership.voters[0];
    const site = this.world.sites.find(({ id }) => id === voter);
    if (site === undefined || this.asks.openCount > 0) return;
    const command = { kind: "node-labelled", node: site.id, label: "last", value: "" } as const;
    this.#ask(site, { author: site.id, scope: "self", policy: null, command });
  }

  #ask(
    site: Site,
    asked: Request,
    patienceTicks: number = this.chance.pick(patiences),
    numbered?: (request: number) => void,
  ): void {
    if (site.node === null) return;
    const request = this.world.nextRequest();
    numbered?.(request);
    const command = this.asks.begin(site.id, request, asked, this.world.floor);
    site.feed({ kind: "ask", request, command, patienceTicks });
  }

  #sync(site: Site): void {
    if (site.node === null) return;
    const request = this.world.nextRequest();
    this.asks.beginSync(site.id, request, this.world.floor);
    site.feed({ kind: "sync", request, patienceTicks: this.chance.pick(patiences) });
  }
}
