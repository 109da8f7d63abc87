import { Database } from "bun:sqlite";
import { accessSync, constants, existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Services } from "#src/command/define.ts";
import type { HomePaths, MachineFacts } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";

export interface Check {
  readonly name: string;
  readonly passed: boolean;
  readonly found: string;
  /** What to do, where it did not pass. */
  readonly fix: string | null;
}

const gibibyte = 1024 ** 3;
const leastMemoryBytes = 1 * gibibyte;
const leastDiskBytes = 1 * gibibyte;
/** The program is newer than this, so a clock that shows less is wrong. */
const earliestWallMs = Date.UTC(2026, 0, 1);

/** Looks at everything a run needs. Takes well under 200 ms and leaves nothing behind. */
export async function checkMachine(machine: MachineFacts, services: Services): Promise<Check[]> {
  const { home } = services;
  // A home that does not exist yet is judged by the directory it would be made in.
  let place = home.root;
  while (!existsSync(place)) place = dirname(place);
  return [
    checkSystem(machine),
    checkProcessor(machine),
    await checkKernels(services),
    checkMemory(machine),
    checkHome(home, place),
    await checkDisk(place, services.disk),
    checkDatabase(place, services.clock),
    checkClock(services),
  ];
}

const judged = (name: string, passed: boolean, found: string, fix: string): Check => ({
  name,
  passed,
  found,
  fix: passed ? null : fix,
});

function checkSystem({ operatingSystem, architecture }: MachineFacts): Check {
  const passed = /^(Linux|Darwin)/.test(operatingSystem);
  const fix = "use Linux or macOS (on Windows: WSL 2)";
  return judged("system", passed, `${operatingSystem} on ${architecture}`, fix);
}

function checkProcessor({ processor, coreCount, architecture }: MachineFacts): Check {
  const passed = architecture === "x64" || architecture === "arm64";
  const fix = "use a machine with an x86-64 or arm64 processor";
  return judged("processor", passed, `${processor}, ${coreCount} cores`, fix);
}

/** Loads the kernels, which need no compiler here, and asks what they can use. */
async function checkKernels({ machine }: Services): Promise<Check> {
  try {
    const lanes = await machine.lanes();
    return judged("kernels", true, `lanes ${lanes.join(", ")}`, "");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return judged("kernels", false, error.message, error.hint);
  }
}

function checkMemory({ memoryBytes, freeMemoryBytes }: MachineFacts): Check {
  const found = `${inGibibytes(memoryBytes)}, ${inGibibytes(freeMemoryBytes)} free`;
  const fix = "close other programs, or give this machine at least 1 GiB";
  return judged("memory", memoryBytes >= leastMemoryBytes, found, fix);
}

function checkHome(home: HomePaths, place: string): Check {
  const fix = "make it writable, or choose another home with --home DIR or PSIONIC_HOME";
  try {
    accessSync(place, constants.W_OK | constants.X_OK);
    return judged("home", true, `${home.root} can be written`, fix);
  } catch {
    return judged("home", false, `${place} cannot be written`, fix);
  }
}

async function checkDisk(place: string, disk: Disk): Promise<Check> {
  const freeBytes = await disk.freeBytes(place);
  const found = `${inGibibytes(freeBytes)} free at ${place}`;
  const fix = "free at least 1 GiB, or choose another home with --home DIR";
  return judged("disk", freeBytes >= leastDiskBytes, found, fix);
}

/** Commits one row with the durability the store uses and reads it back. */
function checkDatabase(place: string, clock: Clock): Check {
  // Chance names it: a killed doctor of the same process id may have left its own behind.
  const path = join(place, `.doctor.${crypto.randomUUID()}.db`);
  const started = clock.monotonicMs();
  try {
    const database = new Database(path, { create: true });
    try {
      const mode = database.query("PRAGMA journal_mode = WAL").get() as { journal_mode: string };
      database.run("PRAGMA synchronous = FULL");
      database.run("CREATE TABLE probe (value INTEGER) STRICT");
      database.run("INSERT INTO probe VALUES (7)");
      const row = database.query("SELECT value FROM probe").get() as { value: number } | null;
      const tookMs = Math.round(clock.monotonicMs() - started);
      const passed = mode.journal_mode === "wal" && row?.value === 7;
      const found = `journal ${mode.journal_mode}, durable write in ${tookMs} ms`;
      return judged("database", passed, found, "use a local file system that supports locking");
    } finally {
      database.close();
    }
  } catch (error) {
    const fix = "make the home writable and free some space";
    return judged("database", false, (error as Error).message, fix);
  } finally {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(path + suffix, { force: true });
  }
}

function checkClock({ clock }: Services): Check {
  const wallMs = clock.wallMs();
  const steady = clock.monotonicMs() <= clock.monotonicMs();
  const found = new Date(wallMs).toISOString();
  return judged("clock", wallMs >= earliestWallMs && steady, found, "set the system time (NTP)");
}

function inGibibytes(bytes: number): string {
  return `${(bytes / gibibyte).toFixed(1)} GiB`;
}
