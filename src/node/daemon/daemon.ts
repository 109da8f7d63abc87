import { getLogger } from "@logtape/logtape";
import type { Services } from "#src/command/define.ts";
import type { Registry } from "#src/command/registry.ts";
import { RunningCalls } from "#src/command/running-calls.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type Listener, listenHttp } from "#src/surface/http/listen.ts";
import { openOperatorToken } from "#src/surface/http/operator-token.ts";
import type { Asset, HttpParts } from "#src/surface/http/parts.ts";
import { NodeTrainings } from "#src/train/node-trainings.ts";
import { nodeFamilies } from "../daemon-metrics.ts";
import { noInteraction } from "../no-interaction.ts";
import { birthOf } from "./birth.ts";
import { CommandChildren } from "./command-children.ts";
import type { DaemonControl } from "./control.ts";
import {
  type DaemonFile,
  publishDaemonFile,
  readDaemonFile,
  removeDaemonFiles,
  removeHalfPublished,
  removeSocket,
} from "./daemon-file.ts";
import { advanceNodeEpoch, endNodeEpoch } from "./node-epoch.ts";
import { peerAnswers } from "./peer-answers.ts";
import { socketPath } from "./socket-path.ts";

const log = getLogger(["psionic", "daemon"]);

/** Of the drain time, what calls get to stop after they were told to. */
const lastWordsMs = 5_000;
/** With less than this free the next row may not fit: the node is not ready. */
const roomMinimumBytes = 1024 * 1024;

export interface DaemonOptions {
  readonly registry: Registry;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Where other nodes are answered; null for nowhere. */
  readonly peer: { readonly host: string; readonly port: number } | null;
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
    }) as Services;
    const trainings = new NodeTrainings(this.services);
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

  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Opens everything in the order in which others may rely on it: identity, epoch, receipts, doors, the
   * file that tells of them. The home's lock must be held.
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
    const parts = this.#parts(token);
    try {
      const { host, port } = options;
      const tcp = listenHttp(parts, { host, port });
      this.#listeners.push(tcp, listenHttp(parts, { socket }));
      const peer = await this.#listenPeers();
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
    } catch (error) {
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
    return this.calls.stop(id, interrupted("stopped by its caller"));
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
    endNodeEpoch(this.services.store, this.epoch);
    log.info("stopped");
  }

  /** Opens the door for other nodes on the network, where it is wanted. */
  async #listenPeers(): Promise<DaemonFile["peer"] | null> {
    const { services, options } = this;
    if (options.peer === null) return null;
    const { listenPeers } = await import("#src/surface/peer/listen.ts");
    const { openTlsIdentity } = await import("#src/surface/peer/tls-file.ts");
    const tls = await openTlsIdentity(services, this.nodeId);
    const { isolate } = this.#children;
    const listener = listenPeers(
      {
        ...{ services, tls },
        answer: peerAnswers({ registry: options.registry, services, isolate }),
        draining: () => this.#isDraining,
        onBug: (error) => log.error("bug at the door for other nodes", { error }),
      },
      options.peer,
    );
    this.#listeners.push(listener);
    return { address: listener.address, fingerprint: tls.fingerprint };
  }

  async #close(): Promise<void> {
    const { home } = this.services;
    const file = this.#file;
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
      collectMetrics: async () =>
        nodeFamilies(services, { epoch: this.epoch, startedMs: this.file.startedMs }),
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
      return [];
    } catch (error) {
      // Anyone may ask for readiness, so the code stands for a message that names paths.
      const code = error instanceof Refusal ? error.code : "bug";
      return [`the store cannot be written (${code})`];
    }
  }
}

function interrupted(why: string): Refusal {
  return new Refusal("interrupted", why, "call it again when the daemon is up");
}
