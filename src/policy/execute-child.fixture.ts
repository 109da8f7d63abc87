import { Refusal } from "#src/refusal/refusal.ts";
import { outcomesDigest, PolicyNode } from "./policy.fixture.ts";

/**
 * A process that executes marks under the sample policy, for tests that run several or kill one:
 * `HOME parallel COUNT KEY` asks for one mark many times at once; `HOME sequence COUNT` for many marks, four
 * at a time, saying each when it is acknowledged, so that a kill always meets some on their way; `- digest` evaluates only. It begins when its
 * standard input ends.
 */
const [home, mode, count, key] = process.argv.slice(2) as [string, string, string, string];

const say = (line: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function attempt(node: PolicyNode, name: string): Promise<void> {
  try {
    const { execution } = await node.mark(name);
    say({ key: name, execution });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say({ key: name, code: error.code, state: error.details["state"] ?? null });
  }
}

if (mode === "digest") {
  say({ digest: outcomesDigest() });
} else {
  using node = new PolicyNode(home, true);
  await node.services.receipts.open();
  say({ ready: true });
  await Bun.stdin.text();
  const total = Number(count);
  if (mode === "parallel")
    await Promise.all(Array.from({ length: total }, async () => attempt(node, key)));
  else {
    let next = 0;
    const work = async () => {
      while (next < total) await attempt(node, `key-${next++}`);
    };
    await Promise.all(Array.from({ length: 4 }, work));
  }
}
