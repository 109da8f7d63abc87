import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Member, mesh } from "./cluster-home.fixture.ts";

/** Homes of one mesh that train a run together, and what tests ask them about it. */

/** As long as a run of a test may take where others have the machine too. */
const patienceMs = 8 * 60_000;

/** Waits until it holds, longer than `until` of a daemon does; fails saying what it waited for. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false)
      return found as NonNullable<Exclude<T, false>>;
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(50);
  }
}

export interface RunRecord {
  readonly index: number;
  readonly author: string;
  readonly command: {
    readonly kind: string;
    readonly statement?: { readonly node: string; readonly said: Record<string, unknown> };
  } & Record<string, unknown>;
  readonly decided: Record<string, unknown>;
  readonly chain: string;
}

export class Trainer extends Member {
  constructor(name = "home") {
    super(name);
  }

  /** Several nodes share the cores of one machine. */
  prepare(): void {
    mkdirSync(this.path, { recursive: true });
    writeFileSync(join(this.path, "psionic.toml"), "[train]\nthreads = 1\n");
  }

  /** All events of a run as this node recorded them. */
  async records(run: string): Promise<RunRecord[]> {
    const found: RunRecord[] = [];
    for (;;) {
      const after = String(found.at(-1)?.index ?? 0);
      const { records } = await this.call<{ records: RunRecord[] }>(
        ...["run", "records", run, "--after", after],
      );
      if (records === undefined || records.length === 0) return found;
      found.push(...records);
    }
  }

  async state(run: string): Promise<string> {
    const { runs = [] } = await this.call<{ runs?: { run: string; state: string }[] }>("runs");
    return runs.find((each) => each.run === run)?.state ?? "unknown";
  }

  async digest(run: string): Promise<string> {
    const { digest } = await this.call<{ digest: string }>("digest", run);
    return digest;
  }

  log(): string {
    return readFileSync(join(this.path, "logs", "psionic.log"), "utf8");
  }
}

/** A mesh of so many homes that train, the founder first. */
export async function trainers(...members: readonly Trainer[]): Promise<void> {
  for (const member of members) member.prepare();
  await mesh(...members);
}

/** Begins a run of the mesh and gives its id. */
export async function begin(member: Trainer, ...words: readonly string[]): Promise<string> {
  const { run } = await member.call<{ run: string }>("run", "start", ...words, "--on", "mesh");
  if (typeof run !== "string") throw new Error("no run began");
  return run;
}

/** Waits until all of them say that it is completed and have the same last revision; gives its digest. */
export async function completed(run: string, ...members: readonly Trainer[]): Promise<string> {
  for (const member of members)
    await eventually(`${run} is completed`, async () => (await member.state(run)) === "completed");
  return eventually("equal digests", async () => {
    const digests = new Set(await Promise.all(members.map((each) => each.digest(run))));
    const [digest] = digests;
    return digests.size === 1 && digest !== undefined ? digest : null;
  });
}

/** How many windows were promoted so far. */
export function promotions(records: readonly RunRecord[]): number {
  return records.filter(({ decided }) => typeof decided["past"] === "object").length;
}

/** What nodes stated, in order. */
export function saidOf(records: readonly RunRecord[]): readonly Record<string, unknown>[] {
  return records.flatMap(({ command }) =>
    command.statement === undefined ? [] : [command.statement.said],
  );
}

/** Processes of a home that do a run's native work. */
export const workersOf = (home: Trainer): number[] =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, "utf8");
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
      const isOurs = environment.split("\0").includes(`PSIONIC_HOME=${home.path}`);
      return isOurs && command.includes("__worker") ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
