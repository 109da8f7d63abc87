import { expect, test } from "bun:test";
import { join } from "node:path";
import { jsonLines, maySkipArm, root, runSourceUnderQemu, start, whyNoArm } from "./binary.ts";

const casesPerOperation = 8;
const words = [join(root, "src/acceptance/neon-digests.fixture.ts"), String(casesPerOperation)];

test.skipIf(maySkipArm())(
  `T-1 NEON gives the bits of this machine for every operation (${whyNoArm() ?? "emulated"})`,
  async () => {
    const emulated = await runSourceUnderQemu(words);
    expect(emulated.stderr).toBe("");
    const neon = jsonLines(emulated.stdout);
    expect(neon.map(({ lane, threads }) => [lane, threads])).toEqual([
      ["neon", 1],
      ["neon", 2],
    ]);
    const native = start([process.execPath, ...words], "");
    const [expected] = jsonLines(await native.stdout.text());
    expect(Object.keys(expected?.["digests"] ?? {}).length).toBeGreaterThan(20);
    for (const { digests } of neon) expect(digests).toEqual(expected?.["digests"]);
  },
);
