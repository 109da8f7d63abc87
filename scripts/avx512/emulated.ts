import { plugin } from "bun";
import { join } from "node:path";
import { compileFlags, findCompiler, runCompiler } from "../build/kernels.ts";
import { withScratch } from "../build/sources.ts";
import { hostTarget, targets } from "../build/target.ts";

/**
 * Runs the conformance suite on the AVX-512 lane on a processor that has AVX2 only: the lane's
 * sources with every _mm512 intrinsic emulated (scripts/avx512/emulation). One line of JSON per
 * thread count and operation.
 *
 *   bun scripts/avx512/emulated.ts 48     cases per operation; 16 when absent
 */
async function buildEmulated(folder: string): Promise<string> {
  const compiler = await findCompiler(hostTarget());
  const avx512 = targets["linux-x64"].lanes["avx512"];
  if (!compiler || !avx512) throw new Error("no C compiler was found");
  const emulation = ["-mavx2", "-mfma", "-Wno-psabi", "-I", "scripts/avx512/emulation"];
  // The library must offer the lane although this processor lacks it.
  const anyProcessor = "-D__builtin_cpu_supports(feature)=1";
  const others = ["baseline", "avx2"].map(
    (lane) => `-Wl,--defsym=psi_lane_${lane}=psi_lane_avx512`,
  );
  const lane = avx512.filter((flag) => !flag.startsWith("-m"));
  const library = join(folder, "libpsionic_kernels.so");
  const units = [
    { source: "kernels/lane.c", object: join(folder, "lane.o"), flags: [...lane, ...emulation] },
    { source: "kernels/library.c", object: join(folder, "library.o"), flags: [anyProcessor] },
  ];
  await Promise.all(
    units.map(({ source, object, flags }) =>
      runCompiler([...compiler.command, ...compileFlags, ...flags, "-c", source, "-o", object]),
    ),
  );
  const objects = units.map(({ object }) => object);
  await runCompiler([
    ...[...compiler.command, "-shared", ...objects, ...others],
    ...["-lm", "-lpthread", "-o", library],
  ]);
  return library;
}

/** Conforms the emulated lane and returns how many cases differ from the reference. */
async function conformEmulated(library: string): Promise<number> {
  plugin({
    name: "the emulated library in the place of the product's",
    setup: (build) => {
      build.module("#kernels", () => ({ exports: { default: library }, loader: "object" }));
    },
  });
  // Imported after the library is in place.
  const { openCpuBackend } = await import("#src/kernel/cpu/cpu-backend.ts");
  const { conformReport } = await import("#src/kernel/conformance/comparison.ts");
  let differenceCount = 0;
  for (const threads of [1, 3]) {
    const backend = openCpuBackend({ lane: "avx512", threads });
    for (const report of conformReport(backend, casesPerOperation)) {
      differenceCount += report.differences.length;
      console.log(JSON.stringify({ lane: "avx512", threads, ...report }));
    }
    backend.release();
  }
  return differenceCount;
}

const casesPerOperation = Number(process.argv[2] ?? 16);
const differenceCount = await withScratch(async (folder) =>
  conformEmulated(await buildEmulated(folder)),
);
process.exitCode = differenceCount > 0 ? 1 : 0;
