import { readFileSync } from "node:fs";
import { machineClock } from "#src/node/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { grantNode, guestKey, peerOf } from "./grant.fixture.ts";

/**
 * A process that presents a grant many times, for tests that run several or kill one:
 * `HOME GRANT-FILE COUNT BYTES`. It begins when its standard input ends and says of each
 * presentation when it began (wall clock, which all processes share) and how it went.
 */
const [home, file, count, bytes] = process.argv.slice(2) as [string, string, string, string];

const say = (line: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(line)}\n`);

const grant = JSON.parse(readFileSync(file, "utf8")) as unknown;
const node = grantNode({ root: home, clock: machineClock });
const caller = peerOf(guestKey, grant);
say({ ready: true });
await Bun.stdin.text();

for (let index = 0; index < Number(count); index++) {
  const beganMs = performance.timeOrigin + performance.now();
  try {
    const use = node.book.use(caller, "run/status");
    // Said before the use ends, so that a kill finds uses that were admitted and not settled.
    say({ beganMs, code: "admitted" });
    try {
      use.countBytes(Number(bytes));
      say({ beganMs, code: "counted" });
    } finally {
      // Others get their turn while this use is open, as they would while a command runs.
      await new Promise((resolve) => setImmediate(resolve));
      use.finish();
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say({ beganMs, code: error.code });
  }
}
node.close();
