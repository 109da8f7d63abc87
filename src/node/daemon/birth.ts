import { readFileSync } from "node:fs";

/**
 * When a process was born, as text that no other process shares, however ids are reused; null where
 * there is no such process. A process that has ended and was not yet waited for counts as none.
 */
export function birthOf(pid: number): string | null {
  return process.platform === "linux" ? linuxBirth(pid) : listedBirth(pid);
}

/** True while the very process lives that had this id and birth. */
export function isSameProcess(pid: number, birth: string): boolean {
  return birthOf(pid) === birth;
}

/** The boot and the clock tick since it: the 22nd field of /proc/PID/stat. */
function linuxBirth(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name, in parentheses, may hold anything; the third field follows the last one.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", tick = ""] = [fields[0], fields[19]];
    if (state === "Z" || state === "X" || tick === "") return null;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${tick}`;
  } catch {
    return null;
  }
}

function listedBirth(pid: number): string | null {
  const { stdout, exitCode } = Bun.spawnSync(["ps", "-o", "state=,lstart=", "-p", String(pid)]);
  const text = stdout.toString().trim();
  if (exitCode !== 0 || text === "" || text.startsWith("Z")) return null;
  return text.slice(text.indexOf(" ") + 1).trim();
}

/** The processes a process has started, with their births. Empty where the system does not say. */
export function childrenOf(pid: number): { pid: number; birth: string }[] {
  try {
    const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return ids.split(/\s+/).flatMap((text) => {
      const birth = text === "" ? null : birthOf(Number(text));
      return birth === null ? [] : [{ pid: Number(text), birth }];
    });
  } catch {
    return [];
  }
}
