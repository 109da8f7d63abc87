import { describe, expect, test } from "bun:test";
import { openCpuBackend } from "#src/kernel/cpu/cpu-backend.ts";
import { availableLanes } from "#src/kernel/cpu/lane.ts";
import { conformanceDigests } from "./comparison.ts";
import { conform } from "./suite.ts";

for (const lane of availableLanes()) {
  conform(`cpu/${lane}`, () => openCpuBackend({ lane, threads: 1 }), { casesPerOperation: 48 });
  for (const threads of [2, 3]) {
    const name = `cpu/${lane} with ${threads} threads`;
    conform(name, () => openCpuBackend({ lane, threads }), { casesPerOperation: 16 });
  }
}

describe("T-1 digests of all operations", () => {
  test("are equal for every lane and thread count", () => {
    const digests = availableLanes().map((lane, index) => {
      const backend = openCpuBackend({ lane, threads: 1 + (index % 3) });
      const result = conformanceDigests(backend, 2);
      backend.release();
      return result;
    });
    for (const other of digests) expect(other).toEqual(digests[0]!);
  });
});
