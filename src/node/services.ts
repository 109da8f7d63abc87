import type { Services } from "#src/command/define.ts";
import { Journal } from "#src/command/journal.ts";
import { registry } from "#src/command/registry.ts";
import type { HomeLock, Interaction } from "#src/command/services.ts";
import { GrantBook } from "#src/grant/grant-book.ts";
import { IssuedGrants } from "#src/grant/issued-grants.ts";
import { PresentedGrants } from "#src/grant/presented-grants.ts";
import { TrustRegistry } from "#src/grant/trust-registry.ts";
import { outsideTrainings } from "#src/train/trainings.ts";
import { artifactService } from "./artifact-service.ts";
import { machineClock } from "./clock.ts";
import { openConfiguration } from "./configuration.ts";
import { machineDisk } from "./disk.ts";
import { lockHome } from "./home-lock.ts";
import { homePaths } from "./home.ts";
import { identityService } from "./identity-service.ts";
import { thisMachine } from "./machine.ts";
import { machineProcesses } from "./processes.ts";
import { machineRandom } from "./random.ts";
import { receiptService } from "./receipt-service.ts";
import { thisRuntime } from "./runtime.ts";
import { openStore, type OpenStore } from "./store.ts";
import { tableSets } from "./tables.ts";

export interface Composition {
  readonly services: Services;
  /** Ends children at once, closes the store and gives the home back. */
  close(): void;
}

/**
 * Puts the real ports together for one process. Nothing is opened or started before a command
 * uses it, so that `version` costs nothing. A room adds a service here and declares its type
 * by merging into `Services` (src/command/define.ts).
 */
export function compose(options: {
  readonly home: string | undefined;
  readonly interaction: Interaction;
}): Composition {
  const environment = process.env;
  const home = homePaths(options.home, environment);
  const processes = machineProcesses(home.root);
  let store: OpenStore | null = null;
  let lock: HomeLock | null = null;
  let journal: Journal | null = null;
  const openedStore = () => (store ??= openStore(home, tableSets));
  const identity = identityService(home, {
    disk: machineDisk,
    random: machineRandom,
    clock: machineClock,
    store: openedStore,
  });
  const receipts = receiptService({ identity, clock: machineClock, store: openedStore });
  const openedJournal = () => (journal ??= new Journal(openedStore(), machineClock));
  const trust = new TrustRegistry({ store: openedStore, clock: machineClock, receipts });
  const grantParts = {
    ...{ store: openedStore, clock: machineClock, receipts, trust, journal: openedJournal },
  };
  const findSocket = async () => {
    const { findRunningDaemon } = await import("./daemon/daemon-file.ts");
    return (await findRunningDaemon(home))?.socket ?? null;
  };
  const services: Services = {
    clock: machineClock,
    random: machineRandom,
    disk: machineDisk,
    processes,
    programs: processes,
    findSocket,
    get store() {
      return openedStore();
    },
    home,
    identity,
    receipts,
    trust,
    presented: new PresentedGrants(grantParts),
    issued: new IssuedGrants(grantParts),
    grants: new GrantBook(grantParts),
    get journal() {
      return openedJournal();
    },
    artifacts: artifactService({
      ...{ disk: machineDisk, clock: machineClock, random: machineRandom, receipts, environment },
      ...{ directory: home.artifacts, store: openedStore, journal: openedJournal, findSocket },
    }),
    configuration: openConfiguration(home, environment, registry),
    machine: thisMachine,
    runtime: thisRuntime(thisMachine, environment),
    trainings: outsideTrainings,
    callPaths: {
      "call-process": async () => (await import("./call-paths.ts")).processPath(services),
      "call-socket": async () => (await import("./call-paths.ts")).socketPath(services),
    },
    interaction: options.interaction,
    daemon: null,
    cluster: null,
    meshRuns: null,
    registry,
    environment,
    lock: () => (lock ??= lockHome(home)),
  };
  return {
    services,
    close() {
      processes.killAll();
      store?.close();
      lock?.release();
    },
  };
}
