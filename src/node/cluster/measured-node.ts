import { availableParallelism, loadavg } from "node:os";
import { textMaximum } from "#src/cluster/bounds.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { RunStore } from "#src/train/run-store.ts";
import type { NodeMeasure } from "./member-words.ts";

const lookMs = 15_000;
const startMs = 1_000;

/** What this machine is and does, looked at now and then. */
export class MeasuredNode {
  #latest: NodeMeasure | null = null;

  constructor(
    readonly parts: {
      readonly services: Services;
      isReady(): Promise<boolean>;
      /** How far this node's clock is from the coordinator's. */
      skewMs(): number;
    },
  ) {}

  /** Null before the first look. */
  get latest(): NodeMeasure | null {
    return this.#latest;
  }

  /** Looks until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.parts.services;
    // While it starts a node is not ready yet, which is nothing to tell others.
    await clock.sleep(startMs, signal).catch(() => {});
    while (!signal.aborted) {
      try {
        this.#latest = await this.#look();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
      await clock.sleep(lookMs, signal).catch(() => {});
    }
  }

  async #look(): Promise<NodeMeasure> {
    const { services, isReady, skewMs } = this.parts;
    const { processor, memoryBytes } = await services.machine.facts();
    const busy = (loadavg()[0] ?? 0) / availableParallelism();
    return {
      device: processor.slice(0, textMaximum),
      memoryBytes,
      loadPerMille: Math.round(busy * 1000),
      exactTokensPerSecond: this.#tokensPerSecond(),
      fastTokensPerSecond: 0,
      clockSkewMs: skewMs(),
      isReady: await isReady(),
    };
  }

  /** Of the newest run, in the exact lane; 0 where nothing was trained here. */
  #tokensPerSecond(): number {
    const runs = new RunStore(this.parts.services.store);
    const row = this.parts.services.store.get("SELECT id FROM run ORDER BY rowid DESC LIMIT 1");
    const last = row === null ? null : runs.lastStep(String(row["id"]));
    return Math.max(0, Math.round(last?.tokensPerSecond ?? 0));
  }
}
