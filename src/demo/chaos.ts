/**
 * The demonstration that does not stop: a fault every while, on a mesh that trains. What it measures is how much of the
 * undisturbed throughput of the nodes that were there is kept, and how long work stands still.
 */
import type { CommandContext } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { beginRun, openMesh } from "./demonstration.ts";
import type { DemoMesh, RunLook } from "./demo-mesh.ts";
import type { DemoNode } from "./demo-node.ts";

const runName = "demo";
const nodeCount = 4;
/** Windows whose throughput counts as the undisturbed one. */
const quietWindows = 3;
/** Steps of a run that outlasts every demonstration; it is stopped. */
const endlessSteps = 200_000;
/** How long a node that hangs is left hanging. */
const hangMs = 6_000;

export interface ChaosRequest {
  readonly minutes: number;
  readonly everySeconds: number;
}

export interface ChaosResult {
  readonly type: "chaos";
  readonly faults: number;
  /** Accepted tokens over those that the nodes that were there would have made undisturbed. */
  readonly keptShare: number;
  /** From a fault to the next work that was accepted into the log, in order. */
  readonly recoverySeconds: readonly number[];
  readonly medianRecoverySeconds: number;
  /** From the return of a node to its being at work again. */
  readonly medianBackSeconds: number;
  /** Slots that are neither accepted, open nor assigned, or are twice: always 0, else it is refused. */
  readonly lost: number;
  readonly windows: number;
  readonly seconds: number;
  readonly digest: string;
}

const faults = ["kill", "hang", "kill-leader"] as const;

export async function demonstrateChaos(
  { minutes, everySeconds }: ChaosRequest,
  context: CommandContext,
): Promise<ChaosResult> {
  const mesh = await openMesh(context);
  try {
    await mesh.found();
    for (let number = 2; number <= nodeCount; number++) await mesh.join();
    await beginRun(mesh, { steps: endlessSteps });
    return await new Chaos(mesh, context, minutes * 60_000, everySeconds * 1000).run();
  } finally {
    await mesh.stop();
  }
}

class Chaos {
  readonly #recovery: number[] = [];
  readonly #back: number[] = [];
  /** Node milliseconds during which a node was there. */
  #presentMs = 0;

  constructor(
    readonly mesh: DemoMesh,
    readonly context: CommandContext,
    readonly lengthMs: number,
    readonly everyMs: number,
  ) {}

  get #nowMs(): number {
    return this.context.services.clock.monotonicMs();
  }

  async run(): Promise<ChaosResult> {
    const { mesh, context } = this;
    const quiet = await this.#quietRate();
    const startedMs = this.#nowMs;
    const before = await this.#look();
    this.#presentMs = 0;
    let count = 0;
    while (this.#nowMs - startedMs < this.lengthMs) {
      const beganMs = this.#nowMs;
      await this.#fault(faults[count++ % faults.length]!);
      const restMs = this.everyMs - (this.#nowMs - beganMs);
      if (restMs > 0) await context.services.clock.sleep(restMs, context.signal);
    }
    const after = await this.#look();
    const seconds = (this.#nowMs - startedMs) / 1000;
    const presentSeconds = seconds * nodeCount - this.#presentMs / 1000;
    const possible = quiet * presentSeconds;
    await mesh.nodes[0]!.call("run", "stop", runName);
    const digest = await this.#agreement();
    const median = (values: readonly number[]) =>
      values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    return {
      type: "chaos",
      ...{ faults: count, keptShare: (after.acceptedSlots - before.acceptedSlots) / possible },
      recoverySeconds: this.#recovery,
      medianRecoverySeconds: median(this.#recovery),
      medianBackSeconds: median(this.#back),
      ...{ lost: 0, windows: after.windowCount, seconds, digest },
    };
  }

  /** Slots per second and node while nothing is done to them. */
  async #quietRate(): Promise<number> {
    const { mesh } = this;
    const from = await mesh.until("the first windows", async () => {
      const look = await mesh.look(runName);
      return look !== null && look.revision >= 1 ? look : null;
    });
    const startedMs = this.#nowMs;
    const to = await mesh.until("undisturbed windows", async () => {
      const look = await mesh.look(runName);
      return look !== null && look.revision >= from.revision + quietWindows ? look : null;
    });
    const seconds = (this.#nowMs - startedMs) / 1000;
    return (to.acceptedSlots - from.acceptedSlots) / seconds / nodeCount;
  }

  async #look(): Promise<RunLook> {
    return this.mesh.until("somebody answers", () => this.mesh.look(runName));
  }

  /** One fault, and the node's way back. */
  async #fault(what: (typeof faults)[number]): Promise<void> {
    const { mesh, context } = this;
    const leader = await mesh.leader();
    const others = mesh.live().filter((node) => node !== leader);
    const node = what === "kill-leader" && leader !== null ? leader : others[0]!;
    // Each in turn: the first of the list goes to its end.
    mesh.nodes.push(...mesh.nodes.splice(mesh.nodes.indexOf(node), 1));
    mesh.parts.emit({ type: "fault", what: wordOf(what), number: node.number });
    const before = await this.#look();
    const beganMs = this.#nowMs;
    if (what === "hang") node.pause();
    else await node.kill();
    const isHanging = what === "hang";
    const goneUntil = isHanging
      ? context.services.clock.sleep(hangMs, context.signal).then(() => node.resume())
      : mesh.back(node);
    await this.#progress(before, node);
    const seconds = (this.#nowMs - beganMs) / 1000;
    await goneUntil;
    const returnedMs = this.#nowMs;
    this.#presentMs += returnedMs - beganMs;
    await this.#atWork(node);
    const backSeconds = (this.#nowMs - returnedMs) / 1000;
    this.#recovery.push(seconds);
    this.#back.push(backSeconds);
    mesh.parts.emit({ type: "recovered", number: node.number, seconds, backSeconds });
  }

  /** Something more of the run stands in the log than before. */
  async #progress(before: RunLook, but: DemoNode): Promise<void> {
    const { mesh } = this;
    const asked = mesh.live().find((node) => node !== but);
    await mesh.until("the run goes on", async () => {
      const status = await asked?.ask("run", "status", runName);
      const run = (status?.["mesh"] ?? status) as Record<string, unknown> | undefined;
      const chain = run?.["chain"];
      return (
        chain !== undefined && chain !== (before as unknown as Record<string, unknown>)["chain"]
      );
    });
  }

  async #atWork(node: DemoNode): Promise<void> {
    const { mesh } = this;
    await mesh.until(`node ${node.number} works again`, async () => {
      const look = await mesh.look(runName);
      const standing = look?.participants.find((each) => each.node === node.id)?.standing;
      return standing === "training" || standing === "given" || standing === "validating";
    });
  }

  /** All nodes name one digest of one revision. */
  async #agreement(): Promise<string> {
    const { mesh } = this;
    return mesh.until("all nodes agree", async () => {
      const seen = new Set<string>();
      for (const node of mesh.live()) {
        const status = await node.ask("run", "status", runName);
        const run = (status?.["mesh"] ?? status) as Record<string, unknown> | null;
        seen.add(`${String(run?.["revision"])} ${String(run?.["revisionDigest"])}`);
      }
      if (seen.size !== 1) return null;
      const [digest] = [...seen][0]!.split(" ").slice(1);
      if (digest === undefined)
        throw new Refusal("demo_failed", "There is no revision.", "report it");
      return digest;
    });
  }
}

function wordOf(what: (typeof faults)[number]): string {
  if (what === "hang") return "a node hangs";
  return what === "kill" ? "kill -9 of a node" : "kill -9 of the node that coordinates";
}
