import type { Chance } from "./chance.ts";
import { tickMs, type Letter, type Surroundings } from "./surroundings.ts";

/** The simulated network: each message on its own way, which may be long, double or lead nowhere. */
export class Network {
  readonly #chance: Chance;
  /** Links that carry nothing, as "from>to". */
  #apart = new Set<string>();
  #oneWay = new Set<string>();
  #sentCount = 0;
  /** The latest message that arrived on each link, by its number. */
  readonly #arrived = new Map<string, number>();

  constructor(
    readonly world: Surroundings,
    readonly deliver: (letter: Letter) => void,
  ) {
    this.#chance = world.chance(2);
  }

  /** Cuts a group of nodes off from the others, in both directions or from the group only. */
  part(group: readonly string[], others: readonly string[], isOneWay: boolean): void {
    const links = group.flatMap((from) => others.map((to) => [from, to] as const));
    if (isOneWay) this.#oneWay = new Set(links.map(([from, to]) => `${from}>${to}`));
    else this.#apart = new Set(links.flatMap(([a, b]) => [`${a}>${b}`, `${b}>${a}`]));
  }

  heal(isOneWay: boolean): void {
    (isOneWay ? this.#oneWay : this.#apart).clear();
  }

  /** False where a partition is in the way, which a sender may notice. */
  send(letter: Letter): boolean {
    const { weather, faults } = this.world;
    const chance = this.#chance;
    const link = `${letter.from}>${letter.to}`;
    const isApart = this.#apart.has(link);
    if (isApart || this.#oneWay.has(link)) {
      faults.add(isApart ? "partition" : "one-way-partition");
      return false;
    }
    if (chance.happens(weather.loss)) {
      faults.add("loss");
      return true;
    }
    this.#carry(link, letter);
    // The log bears a message that comes twice. The others are taken once by the links below (C-2).
    if (letter.message.kind !== "log" || !chance.happens(weather.duplication)) return true;
    faults.add("duplication");
    this.#carry(link, letter);
    return true;
  }

  #carry(link: string, letter: Letter): void {
    const { weather, faults, agenda } = this.world;
    const number = ++this.#sentCount;
    let delayMs = 1 + this.#chance.below(weather.spreadMs);
    if (this.#chance.happens(weather.delay)) {
      faults.add("delay");
      delayMs += this.#chance.between(tickMs, 40 * tickMs);
    }
    agenda.after(delayMs, () => {
      const latest = this.#arrived.get(link) ?? 0;
      if (number < latest) faults.add("reordering");
      this.#arrived.set(link, Math.max(latest, number));
      this.deliver(letter);
    });
  }

  /** Carries something between a client and a node: no partitions there, but loss and delay. */
  carryForClient(work: () => void): void {
    const { weather, faults, agenda } = this.world;
    if (this.#chance.happens(weather.loss)) return faults.add("loss");
    agenda.after(1 + this.#chance.below(weather.spreadMs), work);
    if (!this.#chance.happens(weather.duplication)) return;
    faults.add("duplication");
    agenda.after(1 + this.#chance.below(20 * tickMs), work);
  }
}
