import { conformanceDigests } from "#src/kernel/conformance/comparison.ts";
import { openCpuBackend } from "#src/kernel/cpu/cpu-backend.ts";
import { availableLanes } from "#src/kernel/cpu/lane.ts";

/**
 * Prints the digests of every operation's outputs on this machine's best lane, with one thread and
 * with two. `neon.test.ts` runs it twice, once emulated, and compares.
 */
const [lane] = availableLanes();
for (const threads of [1, 2]) {
  const backend = openCpuBackend({ lane, threads });
  const digests = conformanceDigests(backend, Number(process.argv[2]));
  console.log(JSON.stringify({ type: "digests", lane, threads, digests }));
  backend.release();
}
