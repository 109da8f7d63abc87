import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { compose, type Composition } from "#src/node/services.ts";
import type { ClaimsPolicy, LinkHandlers, LinkMember } from "#src/peer/link.ts";
import type { TlsIdentity } from "#src/peer/certificate.ts";
import type { RelayLimits } from "#src/peer/relay.ts";
import { boxKeyFromSeed } from "#src/peer/sealed-box.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { linkTuning, type LinkTuning } from "./link-tuning.ts";
import { openLinks, type OpenLinks } from "./links.ts";
import { listenPeers, type PeerListener } from "./listen.ts";
import { openTlsIdentity } from "./tls-file.ts";

/** Nodes of one mesh in one process, with real sockets on the loopback. */

export const mesh = `psm${"a".repeat(32)}`;

/** Times short enough for tests and long enough for a busy machine. */
export const quick: Partial<LinkTuning> = {
  pingMs: 200,
  pingPatienceMs: 1_000,
  lookMs: 20,
  graceMs: 100,
  lingerMs: 300,
  silentMs: 1_500,
  probeDelayMs: 100,
  backOff: {
    ...linkTuning.backOff,
    firstMs: 50,
    refusedFirstMs: 100,
    maximumMs: 400,
    refusedMaximumMs: 800,
  },
};

export interface Heard {
  readonly from: string;
  readonly epoch: number;
  readonly kind: string;
  readonly body: JsonObject;
}

/** One node: its home, its door and its links, each of which can be stopped and opened again. */
export class LinkNode {
  readonly heard: Heard[] = [];
  /** `+id` and `-id`, as links came and went. */
  readonly reached: string[] = [];
  readonly bugs: unknown[] = [];
  readonly box = boxKeyFromSeed(crypto.getRandomValues(new Uint8Array(32)));
  links: OpenLinks | null = null;
  door: PeerListener | null = null;
  /** Where others find it; the door's own address unless a test puts something in between. */
  places: string[] = [];

  private constructor(
    readonly services: Services,
    private readonly composition: Composition,
    readonly tls: TlsIdentity,
  ) {}

  static async make(folder: string, name: string): Promise<LinkNode> {
    const interaction = {
      ...{ canAsk: false, verbose: false, readLine: async () => null },
      askSecret: async () => "",
    };
    const composition = compose({ home: join(folder, name), interaction });
    const { services } = composition;
    await services.identity.openOrCreate();
    const { author } = await services.receipts.open();
    const tls = await openTlsIdentity(services, author.nodeId);
    return new LinkNode(services, composition, tls);
  }

  get id(): string {
    return this.services.receipts.opened().author.nodeId;
  }

  get key(): string {
    return this.services.receipts.opened().author.key.publicKey;
  }

  member(more: Partial<LinkMember> = {}): LinkMember {
    return {
      ...{ node: this.id, places: this.places, certificate: this.tls.fingerprint },
      ...{ box: this.box.publicKey, key: this.key, epoch: 1 },
      ...more,
    };
  }

  listen(): void {
    this.door = listenPeers(
      {
        ...{ services: this.services, tls: this.tls, draining: () => false },
        answer: async () => {},
        onBug: (error) => this.bugs.push(error),
        links: () => this.links,
      },
      { host: "127.0.0.1", port: 0 },
    );
    this.places = [this.door.address];
  }

