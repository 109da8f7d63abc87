import { chmodSync, existsSync, mkdirSync, renameSync, utimesSync } from "node:fs";
import { join } from "node:path";
import type { Library } from "./kernels.ts";
import { digestSources, root, runTool, withScratch, writeAtomically } from "./sources.ts";
import { BuildFailure, hostTarget, targets, type Target } from "./target.ts";

/** What `psionic version` and a run's manifest say about the program; imported as `#build-info`. */
export interface BuildInfo {
  readonly version: string;
  /** The git commit, `+changes` when a product file differs from it, or null outside a clone. */
  readonly commit: string | null;
  readonly sourceDigest: string;
  readonly compiler: string;
  readonly bun: string;
  readonly libraries: Partial<Record<Target, Library>>;
}

async function findCommit(): Promise<string | null> {
  if (!Bun.which("git") || !existsSync(join(root, ".git"))) return null;
  const head = await runTool(["git", "rev-parse", "HEAD"]);
  if (!head.succeeded) return null;
  const product = ["src", "kernels", "scripts/build", "build.ts", "package.json", "bun.lock"];
  const changes = await runTool(["git", "status", "--porcelain", "--", ...product]);
  return head.output.trim() + (changes.output.trim() === "" ? "" : "+changes");
}

/** Writes `.build/build-info.json`, which both the executable and a run from source import. */
export async function writeBuildInfo(libraries: BuildInfo["libraries"]): Promise<BuildInfo> {
  const manifest = (await Bun.file(join(root, "package.json")).json()) as { version: string };
  const info: BuildInfo = {
    version: manifest.version,
    commit: await findCommit(),
    sourceDigest: await digestSources(),
    compiler: libraries[hostTarget()]?.compiler ?? "",
    bun: Bun.version,
    libraries,
  };
  await writeAtomically(join(root, ".build/build-info.json"), JSON.stringify(info, null, 2) + "\n");
  return info;
}

/** A checked Bun for another machine, through the launcher, which knows the pinned digests. */
async function findRuntime(target: Target): Promise<string> {
  const child = Bun.spawn(
    ["sh", join(root, "psionic"), "__runtime", targets[target].bunPackagePlatform],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const path = (await child.stdout.text()).trim();
  if ((await child.exited) !== 0) throw new BuildFailure(`no Bun runtime for ${target}`);
  return path;
}

export function executablePath(target: Target): string {
  const name = target === hostTarget() ? "psionic" : `psionic-${target}`;
  return join(root, "dist", name);
}

/**
 * Builds one executable that carries Bun, the bundled program and the target's kernel library.
 * It reads neither `.env` nor `bunfig.toml` from the folder it is started in: both can run code.
 */
export async function buildExecutable(
  target: Target,
  info: BuildInfo,
  started: Date,
): Promise<string> {
  const output = executablePath(target);
  const library = info.libraries[target];
  if (!library) throw new BuildFailure(`the kernel library of ${target} is missing`);
  const stampPath = join(root, `.build/${target}/executable.stamp`);
  const stamp = `${info.sourceDigest} ${library.sha256} ${info.bun}\n`;
  const stampFile = Bun.file(stampPath);
  const isFresh =
    existsSync(output) && (await stampFile.exists()) && (await stampFile.text()) === stamp;
  if (!isFresh) {
    const isHost = target === hostTarget();
    const runtime = isHost ? process.execPath : await findRuntime(target);
    await withScratch(async (folder) => {
      const draft = join(folder, "psionic");
      const { succeeded, output: said } = await runTool([
        ...[process.execPath, "build", "src/node/main.ts", "--compile", `--outfile=${draft}`],
        ...["--minify", "--keep-names", "--bytecode", "--format=esm", "--sourcemap=none"],
        // What only some commands use is loaded with them: a start takes a quarter less.
        "--splitting",
        ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
        ...[`--conditions=psionic-${target}`, `--target=${targets[target].bunTarget}`],
        `--compile-executable-path=${runtime}`,
      ]);
      if (!succeeded || !existsSync(draft)) {
        throw new BuildFailure("the executable did not build", said, 1);
      }
      chmodSync(draft, 0o755);
      mkdirSync(join(root, "dist"), { recursive: true });
      renameSync(draft, output);
    });
    await writeAtomically(stampPath, stamp);
  }
  // The launcher rebuilds when a source is newer than the executable. Dating it to the start of the
  // build catches a source saved while the build ran.
  utimesSync(output, started, started);
  return output;
}
