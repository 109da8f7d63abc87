import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { RunStore, type TimedStep } from "#src/train/run-store.ts";
import { tinyManifest } from "#src/train/train.fixture.ts";
import { nodeFamilies } from "./daemon-metrics.ts";
import { noInteraction } from "./no-interaction.ts";
import { compose } from "./services.ts";

const root = mkdtempSync(join(tmpdir(), "psionic-metrics-"));
const { services, close } = compose({ home: root, interaction: noInteraction });
const active: { run: string; name: string }[] = [];
const observed = Object.create(services, {
  trainings: { value: { active: () => active } },
}) as Services;

const step = (number: number, loss: number): TimedStep => ({
  ...{ step: number, loss, gradientNorm: 1, parameterNorm: 3, updateNorm: 0.1 },
  ...{ learningRate: 0.01, tokens: 40, lossBits: "40200000", gradientNormBits: "3f800000" },
  tokensPerSecond: 100,
});

beforeAll(() => {
  const runs = new RunStore(services.store);
  const nowMs = Math.floor(services.clock.wallMs());
  const manifest = tinyManifest();
  for (const id of ["done", "live", "lost"]) runs.add({ id, name: id, createdMs: nowMs, manifest });
  runs.recordSteps("done", [step(1, 3), step(2, 2)], nowMs);
  runs.recordSteps("live", [step(1, 3), step(2, 2.5), step(3, 2.25)], nowMs);
  runs.setState("done", "completed", nowMs);
  runs.setState("live", "running", nowMs);
  runs.setState("lost", "running", nowMs - 3_600_000);
  runs.recordEvent("live", "started", { peakFlops: 1e9 }, nowMs);
  active.push({ run: "live", name: "live" });
});
afterAll(() => {
  close();
  rmSync(root, { recursive: true, force: true });
});

/** A family's values by their labels. */
function valuesOf(name: string): Record<string, number> {
  const found = nodeFamilies(observed, { epoch: 7, startedMs: 5_000 }).find(
    (family) => family.name === name,
  )!;
  return Object.fromEntries(
    found.samples.map(({ labels, value }) => [Object.values(labels).join(), value]),
  );
}

test("A-10 runs are counted by the state they are in now, a silent one as interrupted", () => {
  expect(valuesOf("psionic_runs")).toEqual({
    ...{ planned: 0, running: 1, paused: 0, completed: 1, failed: 0, interrupted: 1 },
  });
});

test("A-10 steps and tokens add up over all runs, also over those of other processes", () => {
  expect(valuesOf("psionic_steps_total")).toEqual({ "": 5 });
  expect(valuesOf("psionic_tokens_total")).toEqual({ "": 200 });
});

test("A-10 only what trains now has figures of its own", () => {
  expect(valuesOf("psionic_training_loss")).toEqual({ live: 2.25 });
  expect(valuesOf("psionic_training_tokens_per_second")).toEqual({ live: 100 });
  const ratio = valuesOf("psionic_training_peak_ratio")["live"] ?? 0;
  expect(ratio).toBeGreaterThan(0);
  expect(ratio).toBeLessThan(1);
  const ended = active.splice(0);
  expect(valuesOf("psionic_training_loss")).toEqual({});
  active.push(...ended);
});

test("A-10 receipts and uses of grants are counted by what is recorded", async () => {
  await services.identity.openOrCreate();
  const log = await services.receipts.open();
  log.append("grant.used", "g1", {});
  log.append("run.created", "r1", {});
  expect(valuesOf("psionic_receipts_total")).toEqual({ "": 2 });
  expect(valuesOf("psionic_grant_uses_total")).toEqual({ "": 1 });
  expect(valuesOf("psionic_node_epoch")).toEqual({ "": 7 });
  expect(valuesOf("psionic_node_start_time_seconds")).toEqual({ "": 5 });
});
