import { readFileSync } from "node:fs";
import { availableParallelism, cpus, freemem, release, totalmem, type } from "node:os";
import type { Machine, MachineFacts } from "#src/command/services.ts";

/** Facts of the machine from the operating system alone; nothing native is loaded. */
export const thisMachine: Machine = {
  facts: async (): Promise<MachineFacts> => ({
    operatingSystem: `${type()} ${release()}`,
    architecture: process.arch,
    processor: cpus()[0]?.model.trim() || "unknown processor",
    coreCount: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    lanes: lanes(),
  }),
};

/** The kernel lanes the processor's own flags allow, best first. */
function lanes(): string[] {
  if (process.arch === "arm64") return ["neon", "baseline"];
  const flags = processorFlags();
  const found: string[] = [];
  if (["avx512f", "avx512vl", "avx512dq", "avx512bw"].every((flag) => flags.has(flag))) {
    found.push("avx512");
  }
  if (flags.has("avx2") && flags.has("fma")) found.push("avx2");
  return [...found, "baseline"];
}

function processorFlags(): ReadonlySet<string> {
  try {
    const line = /^flags\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
    return new Set(line.split(" "));
  } catch {
    return new Set();
  }
}
