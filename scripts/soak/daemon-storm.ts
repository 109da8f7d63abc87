/**
 * The long form of src/acceptance/daemon-storm.test.ts: one storm after the other, each with a seed of
 * its own, for so many minutes. Prints the figures of each; the first that fails ends it with its seed.
 *
 *     bun scripts/soak/daemon-storm.ts [MINUTES] [FIRST-SEED]
 */
import { Storm } from "#src/acceptance/storm.fixture.ts";

/** A day; what asks for more has slipped. */
const minuteMaximum = 1_440;

const minutes = Math.min(minuteMaximum, Number(process.argv[2] ?? 10));
const firstSeed = Number(process.argv[3] ?? 1);
if (!(minutes > 0) || !Number.isSafeInteger(firstSeed))
  throw new Error("bun scripts/soak/daemon-storm.ts [MINUTES] [FIRST-SEED]");

const endMs = performance.now() + minutes * 60_000;
const recoveriesMs: number[] = [];
for (let seed = firstSeed; performance.now() < endMs; seed++) {
  await using storm = new Storm({
    ...{ seed, kills: 25, lifeMs: [50, 3_000] },
    training: { size: "nano", steps: 2_000, seed, threads: 1, checkpointEvery: 50 },
  });
  try {
    const figures = await storm.run();
    recoveriesMs.push(...figures.recoveriesMs);
    console.log(JSON.stringify({ ...figures, recoveriesMs: undefined }));
  } catch (error) {
    console.error(`seed ${seed}:`, error);
    process.exit(1);
  }
}
const sorted = recoveriesMs.toSorted((one, other) => one - other);
const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
console.log(
  `${sorted.length} recoveries, from the kill to /readyz: median ${at(0.5)} ms, nine in ten within ${at(0.9)} ms, most ${at(1)} ms`,
);
