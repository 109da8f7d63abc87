/**
 * The long form of src/acceptance/cluster-storm.test.ts: five nodes in network namespaces under 50 commands
 * a second, one of them killed every two seconds, with partitions, pauses, a full disk and a clock that
 * jumps. Prints the figures; a promise that was broken ends it with status 1. With `tell` it says on
 * the error channel what happens.
 *
 *     bun scripts/soak/cluster-storm.ts [MINUTES] [SEED] [tell]
 */
import { ClusterStorm } from "#src/acceptance/cluster-storm.fixture.ts";

/** A day; what asks for more has slipped. */
const minuteMaximum = 1_440;

const minutes = Math.min(minuteMaximum, Number(process.argv[2] ?? 5));
const seed = Number(process.argv[3] ?? 1);
if (!(minutes > 0) || !Number.isSafeInteger(seed))
  throw new Error("bun scripts/soak/cluster-storm.ts [MINUTES] [SEED] [tell]");

await using storm = new ClusterStorm({
  ...{ seed, machineCount: 5, durationMs: minutes * 60_000 },
  ...{ writesPerSecond: 50, readsPerSecond: 5, killEveryMs: 2_000, faultEveryMs: 20_000 },
  ...(process.argv[4] === "tell"
    ? { tell: (atMs: number, what: string) => console.error(`${atMs} ${what}`) }
    : {}),
});
try {
  console.log(JSON.stringify(await storm.run(), null, 2));
} catch (error) {
  console.error(`seed ${seed}:`, error);
  process.exitCode = 1;
}
