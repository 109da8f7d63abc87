import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * The compiled executable, as black-box tests meet it: built once, started with a node home of its
 * own, judged by what it prints and its exit status.
 */

export const root = join(import.meta.dir, "../..");

/** An executable that ran to its end. */
export interface Outcome {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

export interface RunOptions {
  /** The node home; without it a fresh one that is removed afterwards. */
  readonly home?: string;
  /** Working directory; the root folder when absent. */
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** Killed after this long, so that a hang fails its test. Five minutes when absent. */
  readonly timeoutMs?: number;
}

async function build(extra: readonly string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, "build.ts", ...extra], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = (await child.stdout.text()) + (await child.stderr.text());
  if ((await child.exited) !== 0) throw new Error(`the executable did not build:\n${said}`);
}

const builds = new Map<string, Promise<string>>();

function buildOnce(name: string, extra: readonly string[]): Promise<string> {
  const known = builds.get(name);
  if (known) return known;
  const path = build(extra).then(() => join(root, "dist", name));
  builds.set(name, path);
  return path;
}

/** Path of this machine's executable, brought up to date first (a moment when it already is). */
export function binaryPath(): Promise<string> {
  return buildOnce("psionic", []);
}

/** Path of the Linux arm64 executable; its Bun is fetched through npm the first time. */
export function armBinaryPath(): Promise<string> {
  return buildOnce("psionic-linux-arm64", ["--target", "linux-arm64"]);
}

/**
 * How many times as long as an empty program of the same Bun a command takes to start and end, each at its
 * best of `attempts` taken in turn: a busy machine slows both.
 */
export function startRatio(command: readonly string[], attempts = 12): number {
  const timed = (words: readonly string[]): number => {
    const startedMs = performance.now();
    const child = Bun.spawnSync([...words], { cwd: root, stdout: "ignore", stderr: "pipe" });
    const durationMs = performance.now() - startedMs;
    if (child.exitCode !== 0) throw new Error(child.stderr.toString());
    return durationMs;
  };
  const best = { empty: Infinity, command: Infinity };
  for (let attempt = 0; attempt < attempts; attempt++) {
    best.empty = Math.min(best.empty, timed([process.execPath, "-e", "0"]));
    best.command = Math.min(best.command, timed(command));
  }
  return best.command / best.empty;
}

/** A folder that is removed when the scope that declared it with `using` ends. */
export class TemporaryFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "psionic-acceptance-"));

  /** A path inside; its folders are made. */
  file(name: string): string {
    const path = join(this.path, name);
    mkdirSync(join(path, ".."), { recursive: true });
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The environment of a stranger's shell: nothing of psionic's own, no colours. */
function cleanEnvironment(home: string, extra: Readonly<Record<string, string>> = {}) {
  const inherited = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined && !name.startsWith("PSIONIC_") && name !== "FORCE_COLOR",
  );
  return { ...Object.fromEntries(inherited), NO_COLOR: "1", PSIONIC_HOME: home, ...extra };
}

/** Starts any command with the test's node home; the caller ends it. Output is piped. */
export function start(command: readonly string[], home: string, options: RunOptions = {}) {
  return Bun.spawn([...command], {
    cwd: options.cwd ?? root,
    env: cleanEnvironment(home, options.environment),
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.timeoutMs ?? 300_000,
    killSignal: "SIGKILL",
  });
}

async function runToEnd(command: readonly string[], options: RunOptions): Promise<Outcome> {
  using fresh = options.home === undefined ? new TemporaryFolder() : null;
  const startedMs = performance.now();
  const child = start(command, options.home ?? fresh?.file("home") ?? "", options);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return {
    status: child.exitCode,
    signal: child.signalCode === null ? null : String(child.signalCode),
    stdout,
    stderr,
    durationMs: performance.now() - startedMs,
  };
}

/** Runs the executable with these words and waits for its end. */
export async function runBinary(
  words: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return runToEnd([await binaryPath(), ...words], options);
}

/** Starts the executable and leaves it running, for tests that interrupt or kill it. */
export async function startBinary(
  words: readonly string[],
  home: string,
  options: RunOptions = {},
) {
  return start([await binaryPath(), ...words], home, options);
}

/** The JSON lines of an output, each with its `type`. */
export function jsonLines(output: string): Record<string, unknown>[] {
  return output
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const armLibraries = "/usr/aarch64-linux-gnu";

/** Why arm64 programs cannot run here, or null when they can. On CI a reason is a failure. */
export function whyNoArm(): string | null {
  if (process.arch === "arm64" && process.platform === "linux") return null;
  if (!Bun.which("aarch64-linux-gnu-gcc")) return "aarch64-linux-gnu-gcc is not installed";
  if (!Bun.which("qemu-aarch64-static")) return "qemu-aarch64-static is not installed";
  return existsSync(armLibraries) ? null : `${armLibraries} is not there`;
}

/** True when an arm64 test may be skipped: it cannot run here and this is not CI. */
export function maySkipArm(): boolean {
  return whyNoArm() !== null && !process.env["CI"];
}

/** The command that runs an arm64 program on this machine, emulated where it has to be. */
export function armCommand(program: readonly string[]): string[] {
  const reason = whyNoArm();
  if (reason !== null) throw new Error(`arm64 programs cannot run here: ${reason}`);
  if (process.arch === "arm64") return [...program];
  return ["qemu-aarch64-static", "-L", armLibraries, ...program];
}

/** Runs an arm64 program (the executable, or a test written in C) and waits for its end. */
export async function runUnderQemu(
  program: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return runToEnd(armCommand(program), options);
}

/**
 * Runs a TypeScript program of the repository on an arm64 Bun, with the arm64 kernel library in the
 * place of this machine's. The emulated Bun starts in about a second.
 */
export async function runSourceUnderQemu(
  words: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  await buildOnce("", ["--kernels", "--target", "linux-arm64"]);
  const runtime = Bun.spawn([join(root, "psionic"), "__runtime", "linux-aarch64"], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const path = (await runtime.stdout.text()).trim();
  if ((await runtime.exited) !== 0) throw new Error("no Bun for arm64 could be had");
  return runUnderQemu([path, "--conditions=psionic-linux-arm64", ...words], options);
}
