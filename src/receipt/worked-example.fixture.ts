import { canonicalText } from "#src/codec/digest.ts";
import { headerText } from "./bundle.ts";
import { memoryNode } from "./receipt.fixture.ts";
import { signingKeyFromSeed } from "./signature.ts";

/** The bundle of docs/RECEIPTS.md, line by line: made of two seeds and fixed times. */
export function workedExample(): string[] {
  const { log, nodeId, key, clock } = memoryNode(1);
  const nextKey = signingKeyFromSeed(new Uint8Array(32).fill(2));
  log.append("run.created", "abcdefgh", { manifest: "c0ffee".padEnd(64, "0"), steps: 100 });
  clock.nowMs += 60_000;
  log.rotate(nextKey, 7 * 24 * 3_600_000);
  clock.nowMs += 60_000;
  const { digest } = log.append("run.finished", "abcdefgh", { steps: 100 });
  const header = headerText({
    ...{ author: nodeId, subject: null, subjectCount: null },
    keys: [key.publicKey, nextKey.publicKey],
    ...{ rotations: [], first: 1, last: 3, count: 3, head: digest },
  });
  return [header, ...log.chain(nodeId).map(({ receipt }) => canonicalText(receipt))];
}
