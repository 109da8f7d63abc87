import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  digestFile,
  digestSources,
  kernelPatterns,
  root,
  runTool,
  withScratch,
} from "./sources.ts";
import { writeAtomically } from "./sources.ts";
import { BuildFailure, hostTarget, targets, type Target } from "./target.ts";

export interface Library {
  /** Relative to the root folder. */
  readonly file: string;
  readonly sha256: string;
  /** First line of the compiler's `--version`. */
  readonly compiler: string;
}

/**
 * Flags of every object file. The exact lane forbids contraction and anything of -ffast-math: each
 * rounding is where the source says it is. errno and trapping flags are unused and cost speed only.
 */
export const compileFlags = [
  ...["-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden"],
  ...["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
];

interface Compiler {
  readonly command: readonly string[];
  readonly versionLine: string;
  readonly isGcc: boolean;
}

export const installCompilerHint =
  "install one (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install)";

async function describeCompiler(command: readonly string[]): Promise<Compiler> {
  const { succeeded, output } = await runTool([...command, "--version"]);
  if (!succeeded) throw new BuildFailure(`the C compiler ${command[0]} does not start`, output);
  const isGcc = output.includes("Free Software Foundation");
  return { command, versionLine: output.split("\n")[0] ?? "", isGcc };
}

/** The host's compiler is $CC, cc, gcc or clang, in this order; $CC may carry flags. */
export async function findCompiler(target: Target): Promise<Compiler | null> {
  if (target !== hostTarget()) {
    const cross = targets[target].crossCompiler?.command;
    return cross && Bun.which(cross) ? describeCompiler([cross]) : null;
  }
  for (const candidate of [process.env.CC ?? "", "cc", "gcc", "clang"]) {
    const words = candidate.split(" ").filter((word) => word !== "");
    if (words[0] && Bun.which(words[0])) return describeCompiler(words);
  }
  return null;
}

function refuseWithoutCompiler(target: Target): never {
  if (target === hostTarget()) {
    throw new BuildFailure(`no C compiler was found: ${installCompilerHint}`);
  }
  const install = targets[target].crossCompiler?.install;
  const advice = install ? `: apt-get install ${install}` : "; build there instead";
  throw new BuildFailure(`no C compiler for ${target} was found here${advice}`);
}

function explainFailure(output: string): BuildFailure {
  const header = /(\w+\.h)(?:'|:).*(?:No such file|not found)/.exec(output)?.[1];
  if (!header || existsSync(join(root, "kernels", header))) {
    return new BuildFailure("the kernels did not compile", output, 1);
  }
  const advice = "install the C library's headers (Debian, Ubuntu: apt-get install libc6-dev)";
  return new BuildFailure(`the C compiler cannot find <${header}>: ${advice}`, output);
}

export async function runCompiler(command: readonly string[]): Promise<void> {
  const { succeeded, output } = await runTool(command);
  if (!succeeded) throw explainFailure(`${command.join(" ")}\n${output}`);
  if (output !== "") process.stderr.write(output);
}

/** One library from one object per lane and one for dispatch; the objects compile side by side. */
async function compileLibrary(target: Target, compiler: Compiler, output: string): Promise<void> {
  await withScratch(async (folder) => {
    const units = [
      ...Object.entries(targets[target].lanes).map(([lane, flags]) => ({
        source: "kernels/lane.c",
        object: join(folder, `lane-${lane}.o`),
        flags,
      })),
      { source: "kernels/library.c", object: join(folder, "library.o"), flags: [] },
    ];
    await Promise.all(
      units.map(({ source, object, flags }) =>
        runCompiler([...compiler.command, ...compileFlags, ...flags, "-c", source, "-o", object]),
      ),
    );
    const linked = join(folder, "library.so");
    const linkFlags = ["-shared", ...(compiler.isGcc ? ["-static-libgcc"] : [])];
    await runCompiler([
      ...[...compiler.command, ...linkFlags],
      ...units.map((unit) => unit.object),
      ...["-lm", "-lpthread", "-o", linked],
    ]);
    mkdirSync(dirname(output), { recursive: true });
    renameSync(linked, output);
  });
}

/** Builds the kernel library of `target` unless sources, flags and compiler are those of the last build. */
export async function buildLibrary(target: Target): Promise<Library> {
  const compiler = (await findCompiler(target)) ?? refuseWithoutCompiler(target);
  const file = `.build/${target}/libpsionic_kernels.so`;
  const stampPath = join(root, `.build/${target}/kernels.stamp`);
  const stamp = `${await digestSources(kernelPatterns)} ${compiler.command.join(" ")} ${compiler.versionLine}\n`;
  const stampFile = Bun.file(stampPath);
  const isFresh =
    existsSync(join(root, file)) &&
    (await stampFile.exists()) &&
    (await stampFile.text()) === stamp;
  if (!isFresh) {
    process.stderr.write(`psionic: compiling kernels for ${target} (${compiler.versionLine})\n`);
    await compileLibrary(target, compiler, join(root, file));
    await writeAtomically(stampPath, stamp);
  }
  return { file, sha256: await digestFile(join(root, file)), compiler: compiler.versionLine };
}
