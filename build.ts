import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { buildExecutable, writeBuildInfo } from "./scripts/build/executable.ts";
import { buildLibrary, findCompiler, type Library } from "./scripts/build/kernels.ts";
import { root } from "./scripts/build/sources.ts";
import {
  BuildFailure,
  hostTarget,
  isTarget,
  targets,
  type Target,
} from "./scripts/build/target.ts";
import { buildWeb } from "./scripts/build/web.ts";

/**
 * Builds psionic. Nothing that is already up to date is built again.
 *
 *   bun build.ts                       kernels, page and executable of this machine: dist/psionic
 *   bun build.ts --kernels             kernel libraries and page only: what a run from source needs
 *   bun build.ts --target linux-arm64  an executable for another machine: dist/psionic-linux-arm64
 */
const started = new Date();

function readArguments(): { target: Target; kernelsOnly: boolean } {
  const { values } = parseArgs({
    options: { target: { type: "string" }, kernels: { type: "boolean", default: false } },
  });
  const target = values.target ?? hostTarget();
  if (!isTarget(target)) {
    const known = Object.keys(targets).join(", ");
    throw new BuildFailure(`there is no target ${target}: there are ${known}`);
  }
  return { target, kernelsOnly: values.kernels };
}

/** A run from source imports the library through `.build/host`, which needs no import condition. */
function publishForSource(library: Library): void {
  const published = join(root, ".build/host/libpsionic_kernels.so");
  mkdirSync(dirname(published), { recursive: true });
  const draft = `${published}.${process.pid}`;
  copyFileSync(join(root, library.file), draft);
  renameSync(draft, published);
}

async function build(): Promise<void> {
  const { target, kernelsOnly } = readArguments();
  const host = hostTarget();
  const wanted: Target[] = [...new Set([host, target])];
  // Where Debian's cross compiler is installed, the NEON library is built too, so that the tests
  // can compare its bits with this machine's.
  const neon: Target = "linux-arm64";
  if (!wanted.includes(neon) && (await findCompiler(neon))) wanted.push(neon);
  wanted.sort();
  const [built] = await Promise.all([
    Promise.all(wanted.map(async (each) => [each, await buildLibrary(each)] as const)),
    buildWeb(),
  ]);
  for (const [each, library] of built) if (each === host) publishForSource(library);
  const info = await writeBuildInfo(Object.fromEntries(built));
  if (!kernelsOnly) await buildExecutable(target, info, started);
}

try {
  await build();
} catch (failure) {
  if (!(failure instanceof BuildFailure)) throw failure;
  if (failure.output !== "") process.stderr.write(`${failure.output.trimEnd()}\n`);
  process.stderr.write(`psionic: ${failure.message}\n`);
  process.exit(failure.exitStatus);
}
