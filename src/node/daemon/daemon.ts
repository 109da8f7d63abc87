import { getLogger } from "@logtape/logtape";
import type { Services } from "#src/command/define.ts";
import type { Registry } from "#src/command/registry.ts";
import { RunningCalls } from "#src/command/running-calls.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type Listener, listenHttp } from "#src/surface/http/listen.ts";
import { openOperatorToken } from "#src/surface/http/operator-token.ts";
import type { Asset, HttpParts } from "#src/surface/http/parts.ts";
import type { ClaimsPolicy } from "#src/peer/link.ts";
import type { PeerAddress } from "#src/peer/address.ts";
import type { TlsIdentity } from "#src/peer/certificate.ts";
import type { PeerListener } from "#src/surface/peer/listen.ts";
import { NodeTrainings } from "#src/train/node-trainings.ts";
import { nodeFamilies } from "../daemon-metrics.ts";
import { noInteraction } from "../no-interaction.ts";
import { clusterFamilies } from "../cluster/cluster-metrics.ts";
import type { Discovering } from "../cluster/discovering.ts";
import { JoinLines } from "../cluster/join-lines.ts";
import { MeshBook } from "../cluster/mesh-book.ts";
import { placesOf } from "../cluster/places.ts";
import { ClusterRuntime } from "../cluster/runtime.ts";
import { RunEngine } from "../windows/run-engine.ts";
import { MeshRuns } from "../windows/run-service.ts";
import { windowFamilies } from "../windows/window-metrics.ts";
import { birthOf } from "./birth.ts";
import { CommandChildren } from "./command-children.ts";
import type { DaemonControl, JoinLine } from "./control.ts";
import {
  type DaemonFile,
  publishDaemonFile,
  readDaemonFile,
  removeDaemonFiles,
  removeHalfPublished,
  removeSocket,
} from "./daemon-file.ts";
import { defaultPeerPort } from "./daemon-options.ts";
import { advanceNodeEpoch, endNodeEpoch } from "./node-epoch.ts";
import { peerAnswers } from "./peer-answers.ts";
import { socketPath } from "./socket-path.ts";

const log = getLogger(["psionic", "daemon"]);

/** Of the drain time, what calls get to stop after they were told to. */
const lastWordsMs = 5_000;
/** With less than this free the next row may not fit: the node is not ready. */
const roomMinimumBytes = 1024 * 1024;
/** How long a member that stops waits until the others know. */
const farewellMs = 1_000;
/** Where the door for other nodes is until somebody names an address. */
const loopbackAddress = "127.0.0.1";

export interface DaemonOptions {
  readonly registry: Registry;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /**
   * Where other nodes are answered; null for nowhere. What is named is had or refused, and kept for the next
   * start; null takes the last address of this home or the loopback, and its last port, the default one or any
   * free one.
   */
  readonly peer: { readonly host: string | null; readonly port: number | null } | null;
  /** The network interface on which to ask who of the mesh is near; null for none. */
  readonly discover: string | null;
  /** What is asked of the claims of other members. */
  readonly claims: ClaimsPolicy;
  readonly version: string;
  readonly assets: ReadonlyMap<string, Asset>;
}

/**
 * The node while it has its home: the doors are open, trainings run, and whoever calls is answered
 * until it stops. Everything it acknowledges is in the store first, so that it may be killed at any time.
 */
export class Daemon implements DaemonControl {
  readonly calls = new RunningCalls();
  /** Resolves with the drain time when somebody asks for the end. */
  readonly stopAsked: Promise<number>;
  /** What its commands are given: nobody sits at this process, and trainings outlive calls. */
  readonly services: Services;
  readonly #children: CommandChildren;
  readonly #askStop: (drainMs: number) => void;
  readonly #listeners: Pick<Listener, "stop">[] = [];
  #file: DaemonFile | null = null;
  #nodeId = "";
  #epoch = 0;
  #isDraining = false;
  #cluster: ClusterRuntime | null = null;
  #discovering: Discovering | null = null;
  #meshRuns: MeshRuns | null = null;
  readonly #joinLines: JoinLines;

