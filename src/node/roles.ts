import type { Services } from "#src/command/define.ts";
import type { ParentProcess } from "#src/port/process.ts";
import { noInteraction } from "./no-interaction.ts";
import { parentProcess } from "./processes.ts";
import { compose } from "./services.ts";

/** What a process does in a hidden role; it ends the process by returning. */
export type Role = (parent: ParentProcess, services: Services) => Promise<void>;

/**
 * What this executable can be started as by itself. Each entry loads its room only when the
 * role is taken: `trainer: async () => (await import("#src/train/child.ts")).runTrainer`.
 */
const roles: Readonly<Record<string, () => Promise<Role>>> = {
  trainer: async () => (await import("#src/train/child.ts")).runTrainer,
  command: async () => (await import("./daemon/command-child.ts")).runCommandChild,
  worker: async () => (await import("#src/train/windows/child.ts")).runWorker,
  sampler: async () => (await import("#src/train/sampling-child.ts")).runSampler,
  bench: async () => (await import("#src/bench/child.ts")).runBench,
};

/** Takes a role and gives the exit status. The parent's going away ends the process. */
export async function runRole(name: string): Promise<number> {
  const load = Object.hasOwn(roles, name) ? roles[name] : undefined;
  if (load === undefined || process.send === undefined) {
    process.stderr.write(`__${name} is started by psionic itself, not by people\n`);
    return 2;
  }
  const parent = parentProcess();
  parent.gone.addEventListener("abort", () => process.exit(1));
  const { services, close } = compose({ home: undefined, interaction: noInteraction });
  try {
    await (
      await load()
    )(parent, services);
    return 0;
  } finally {
    close();
  }
}
