import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SourceFile } from "./source-file.ts";

const root = join(import.meta.dir, "../..");

/** Files no rule reads: not text, or text that only machines write. */
const unread = /\.(png|jpg|gif|ico|woff2?|zst|bin|safetensors|gguf|so)$|^bun\.lock$/;

/**
 * Every file git tracks or would track, so that a violation shows before it is committed. A copy
 * without git (an unpacked archive) is read by folder instead.
 */
function listPaths(): string[] {
  const listing = Bun.spawnSync(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    { cwd: root, stdout: "pipe", stderr: "ignore" },
  );
  if (listing.exitCode === 0) return listing.stdout.toString().split("\0").filter(Boolean);
  const pattern = "{src,scripts,kernels,docs,fixtures,.ci}/**/*";
  return [...new Bun.Glob(pattern).scanSync({ cwd: root, dot: true })];
}

/** The repository's text files with their content, sorted by path. */
export function readRepository(): SourceFile[] {
  return listPaths()
    .filter((path) => !unread.test(path) && existsSync(join(root, path)))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}
