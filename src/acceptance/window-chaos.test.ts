import { expect, test } from "bun:test";
import { networkNote, whyNoNetwork } from "./cluster-network.fixture.ts";
import { brokenIn, faultKinds, WindowChaos } from "./window-chaos.fixture.ts";

test(`W-7 three nodes that are killed, restarted, hang, are cut off or lose their worker process count every slot once${networkNote()}`, async () => {
  await using chaos = new WindowChaos({
    ...{ seed: 5, nodeCount: 3, everyMs: 6_000, lastingMs: [3_000, 5_000] },
    faults: faultKinds.filter((kind) => kind !== "part" || whyNoNetwork() === null),
    quietWindows: 2,
    words: [
      ...["--size", "nano", "--batch", "32", "--node-batch", "32", "--seed", "7"],
      ...["--window-steps", "12", "--segment-steps", "3"],
    ],
  });
  const figures = await chaos.run();
  expect(brokenIn(figures)).toEqual([]);
  expect(figures.windows.storm).toBeGreaterThan(1);
  expect(figures.acceptedSlots).toBeGreaterThan(50);
}, 900_000);
