import { Refusal } from "#src/refusal/refusal.ts";
import type { DemoMesh, RunLook } from "./demo-mesh.ts";
import type { DemoNode } from "./demo-node.ts";

/** Something that is done to the nodes once the run has come so far, in shares of its slots. */
interface Chapter {
  readonly at: number;
  tell(): Promise<void>;
}

/** What was seen happening. */
export interface Seen {
  killed: number;
  joined: number;
  handovers: number;
  readonly cheaters: Set<string>;
}

/**
 * What happens to the nodes while they train: one is killed and comes back, one joins, the coordinator is killed and
 * another takes over, and one that lies about its work is found out.
 */
export class Story {
  readonly seen: Seen = { killed: 0, joined: 0, handovers: 0, cheaters: new Set() };
  readonly #chapters: Chapter[];
  #lastWindow = -1;

  constructor(
    readonly mesh: DemoMesh,
    readonly run: string,
    /** The one of which the mesh is to find out by itself that it lies. */
    readonly liar: DemoNode,
  ) {
    let victim: DemoNode | null = null;
    let deposed: DemoNode | null = null;
    this.#chapters = [
      { at: 0.1, tell: async () => void (victim = await this.#killWorker()) },
      { at: 0.25, tell: async () => this.#joinOne() },
      { at: 0.35, tell: async () => void (victim && (await mesh.back(victim))) },
      { at: 0.45, tell: async () => void (deposed = await this.#depose()) },
      { at: 0.65, tell: async () => void (deposed && (await mesh.back(deposed))) },
    ];
  }

  /** Looks at the run until it is over, and tells each chapter when its time has come. */
  async tell(): Promise<RunLook> {
    const { mesh, run } = this;
    return mesh.until("the run is over", async () => {
      const look = await mesh.look(run);
      if (look === null) return null;
      this.#show(look);
      const due = this.#chapters[0];
      if (due !== undefined && look.acceptedSlots >= due.at * look.slots) {
        this.#chapters.shift();
        await due.tell();
      }
      if (look.phase === "failed" || look.phase === "stopped")
        throw new Refusal("demo_failed", `The run is ${look.phase}: ${look.reason}.`, "report it");
      const isOver = look.phase === "completed" && look.loss?.isFull === true;
      return isOver ? look : null;
    });
  }

  #show(look: RunLook): void {
    const { emit } = this.mesh.parts;
    for (const { node, rejectedCount, isQuarantined } of look.participants) {
      if (!isQuarantined || this.seen.cheaters.has(node)) continue;
      this.seen.cheaters.add(node);
      emit({ type: "caught", number: this.mesh.byId(node)?.number, id: node, rejectedCount });
    }
    if (look.windowCount === this.#lastWindow) return;
    this.#lastWindow = look.windowCount;
    emit({
      type: "progress",
      ...{ window: look.windowCount, acceptedSlots: look.acceptedSlots, slots: look.slots },
      ...{ loss: look.loss?.loss ?? null, exactMatch: look.loss?.exactMatch ?? null },
      workers: look.participants.filter(({ standing }) => standing === "training").length,
      tokensPerSecond: look.tokensPerSecond,
    });
  }

  /** kill -9 of an honest node that does not lead. */
  async #killWorker(): Promise<DemoNode> {
    const leader = await this.mesh.leader();
    const others = this.mesh.live().filter((node) => node !== leader && node !== this.liar);
    const node = others.at(-1)!;
    this.mesh.parts.emit({ type: "killed", number: node.number, pid: node.pid, isLeader: false });
    await node.kill();
    this.seen.killed++;
    return node;
  }

  async #joinOne(): Promise<void> {
    await this.mesh.join();
    this.seen.joined++;
  }

  /** kill -9 of the node that coordinates; another must lead before anything goes on. */
  async #depose(): Promise<DemoNode> {
    const { clock, emit } = this.mesh.parts;
    const leader = await this.mesh.until("somebody leads", () => this.mesh.leader());
    emit({ type: "killed", number: leader.number, pid: leader.pid, isLeader: true });
    const startedMs = clock.monotonicMs();
    await leader.kill();
    this.seen.killed++;
    const next = await this.mesh.until("another coordinates", async () => {
      const found = await this.mesh.leader();
      return found !== null && found !== leader ? found : null;
    });
    this.seen.handovers++;
    const seconds = (clock.monotonicMs() - startedMs) / 1000;
    emit({ type: "handover", from: leader.number, to: next.number, seconds });
    return leader;
  }
}
