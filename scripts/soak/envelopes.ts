/**
 * Sends hostile envelopes through everything that a message of a member passes, and prints how often each
 * refusal came, what was held, and how much the process grew. Ends with 1 where anything but a refusal came, or
 * anything was let in that nobody signed. Then says what sealing and reading a message cost.
 *
 *     bun scripts/soak/envelopes.ts [COUNT] [SEED]
 */
import { ReceiveWindows } from "#src/peer/counters.ts";
import { attack } from "#src/peer/hostile.fixture.ts";
import { message, proven, self } from "#src/peer/message.fixture.ts";
import { admitMessage, readMessage } from "#src/peer/message.ts";
import { openTables } from "#src/peer/peer.fixture.ts";

const count = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? 1);
if (!(count > 0) || !Number.isSafeInteger(seed))
  throw new Error("bun scripts/soak/envelopes.ts [COUNT] [SEED]");

const residentMiB = () => Math.round(process.memoryUsage.rss() / 1024 / 1024);

attack(1_000, seed + 1);
const before = residentMiB();
const startMs = performance.now();
const run = attack(count, seed);
const seconds = (performance.now() - startMs) / 1000;
for (const [code, times] of Object.entries(run.counts).toSorted((a, b) => b[1] - a[1]))
  console.log(`${String(times).padStart(8)}  ${code}`);
const { honest, wronglyAdmitted, heldBytes, senderCount } = run;
console.log(`${count} hostile envelopes in ${seconds.toFixed(1)} s, seed ${seed}`);
console.log(
  `${honest.admitted} of ${honest.sent} honest ones admitted, ${wronglyAdmitted} wrongly`,
);
console.log(`${heldBytes} bytes in parts at most, ${senderCount} senders remembered`);
console.log(`${before} MiB resident before, ${residentMiB()} after`);

for (const sizeBytes of [100, 10_000]) cost(sizeBytes);
process.exit(wronglyAdmitted === 0 && honest.admitted === honest.sent ? 0 : 1);

/** Microseconds for a message whose body has about so many bytes: the median of thousands. */
function cost(sizeBytes: number): void {
  const body = { text: "x".repeat(sizeBytes) };
  const windows = new ReceiveWindows(openTables());
  const [sealing, reading]: [number[], number[]] = [[], []];
  for (let counter = 1; counter <= 4_000; counter++) {
    const startMs = performance.now();
    const bytes = message({ kind: "log", counter, body });
    const sealedMs = performance.now();
    admitMessage(readMessage(bytes, self), { proven, windows });
    sealing.push(sealedMs - startMs);
    reading.push(performance.now() - sealedMs);
  }
  const medianUs = (each: number[]) =>
    Math.round(1000 * each.toSorted((a, b) => a - b)[each.length >> 1]!);
  console.log(
    `a body of ${sizeBytes} bytes: ${medianUs(sealing)} µs to seal, ${medianUs(reading)} µs to read and admit`,
  );
}
