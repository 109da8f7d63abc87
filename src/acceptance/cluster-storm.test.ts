import { expect, test } from "bun:test";
import { networkNote } from "./cluster-network.fixture.ts";
import { ClusterStorm } from "./cluster-storm.fixture.ts";

test(`C-3 C-5 five nodes, killed, parted, paused, one without room, lose nothing they acknowledged and do nothing twice${networkNote()}`, async () => {
  await using storm = new ClusterStorm({
    ...{ seed: 20_261_121, machineCount: 5, durationMs: 24_000 },
    ...{ writesPerSecond: 25, readsPerSecond: 5, killEveryMs: 2_000, faultEveryMs: 8_000 },
  });
  const figures = await storm.run();
  expect(figures.kills).toBeGreaterThan(6);
  expect(figures.acknowledged).toBeGreaterThan(100);
  expect(figures.reads).toBeGreaterThan(20);
}, 240_000);
