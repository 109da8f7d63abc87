import { availableParallelism, cpus, freemem, release, totalmem, type } from "node:os";
import type { Machine, MachineFacts } from "#src/command/services.ts";

/** This machine: facts from the operating system, lanes from the kernel library. */
export const thisMachine: Machine = {
  facts: async (): Promise<MachineFacts> => ({
    operatingSystem: `${type()} ${release()}`,
    architecture: process.arch,
    processor: cpus()[0]?.model.trim() || "unknown processor",
    coreCount: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
  }),
  lanes: async () => (await import("#src/kernel/cpu/lane.ts")).availableLanes(),
};
