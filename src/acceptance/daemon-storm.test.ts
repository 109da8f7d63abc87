import { expect, test } from "bun:test";
import { Storm } from "./storm.fixture.ts";

test("A-9 a daemon killed again and again under callers at every door loses nothing it acknowledged and does nothing twice", async () => {
  await using storm = new Storm({
    ...{ seed: 20_261_121, kills: 8, lifeMs: [150, 2_000] },
    training: {
      ...{ size: "nano", steps: 400, seed: 7, threads: 1, checkpointEvery: 25 },
    },
  });
  const figures = await storm.run();
  expect(Math.max(...figures.recoveriesMs)).toBeLessThan(15_000);
  expect(figures.executions).toBeGreaterThan(10);
  expect(figures.uses).toBeGreaterThan(10);
}, 240_000);
