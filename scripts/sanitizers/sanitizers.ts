import { join } from "node:path";
import { availableLanes } from "#src/kernel/cpu/lane.ts";
import { compileFlags, findCompiler, runCompiler } from "../build/kernels.ts";
import { runTool, withScratch } from "../build/sources.ts";
import { hostTarget, targets } from "../build/target.ts";
import { packPrograms } from "./packed-programs.ts";

/**
 * Runs the C kernels and their thread team under AddressSanitizer with UndefinedBehaviorSanitizer,
 * then under ThreadSanitizer: conformance cases and small training plans on every lane of this
 * processor with one, two and three threads, each result compared with the reference's bits, then
 * many short stretches and many teams. First each sanitizer must find mistakes planted for it.
 *
 *   bun scripts/sanitizers/sanitizers.ts 16 2000 200    cases per operation, stretches, teams
 *
 * The last line of each sanitizer is its verdict; the exit status is 0 when both found nothing.
 */
interface Sanitizer {
  readonly name: string;
  readonly flags: readonly string[];
  /** What its report says about the mistake that the driver plants under each name. */
  readonly planted: Readonly<Record<string, RegExp>>;
}

const sanitizers: readonly Sanitizer[] = [
  {
    name: "address and undefined behaviour",
    flags: [
      ...["-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"],
      "-fsanitize=address,undefined,float-cast-overflow",
    ],
    planted: {
      fence: /ERROR: AddressSanitizer: /,
      alignment: /runtime error: load of misaligned address/,
    },
  },
  {
    name: "threads",
    flags: ["-O2", "-fsanitize=thread"],
    planted: { scratch: /WARNING: ThreadSanitizer: data race/ },
  },
];

/**
 * Compiled with every check in every inlined copy, the kernels take ten minutes; as functions of
 * their own, twenty seconds. The intrinsics spell the attribute with underscores and stay inline.
 */
const commonFlags = ["-g1", "-Wall", "-Wextra", "-Werror", "-Dalways_inline=unused", "-Ikernels"];

/** The lanes of this processor, the library and the driver in one program. */
async function buildDriver(folder: string, { flags }: Sanitizer): Promise<string> {
  const target = hostTarget();
  const compiler = await findCompiler(target);
  if (!compiler) throw new Error("no C compiler was found");
  const lanes: readonly string[] = availableLanes();
  const present = Object.entries(targets[target].lanes).filter(([lane]) => lanes.includes(lane));
  // The library names every lane; it never chooses one that the processor lacks.
  const absent = Object.keys(targets[target].lanes)
    .filter((lane) => !lanes.includes(lane))
    .map((lane) => `-Dpsi_lane_${lane}=psi_lane_${lanes.at(-1)!}`);
  const units = [
    ...present.map(([lane, laneFlags]) => ({ source: "kernels/lane.c", name: lane, laneFlags })),
    { source: "kernels/library.c", name: "library", laneFlags: absent },
    { source: "scripts/sanitizers/driver.c", name: "driver", laneFlags: [] },
  ];
  const objects = units.map(({ name }) => join(folder, `${name}.o`));
  await Promise.all(
    units.map(({ source, laneFlags }, index) =>
      runCompiler([
        ...[...compiler.command, ...compileFlags, ...laneFlags, ...flags, ...commonFlags],
        ...["-c", source, "-o", objects[index]!],
      ]),
    ),
  );
  const program = join(folder, "driver");
  await runCompiler([
    ...[...compiler.command, ...flags, ...objects],
    ...["-lm", "-lpthread", "-o", program],
  ]);
  return program;
}

/** Builds and runs one sanitizer's driver; returns whether everything was as it should be. */
async function sanitize(
  sanitizer: Sanitizer,
  packedPath: string,
  counts: readonly string[],
): Promise<boolean> {
  return withScratch(async (folder) => {
    const program = await buildDriver(folder, sanitizer);
    for (const [mistake, report] of Object.entries(sanitizer.planted)) {
      const { succeeded, output } = await runTool([program, packedPath, mistake]);
      const isSeen = !succeeded && report.test(output);
      console.log(`${sanitizer.name}: planted ${mistake} ${isSeen ? "seen" : "NOT SEEN"}`);
      if (!isSeen) return false;
    }
    const { succeeded, output } = await runTool([program, packedPath, ...counts]);
    for (const line of output.trimEnd().split("\n")) console.log(`${sanitizer.name}: ${line}`);
    return succeeded;
  });
}

const [casesPerOperation = "16", stretches = "2000", teams = "200"] = process.argv.slice(2);
await withScratch(async (folder) => {
  const packedPath = join(folder, "programs.bin");
  await Bun.write(packedPath, packPrograms(Number(casesPerOperation)));
  // One after the other: each compiles on every core, and its threads want some to race on.
  for (const sanitizer of sanitizers) {
    const isClean = await sanitize(sanitizer, packedPath, [stretches, teams]);
    console.log(`${sanitizer.name}: ${isClean ? "nothing found" : "SOMETHING FOUND"}`);
    if (!isClean) process.exitCode = 1;
  }
});