  constructor(
    base: Services,
    readonly options: DaemonOptions,
  ) {
    const asked = Promise.withResolvers<number>();
    this.stopAsked = asked.promise;
    this.#askStop = asked.resolve;
    // Services open when they are first asked for, so they are inherited rather than copied.
    this.services = Object.create(base, {
      interaction: { value: noInteraction, enumerable: true },
      daemon: { value: this, enumerable: true },
      cluster: { get: () => this.#cluster, enumerable: true },
      meshRuns: { get: () => this.#meshRuns, enumerable: true },
    }) as Services;
    this.#joinLines = new JoinLines(this.services);
    const engaged = () => this.#meshRuns?.engine.engaged ?? null;
    const trainings = new NodeTrainings(this.services, engaged);
    Object.defineProperty(this.services, "trainings", { value: trainings, enumerable: true });
    this.#children = new CommandChildren(base.processes, base.clock);
  }

  get file(): DaemonFile {
    if (this.#file === null) throw new Error("the daemon has not started");
    return this.#file;
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** Advances when the node enters a mesh that it was out of. */
  get epoch(): number {
    return this.#cluster?.epoch ?? this.#epoch;
  }

  joinLine(signal: AbortSignal): Promise<JoinLine | null> {
    return this.#joinLines.line(signal);
  }

  /**
   * Opens everything in the order in which others may rely on it: identity, epoch, receipts, the door for
   * nodes and the mesh behind it, the other doors, the file that tells of them. The home's lock must be held.
   *
   * Refusals: those of the identity and the store, `port_taken`, `address_unavailable`.
   */
  async start(): Promise<void> {
    const { services, options } = this;
    const { home, store, clock, journal, disk } = services;
    const identity = await services.identity.openOrCreate();
    await services.receipts.open();
    const token = openOperatorToken(home);
    const stale = readDaemonFile(home);
    if (stale !== null) removeDaemonFiles(home, stale.socket);
    const socket = socketPath(home);
    removeSocket(socket);
    removeHalfPublished(home);
    this.#nodeId = identity.nodeId;
    const { epoch, isAfterOrder } = advanceNodeEpoch(store, clock);
    this.#epoch = epoch;
    const opened = Promise.withResolvers<void>();
    const parts = { ...this.#parts(token), opened: opened.promise };
    try {
      const { host, port } = options;
      const tcp = listenHttp(parts, { host, port });
      this.#listeners.push(tcp, listenHttp(parts, { socket }));
      const peer = await this.#enterMesh();
      const startedMs = Math.floor(clock.wallMs());
      this.#file = {
        pid: process.pid,
        birth: birthOf(process.pid) ?? "",
        startedMs,
        url: tcp.url ?? "",
        socket,
        version: options.version,
        ...(peer === null ? {} : { peer }),
      };
      const { version } = options;
      journal.append("daemon.started", "", { epoch, pid: process.pid, version, isAfterOrder });
      await publishDaemonFile(disk, home, this.#file);
      opened.resolve();
    } catch (error) {
      opened.resolve();
      await this.#close();
      endNodeEpoch(store, epoch);
      throw error;
    }
    log.info("started as {nodeId}, epoch {epoch}, on {url}", {
      nodeId: this.nodeId,
      epoch: this.epoch,
      url: this.file.url,
      socket,
      pid: process.pid,
      version: options.version,
    });
    if (!isAfterOrder) log.warning("the daemon before this one was ended without order", { epoch });
    void this.services.trainings.resumeWanted().catch((error: unknown) => {
      log.error("trainings were not resumed", { error });
    });
  }

  stop(drainMs: number): void {
    this.#askStop(drainMs);
  }

  stopCall(id: string): boolean {
    return this.calls.stop(id, stoppedByCaller());
  }

  /**
   * Takes no new calls, lets trainings write a checkpoint and calls end, at most for the drain time, and
   * leaves nothing behind that says it runs.
   */
  async end(drainMs: number): Promise<void> {
    this.#isDraining = true;
    const { journal, clock, trainings } = this.services;
    journal.append("daemon.stopping", "", { epoch: this.epoch, pid: process.pid });
    log.info("stopping; calls under way: {calls}", { calls: this.calls.count, drainMs });
    const reason = interrupted("the daemon is stopping");
    const over = new AbortController();
    const wait = (ms: number) => clock.sleep(Math.max(0, ms), over.signal).catch(() => {});
    const deadlineMs = clock.monotonicMs() + drainMs;
    const stopped = trainings.stopAll(drainMs);
    this.calls.stopAll("node", reason);
    const idle = Promise.all([stopped, this.calls.idle()]);
    await Promise.race([idle, wait(drainMs - Math.min(lastWordsMs, drainMs / 2))]);
    this.calls.stopAll("all", reason);
    await Promise.race([idle, wait(deadlineMs - clock.monotonicMs())]);
    over.abort(new Error("it has stopped"));
    await this.#close();
    endNodeEpoch(this.services.store, this.#epoch);
    log.info("stopped");
  }

  /** Opens the door for other nodes, where it is wanted, and goes on in the mesh behind it. */
  async #enterMesh(): Promise<DaemonFile["peer"] | null> {
    const { services, nodeId: node } = this;
    const { openTlsIdentity } = await import("#src/surface/peer/tls-file.ts");
    const { openBoxKey } = await import("#src/surface/peer/box-file.ts");
    const { openLinks } = await import("#src/surface/peer/links.ts");
    const { home, disk, random } = services;
    const tls = await openTlsIdentity(services, node);
    const box = await openBoxKey(home, disk, random);
    const { door, listener } = (await this.#openDoor(tls)) ?? { door: null, listener: null };
    const places = door === null ? [] : placesOf(door.host, door.port);
    const instance = Buffer.from(random.bytes(16)).toString("hex");
    const onBug = (error: unknown) => log.error("bug in a link to another node", { error });
    const cluster = new ClusterRuntime({
      ...{ services, node, epoch: this.#epoch },
      contact: { places: [...places], certificate: tls.fingerprint, box: box.publicKey },
      advanceEpoch: () => (this.#epoch = advanceNodeEpoch(services.store, services.clock).epoch),
      openLinks: async (parts) => {
        const manifest = await services.runtime.manifest();
        const own = { services, instance, box, manifest, policy: this.options.claims };
        const links = await openLinks({ ...parts, ...own, onBug });
        return this.#discovering?.guide(links) ?? links;
      },
      seen: () => this.#discovering?.seen() ?? null,
      isReady: async () => (await this.#whyNotReady()).length === 0,
    });
    this.#discovering = await this.#discover(door);
    this.#cluster = cluster;
    await cluster.start();
    const engine = new RunEngine({ services, node, cluster, records: cluster.runs });
    this.#meshRuns = new MeshRuns(engine);
    engine.start();
    if (listener === null) return null;
    return { address: listener.address, fingerprint: tls.fingerprint };
  }

  async #discover(door: PeerAddress | null): Promise<Discovering | null> {
    const { discover } = this.options;
    if (discover === null) return null;
    const { Discovering } = await import("../cluster/discovering.ts");
    // Between two meshes nobody else has this name: nothing is heard and nobody answered.
    const mesh = () =>
      this.#cluster?.isOpen === true ? this.#cluster.standing().mesh : this.nodeId;
    return Discovering.open(this.services, discover, { mesh, door });
  }

  /** Opens the door for other nodes where it is named, else where it was, else on the loopback. */
  async #openDoor(
    tls: TlsIdentity,
  ): Promise<{ readonly door: PeerAddress; readonly listener: PeerListener } | null> {
    const { peer } = this.options;
    if (peer === null) return null;
    const book = new MeshBook(this.services.store);
    const named = peer.host ?? book.doorHost();
    const host = named ?? loopbackAddress;
    let door = { host, ports: this.#doorPorts(peer.port) };
    let listener: PeerListener;
    try {
      listener = await this.#listenPeers(tls, door);
    } catch (error) {
      const isGone = error instanceof Refusal && error.code === "address_unavailable";
      if (!isGone || peer.host !== null || named === null) throw error;
      // Nobody at this start asked for it: what the node does without other nodes goes on.
      log.warning("this machine no longer has {host}: other nodes do not reach this one", { host });
      door = { ...door, host: loopbackAddress };
      listener = await this.#listenPeers(tls, door);
    }
    book.keepDoor(listener.port, peer.host);
    return { door: { host: door.host, port: listener.port }, listener };
  }

  #doorPorts(port: number | null): readonly number[] {
    if (port !== null) return [port];
    const last = new MeshBook(this.services.store).doorPort();
    return [last ?? defaultPeerPort, defaultPeerPort, 0];
  }

  async #listenPeers(
    tls: TlsIdentity,
    { host, ports }: { readonly host: string; readonly ports: readonly number[] },
  ): Promise<PeerListener> {
    const { services, options } = this;
    const { listenPeers } = await import("#src/surface/peer/listen.ts");
    const { BlobDoor } = await import("#src/surface/peer/blobs.ts");
    const { isolate } = this.#children;
    const onBug = (error: unknown) => log.error("bug at the door for other nodes", { error });
    const audience = () => this.#cluster?.audience ?? null;
    const gave = (digest: string, sizeBytes: number) =>
      this.#meshRuns?.engine.artifacts.gave(digest, sizeBytes);
    const parts = {
      ...{ services, tls, onBug },
      answer: peerAnswers({ registry: options.registry, services, isolate }),
      draining: () => this.#isDraining,
      blobs: new BlobDoor({ services, audience, gave, onBug }),
      links: () => this.#cluster?.wires ?? null,
    };
    const listener = firstFree(ports, (each) => listenPeers(parts, { host, port: each }));
    this.#listeners.push(listener);
    return listener;
  }

  async #close(): Promise<void> {
    const { home } = this.services;
    const file = this.#file;
    await this.#meshRuns?.engine.stop();
    await this.#cluster?.stop(this.#file === null ? 0 : farewellMs);
    await this.#discovering?.stop();
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.stop()));
    removeDaemonFiles(home, file?.socket ?? socketPath(home));
  }

  #parts(token: string): HttpParts {
    const { services, options } = this;
    const { isolate } = this.#children;
    return {
      registry: options.registry,
      services,
      isolate,
      version: options.version,
      token,
      assets: options.assets,
      runningCalls: this.calls,
      draining: () => this.#isDraining,
      ready: () => this.#whyNotReady(),
      collectMetrics: async () => [
        ...nodeFamilies(services, { epoch: this.epoch, startedMs: this.file.startedMs }),
        ...(this.#cluster?.isOpen === true ? clusterFamilies(this.#cluster) : []),
        ...(this.#meshRuns === null ? [] : windowFamilies(this.#meshRuns.engine)),
      ],
      answerPeer: peerAnswers({ registry: options.registry, services, isolate }),
    };
  }

  async #whyNotReady(): Promise<readonly string[]> {
    if (this.#file === null) return ["the daemon is starting"];
    const { disk, home } = this.services;
    try {
      if ((await disk.freeBytes(home.root)) < roomMinimumBytes)
        return ["the store cannot be written (disk_full)"];
      // Asks for the right to write and gives it back; a home that turned read-only has none.
      this.services.store.transaction(() => {});
      return (await this.#cluster?.whyNotReady()) ?? [];
    } catch (error) {
      // Anyone may ask for readiness, so the code stands for a message that names paths.
      const code = error instanceof Refusal ? error.code : "bug";
      return [`the store cannot be written (${code})`];
    }
  }
}

/** The first of the ports that nothing else has. Refused with `port_taken` where none is free. */
function firstFree<T>(ports: readonly number[], listen: (port: number) => T): T {
  for (const [place, port] of ports.entries()) {
    try {
      return listen(port);
    } catch (error) {
      const isTaken = error instanceof Refusal && error.code === "port_taken";
      if (!isTaken || place === ports.length - 1) throw error;
    }
  }
  throw new Error("a port is tried");
}

function stoppedByCaller(): Refusal {
  return new Refusal(
    "interrupted",
    "stopped by its caller",
    "what it did before stays done, and more may be under way: look, then call it again",
  );
}

function interrupted(why: string): Refusal {
  return new Refusal("interrupted", why, "call it again when the daemon is up");
}
