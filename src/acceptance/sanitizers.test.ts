import { expect, test } from "bun:test";
import { join } from "node:path";
import { operationNames } from "#src/kernel/conformance/cases.ts";
import { availableLanes } from "#src/kernel/cpu/lane.ts";
import { root, start, TemporaryFolder } from "./binary.ts";

const casesPerOperation = 2;
const stretches = 500;
const teams = 30;
const smallPlanCount = 3;
const sanitizers = ["address and undefined behaviour", "threads"];

/** Why the compiler cannot make programs that watch themselves, or null when it can. */
function whyNoSanitizers(): string | null {
  const named = (process.env.CC ?? "").split(" ").filter((word) => word !== "");
  const found = ["cc", "gcc", "clang"].find((name) => Bun.which(name));
  const compiler = named.length > 0 ? named : found ? [found] : null;
  if (!compiler) return "no C compiler was found";
  using folder = new TemporaryFolder();
  const program = folder.file("nothing");
  for (const checks of ["address,undefined", "thread"]) {
    const words = [...compiler, `-fsanitize=${checks}`, "-x", "c", "-", "-o", program];
    const stdin = Buffer.from("int main(void) { return 0; }");
    const compiled = Bun.spawnSync(words, { stdin, stdout: "ignore", stderr: "ignore" });
    if (compiled.exitCode !== 0) return `the compiler has no -fsanitize=${checks}`;
    const ran = Bun.spawnSync([program], { stdout: "ignore", stderr: "ignore" });
    if (ran.exitCode !== 0) return `programs with -fsanitize=${checks} do not run here`;
  }
  return null;
}

const why = whyNoSanitizers();

test.skipIf(why !== null)(
  `T-1 AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer find nothing in the kernels and their team (${why ?? "compiled here"})`,
  async () => {
    const counts = [casesPerOperation, stretches, teams].map(String);
    const words = [join(root, "scripts/sanitizers/sanitizers.ts"), ...counts];
    const child = start([process.execPath, ...words], "");
    const [output, said] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    expect(said).toBe("");
    const programCount = operationNames.length * casesPerOperation + smallPlanCount;
    // The library's lanes from the lowest bit up.
    const order = ["baseline", "avx2", "avx512", "neon"] as const;
    const ofLanes = order
      .filter((lane) => availableLanes().includes(lane))
      .flatMap((lane) => [
        ...[1, 2, 3].map(
          (n) => `${lane} threads ${n}: programs equal ${programCount}, different 0`,
        ),
        `${lane}: stretches ${stretches}, different 0`,
        `${lane}: teams ${teams}, different 0`,
        `${lane}: other functions failed 0`,
      ]);
    const planted = [["fence", "alignment"], ["scratch"]];
    expect(output.trimEnd().split("\n")).toEqual(
      sanitizers.flatMap((name, index) => [
        ...planted[index]!.map((mistake) => `${name}: planted ${mistake} seen`),
        ...ofLanes.map((line) => `${name}: ${line}`),
        `${name}: verdict: everything is equal`,
        `${name}: nothing found`,
      ]),
    );
    expect(child.exitCode).toBe(0);
  },
  300_000,
);
