/**
 * The long form of src/acceptance/window-chaos.test.ts: nodes in network namespaces train one run, and every so often
 * one of them is killed, restarted, hangs, is cut off or loses its worker process. Prints what happens as JSON lines
 * and the figures at last: throughput that is kept, how long recoveries take, what windows cost. A promise that was
 * broken ends it with status 1.
 *
 *     bun scripts/soak/window-chaos.ts [MINUTES] [NODES] [SECONDS BETWEEN FAULTS] [SEED] [WORDS OF run start …]
 */
import { brokenIn, WindowChaos } from "#src/acceptance/window-chaos.fixture.ts";

/** A day; what asks for more has slipped. */
const minuteMaximum = 1_440;
const nodeMaximum = 32;

const [minutes, nodeCount, everySeconds, seed] = [20, 5, 29, 1].map((usual, at) =>
  Number(process.argv[at + 2] ?? usual),
) as [number, number, number, number];
const words = process.argv.slice(6);
const isSense =
  minutes > 0 && nodeCount >= 2 && nodeCount <= nodeMaximum && everySeconds >= 1 && seed >= 0;
if (!isSense || !Number.isSafeInteger(seed) || !Number.isSafeInteger(nodeCount))
  throw new Error(
    "bun scripts/soak/window-chaos.ts [MINUTES] [NODES] [SECONDS BETWEEN FAULTS] [SEED] [WORDS OF run start …]",
  );

const usualWords = ["--size", "nano", "--batch", "32", "--node-batch", "32", "--seed", "7"];
await using chaos = new WindowChaos({
  ...{ seed, nodeCount, everyMs: everySeconds * 1_000 },
  faults: { durationMs: Math.min(minuteMaximum, minutes) * 60_000 },
  lastingMs: [3_000, 10_000],
  quietWindows: 6,
  words: words.length > 0 ? words : usualWords,
  tell: (told) => console.log(JSON.stringify({ atMs: Date.now(), ...told })),
});
try {
  const figures = await chaos.run();
  console.log(JSON.stringify({ type: "summary", ...figures }, null, 2));
  const broken = brokenIn(figures);
  for (const each of broken) console.error(each);
  if (broken.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(`seed ${seed}:`, error);
  process.exitCode = 1;
}
