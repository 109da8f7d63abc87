import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { operationNames } from "#src/kernel/conformance/cases.ts";
import { jsonLines, root, start } from "./binary.ts";

const casesPerOperation = 16;

/** Why the emulated lane cannot be compiled and run here, or null when it can. */
function whyNoEmulation(): string | null {
  if (process.arch !== "x64") return "this is not an x86-64 machine";
  if (process.platform !== "linux") return "the system is not Linux";
  const flags = readFileSync("/proc/cpuinfo", "utf8");
  return / avx2 /.test(flags) && / fma /.test(flags) ? null : "the processor lacks AVX2 and FMA";
}

test.skipIf(whyNoEmulation() !== null)(
  `T-1 the AVX-512 lane's logic gives the bits of exact/1, its intrinsics emulated (${whyNoEmulation() ?? "compiled here"})`,
  async () => {
    const words = [join(root, "scripts/avx512/emulated.ts"), String(casesPerOperation)];
    const child = start([process.execPath, ...words], "");
    const [output, said] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    expect(said).toBe("");
    const reports = jsonLines(output);
    expect(reports.filter(({ differences }) => (differences as unknown[]).length > 0)).toEqual([]);
    expect(reports.map(({ threads, operation }) => [threads, operation])).toEqual(
      [1, 3].flatMap((threads) => operationNames.map((operation) => [threads, operation])),
    );
    for (const { caseCount } of reports) expect(caseCount).toBe(casesPerOperation);
    expect(child.exitCode).toBe(0);
  },
  300_000,
);

const bochsFiles = {
  "bochs bochs-term": "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so",
  bochsbios: "/usr/share/bochs/BIOS-bochs-latest",
  vgabios: "/usr/share/bochs/VGABIOS-lgpl-latest",
  "grub-common": "/usr/bin/grub-mkrescue",
  "grub-pc-bin": "/usr/lib/grub/i386-pc/multiboot.mod",
  xorriso: "/usr/bin/xorriso",
};

/** Why Bochs cannot run the lane here, or null when it can. */
function whyNoBochs(): string | null {
  if (process.arch !== "x64") return "this is not an x86-64 machine";
  const missing = Object.entries(bochsFiles).filter(([, path]) => !existsSync(path));
  return missing.length === 0 ? null : `not installed: ${missing.map(([name]) => name).join(" ")}`;
}

test.skipIf(whyNoBochs() !== null)(
  `T-1 the AVX-512 lane gives the bits of exact/1 on an emulated Skylake-X (${whyNoBochs() ?? "Bochs"})`,
  async () => {
    const words = [join(root, "scripts/avx512/bochs.ts"), "4"];
    const child = start([process.execPath, ...words], "", { timeoutMs: 900_000 });
    const [output, said] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    expect(said).toBe("");
    const lines = output.replaceAll("\r", "").trimEnd().split("\n");
    expect(lines[0]).toEndWith("which has the avx512 lane");
    expect(lines.slice(1)).toEqual([
      ...operationNames.map((operation) => `${operation} 4 equal 0 different`),
      `verdict ${4 * operationNames.length} equal 0 different`,
    ]);
    expect(child.exitCode).toBe(0);
  },
  900_000,
);
