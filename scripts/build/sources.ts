import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** The clone's root folder, with no trailing slash. */
export const root = join(import.meta.dir, "../..");

/** Everything the executable is made of. Tests are not part of the product. */
const productPatterns = [
  "src/**/*",
  "kernels/**/*",
  "cuda/**/*",
  "metal/**/*",
  "scripts/build/*",
  "build.ts",
  "package.json",
  "bun.lock",
  "tsconfig.json",
];

export const kernelPatterns = ["kernels/**/*", "scripts/build/*"];

function isProductFile(path: string): boolean {
  return (
    !path.endsWith(".test.ts") &&
    !path.startsWith("src/acceptance/") &&
    !path.startsWith("src/tidy/")
  );
}

/** Paths below the root that match, sorted, so that a digest does not depend on the file system. */
export function listSources(patterns: readonly string[] = productPatterns): string[] {
  const paths = new Set<string>();
  for (const pattern of patterns) {
    for (const path of new Bun.Glob(pattern).scanSync({ cwd: root })) {
      if (isProductFile(path)) paths.add(path);
    }
  }
  return [...paths].sort();
}

/** SHA-256 over the paths, lengths and bytes of the sources that match. */
export async function digestSources(patterns?: readonly string[]): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const path of listSources(patterns)) {
    const bytes = await Bun.file(join(root, path)).bytes();
    hasher.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hasher.digest("hex");
}

export async function digestFile(path: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");
}

/** Writes a file so that a reader, or a build running beside this one, never sees half of it. */
export async function writeAtomically(path: string, content: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  await Bun.write(temporary, content);
  renameSync(temporary, path);
}

/** Gives `work` a folder of its own inside `.build` and removes it afterwards. */
export async function withScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(root, ".build", `scratch-${process.pid}-${Bun.nanoseconds()}`);
  mkdirSync(folder, { recursive: true });
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a tool in the root folder and collects what it says. */
export async function runTool(
  command: readonly string[],
): Promise<{ succeeded: boolean; output: string }> {
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, error, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { succeeded: status === 0, output: out + error };
}
