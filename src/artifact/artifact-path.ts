/**
 * Paths inside a folder that travels. They name files below the folder on any machine: parts joined by
 * `/`, none of them empty, `.` or `..`, nothing a shell, a terminal or another system would read
 * otherwise.
 */
const depthMaximum = 32;
const partBytesMaximum = 255;

/** Why a path cannot travel, or null. */
export function pathFault(path: string): string | null {
  const parts = path.split("/");
  if (parts.length > depthMaximum) return "is too deep";
  if (!path.isWellFormed() || /[\p{C}\p{Zl}\p{Zp}\\]/u.test(path))
    return "has a backslash or a character that does not print";
  if (parts.includes("") || parts.includes(".") || parts.includes("..")) return "leaves its folder";
  if (parts.some((part) => Buffer.byteLength(part) > partBytesMaximum))
    return "has too long a name";
  return null;
}

/**
 * What is wrong with the paths of a folder, or null: each must be able to travel, they ascend by code
 * unit, so that none stands twice, and none is a folder to another.
 */
export function pathsFault(paths: readonly string[]): string | null {
  let previous: string | null = null;
  const known = new Set(paths);
  for (const path of paths) {
    const shown = JSON.stringify(path.slice(0, 100));
    const fault = pathFault(path);
    if (fault !== null) return `the path ${shown} ${fault}`;
    if (previous !== null && previous >= path)
      return previous === path ? `the path ${shown} stands twice` : "its paths are not sorted";
    const parent = parentsOf(path).find((each) => known.has(each));
    if (parent !== undefined)
      return `${JSON.stringify(parent.slice(0, 100))} is a file and a folder`;
    previous = path;
  }
  return null;
}

/** `a/b/c` gives `a` and `a/b`. */
export function parentsOf(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}