  /** Opens links as a process does when it starts; others of this node are left as they are. */
  async open(
    epoch = 1,
    {
      tuning = {},
      instance,
      handlers = {},
      policy = "best_effort",
      hasClaims = true,
      relaying,
    }: {
      tuning?: Partial<LinkTuning>;
      instance?: string;
      policy?: ClaimsPolicy;
      hasClaims?: boolean;
      /** With it, members are reached through others. */
      relaying?: Partial<RelayLimits>;
      handlers?: Partial<LinkHandlers>;
    } = {},
  ): Promise<OpenLinks> {
    if (this.door === null) this.listen();
    this.links = await openLinks({
      ...{ services: this.services, mesh, epoch, policy, kinds: ["log", "note"] },
      ...(hasClaims ? { manifest: await this.services.runtime.manifest() } : {}),
      instance: instance ?? Buffer.from(this.services.random.bytes(16)).toString("hex"),
      handlers: {
        message: (from, kind, body) =>
          void this.heard.push({ from: from.node, epoch: from.epoch, kind, body }),
        reached: (node, isReached) => void this.reached.push(`${isReached ? "+" : "-"}${node}`),
        ...handlers,
      },
      onBug: (error) => this.bugs.push(error),
      tuning: { ...quick, ...tuning },
      ...(relaying === undefined ? {} : { box: this.box, relaying }),
    });
    return this.links;
  }

  view(of: LinkNode) {
    return this.links?.views().find(({ node }) => node === of.id);
  }

  numbersFrom(other: LinkNode): unknown[] {
    return this.heard.filter(({ from }) => from === other.id).map(({ body }) => body["number"]);
  }

  /** Ends links and door, as a daemon that is told to stop. */
  async stop(): Promise<void> {
    const { links, door } = this;
    [this.links, this.door] = [null, null];
    await links?.stop();
    await door?.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    this.composition.close();
  }
}

/** Makes nodes and takes them away again. */
export class LinkNodes {
  readonly #folder = mkdtempSync(join(tmpdir(), "psionic-links-"));
  readonly #nodes: LinkNode[] = [];
  readonly #proxies: Proxy[] = [];

  async make(name: string): Promise<LinkNode> {
    const node = await LinkNode.make(this.#folder, name);
    this.#nodes.push(node);
    return node;
  }

  /** So many nodes by ascending id, listening. */
  async several(count: number): Promise<LinkNode[]> {
    const made = await Promise.all(
      Array.from({ length: count }, () =>
        this.make(`node-${this.#nodes.length}-${crypto.randomUUID()}`),
      ),
    );
    for (const node of made) node.listen();
    return made.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  async proxy(to: LinkNode): Promise<Proxy> {
    const proxy = await Proxy.before(to.door!.port);
    this.#proxies.push(proxy);
    return proxy;
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies) proxy.close();
    for (const node of this.#nodes) await node.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A line in between: passes bytes on, and on demand swallows them while both ends stay open. */
export class Proxy {
  isSwallowing = false;
  passedBytes = 0;
  /** Connections that are open through it. */
  openCount = 0;
  /** Connections that were made: a dial makes two, of which the first one looks at the certificate. */
  madeCount = 0;
  readonly #sockets: Socket[] = [];

  private constructor(
    readonly place: string,
    private readonly server: { close(): void },
  ) {}

  static async before(port: number): Promise<Proxy> {
    const proxies: Proxy[] = [];
    const server = createServer((near) => {
      const proxy = proxies[0]!;
      const far = connect({ host: "127.0.0.1", port });
      proxy.#sockets.push(near, far);
      proxy.openCount++;
      proxy.madeCount++;
      near.on("close", () => proxy.openCount--);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on("error", () => to.destroy());
        from.on("close", () => !proxy.isSwallowing && to.destroy());
        from.on("data", (bytes) => {
          proxy.passedBytes += bytes.length;
          if (!proxy.isSwallowing) to.write(bytes);
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port: own } = server.address() as { port: number };
    proxies.push(new Proxy(`127.0.0.1:${own}`, server));
    return proxies[0]!;
  }

  /** Reads nothing any more, so that what is sent through it waits. */
  pause(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  cut(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
  }

  close(): void {
    this.cut();
    this.server.close();
  }
}

export async function until(
  what: string,
  holds: () => boolean,
  patienceMs = 20_000,
): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(5);
  }
}

/** Tells all nodes of each other. */
export function introduce(...nodes: readonly LinkNode[]): void {
  for (const node of nodes) node.links?.setMembers(nodes.map((each) => each.member()));
}

export const isLinked = (a: LinkNode, b: LinkNode) =>
  a.view(b)?.state === "connected" && b.view(a)?.state === "connected";
