import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Contact } from "#src/cluster/event.ts";
import { meshVersion } from "#src/cluster/version.ts";
import type { Services } from "#src/command/define.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import type { LinkHandlers, LinkMember, Links } from "#src/peer/link.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { noInteraction } from "../no-interaction.ts";
import { compose } from "../services.ts";
import { tickMs } from "./beat.ts";
import { MeshBook } from "./mesh-book.ts";
import { ClusterRecords } from "./records.ts";
import { founderRoles } from "./runtime.ts";
import { clusterTuning, MeshSession } from "./session.ts";

/** Sessions of several homes in one process: real stores, and links that are function calls. */

/** A store whose writes can be made to fail, as those of a full disk do. */
export class FaultyStore implements Store {
  isFull = false;
  constructor(readonly inner: Store) {}

  all: Store["all"] = (...words) => this.inner.all(...words);
  get: Store["get"] = (...words) => {
    if (!/^\s*SELECT/i.test(words[0])) this.#refuse();
    return this.inner.get(...words);
  };
  run: Store["run"] = (...words) => {
    this.#refuse();
    return this.inner.run(...words);
  };
  transaction: Store["transaction"] = (work) => this.inner.transaction(work);

  #refuse(): void {
    if (this.isFull) throw new Refusal("disk_full", "no space", "free some space");
  }
}

/** Who is reachable, and what is on its way: messages arrive when `deliver` is called. */
export class FakeNetwork {
  readonly handlers = new Map<string, LinkHandlers>();
  readonly members = new Map<string, readonly LinkMember[]>();
  readonly cut = new Set<string>();
  /** Time that went by in ticks, on top of the machine's own. */
  passedMs = 0;
  #waiting: (() => void)[] = [];

  links(node: string, handlers: LinkHandlers): Links {
    this.handlers.set(node, handlers);
    return {
      setMembers: (members) => void this.members.set(node, members),
      send: (to, kind, body) => {
        const isKnown = this.members.get(node)?.some((each) => each.node === to) === true;
        if (!isKnown || this.cut.has(node) || this.cut.has(to)) return false;
        const text = JSON.stringify(body);
        this.#waiting.push(() =>
          this.handlers
            .get(to)
            ?.message({ node, epoch: 1, path: "direct" }, kind, JSON.parse(text) as JsonObject),
        );
        return true;
      },
      views: () => [],
      refusals: () => ({}),
      stop: async () => void this.handlers.delete(node),
    };
  }

  deliver(): void {
    for (let round = 0; this.#waiting.length > 0 && round < 100; round++) {
      const now = this.#waiting;
      this.#waiting = [];
      for (const each of now) each();
    }
  }
}

/** A home with an identity, and the session in it that is opened and stopped at will. */
export class SessionHome implements AsyncDisposable {
  readonly #root = mkdtempSync(join(tmpdir(), "psionic-session-"));
  readonly #composition = compose({ home: this.#root, interaction: noInteraction });
  store!: FaultyStore;
  services!: Services;
  book!: MeshBook;
  records!: ClusterRecords;
  node = "";
  key = "";
  epoch = 0;
  contact: Contact = { places: ["127.0.0.1:1"], certificate: "c".repeat(64), box: "b".repeat(64) };
  #session: MeshSession | null = null;

  private constructor(readonly network: FakeNetwork) {}

  static async open(network: FakeNetwork): Promise<SessionHome> {
    const home = new SessionHome(network);
    const base = home.#composition.services;
    const { nodeId } = await base.identity.openOrCreate();
    const log = await base.receipts.open();
    home.store = new FaultyStore(base.store);
    home.services = Object.create(base, {
      store: { value: home.store, enumerable: true },
      clock: { value: home.#clock(base.clock), enumerable: true },
    }) as Services;
    home.node = nodeId;
    home.key = log.author.key.publicKey;
    home.book = new MeshBook(home.store);
    home.records = new ClusterRecords({
      ...{ store: home.store, book: home.book, journal: base.journal },
      receipts: () => base.receipts.opened(),
      monotonicMs: () => performance.now(),
    });
    return home;
  }

  /** As many ticks as are made, as much time has gone by. */
  #clock({ wallMs, monotonicMs, sleep }: Clock): Clock {
    const { network } = this;
    return {
      wallMs: () => wallMs() + network.passedMs,
      monotonicMs: () => monotonicMs() + network.passedMs,
      sleep,
    };
  }

  get session(): MeshSession {
    return this.#session!;
  }

  /** Opens the session where the book says this home is; a home that is nowhere founds a mesh. */
  async start(): Promise<MeshSession> {
    const { services, node, contact, book, records, key } = this;
    const mesh = meshIdOf({ nodeId: node });
    if (book.row() === null) book.enter({ mesh, founder: node, seenIndex: 0 }, []);
    const epoch = ++this.epoch;
    const session = await MeshSession.open({
      ...{ services, node, epoch, contact, book, records, tuning: clusterTuning },
      row: book.row()!,
      openLinks: async (_mesh, handlers) => this.network.links(node, handlers),
      measure: () => null,
    });
    this.#session = session;
    if (book.row()!.founder === node && session.state.mesh === "")
      await session.submit("owner", {
        ...({ kind: "mesh-founded", mesh, node, key, epoch, contact } as const),
        ...{ roles: [...founderRoles], version: meshVersion, founding: 0 },
      });
    return session;
  }

  async stop(): Promise<void> {
    await this.#session?.stop();
    this.#session = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#composition.close();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** Lets time pass for sessions until it holds; fails after so many ticks. */
export async function tickUntil(
  network: FakeNetwork,
  homes: readonly SessionHome[],
  holds: () => boolean,
  tickMaximum = 400,
): Promise<void> {
  for (let count = 0; !holds(); count++) {
    if (count >= tickMaximum) throw new Error(`waited in vain for ${tickMaximum} ticks`);
    network.passedMs += tickMs;
    for (const home of homes) home.session.tick();
    network.deliver();
    // What waits for an answer goes on in microtasks, the disk's answers in macrotasks.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
