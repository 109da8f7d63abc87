import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, type Outcome, runBinary, startBinary, TemporaryFolder } from "./binary.ts";

/** What daemon.json says. */
export interface DaemonFile {
  readonly pid: number;
  readonly url: string;
  readonly socket: string;
  readonly startedMs: number;
}

/** A node home whose daemon is ended with the scope. */
export class DaemonHome implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly path: string;
  /** What was started and not awaited: ended with the scope too, also when the test failed. */
  readonly #started: Bun.Subprocess[] = [];

  constructor(name = "home") {
    this.path = this.folder.file(name);
  }

  run(...words: string[]): Promise<Outcome> {
    return runBinary(words, { home: this.path, timeoutMs: 120_000 });
  }

  /** The last record of a command with --json. */
  async json(...words: string[]): Promise<Record<string, unknown>> {
    const { stdout, stderr } = await this.run(...words, "--json");
    const last = jsonLines(stdout).at(-1);
    if (last === undefined) throw new Error(`no record: ${stderr}`);
    return last;
  }

  async start(...words: string[]) {
    const child = await startBinary(words, this.path, { timeoutMs: 120_000 });
    this.#started.push(child);
    return child;
  }

  async up(...words: string[]): Promise<DaemonFile> {
    const outcome = await this.run("up", "--detach", "--port", "0", ...words);
    if (outcome.status !== 0) throw new Error(`up failed: ${outcome.stderr}`);
    return this.file;
  }

  get file(): DaemonFile {
    return JSON.parse(readFileSync(join(this.path, "daemon.json"), "utf8")) as DaemonFile;
  }

  get hasFile(): boolean {
    return existsSync(join(this.path, "daemon.json"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#started) child.kill("SIGKILL");
    const pid = this.hasFile ? this.file.pid : null;
    await this.run("down", "--drain", "2s");
    if (pid !== null && lives(pid)) process.kill(pid, "SIGKILL");
    this.folder[Symbol.dispose]();
  }
}

/** Waits until it holds; fails after a minute, saying what it waited for. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadlineMs = performance.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) {
      return found as NonNullable<Exclude<T, false>>;
    }
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(20);
  }
}

/** True while the process lives; one that only waits to be collected counts as gone. */
export function lives(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !["Z", "X"].includes(text.slice(text.lastIndexOf(")") + 2)[0]!);
  } catch {
    if (process.platform === "linux") return false;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The processes a process has started and that live. */
export function childrenOf(pid: number): number[] {
  const parentOf = (text: string) => Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const isChild = parentOf(readFileSync(`/proc/${name}/stat`, "utf8")) === pid;
        return isChild && lives(Number(name)) ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
}
