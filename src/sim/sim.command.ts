import * as v from "valibot";
import type { CommandContext } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { plantedFlaws } from "./planted.ts";

const count = (minimum: number, maximum: number, description: string) =>
  v.pipe(
    v.number(),
    v.integer(),
    v.minValue(minimum),
    v.maxValue(maximum),
    v.description(description),
  );

const parameters = v.strictObject({
  seed: v.optional(count(0, 2 ** 52, "the first seed"), 1),
  seeds: v.optional(count(1, 10_000_000, "how many seeds, one after the other"), 1),
  ticks: v.optional(count(1, 1_000_000, "ticks with faults in each, of 100 simulated ms"), 600),
  nodes: v.optional(count(3, 7, "nodes in each; drawn from the seed by default")),
  flaw: v.optional(
    v.pipe(v.picklist(plantedFlaws), v.description("a mistake to plant, which should be found")),
  ),
});
type Parameters = v.InferOutput<typeof parameters>;

const failedSchema = v.strictObject({ seed: v.number(), reason: v.string(), rerun: v.string() });
const counts = v.record(v.string(), v.number());
const resultSchema = v.strictObject({
  type: v.literal("result"),
  seeds: v.number(),
  passed: v.number(),
  failed: v.array(failedSchema),
  commits: v.number(),
  faultsFired: counts,
  probes: counts,
  hash: v.string(),
});

/** How long a stretch of work may keep the process from anything else. */
const stretchMs = 50;
const progressEveryMs = 500;

defineCommand({
  name: "sim",
  summary: "Play clusters on a simulated network, clock and disk, with faults drawn from a seed.",
  access: "trusted",
  flow: "proof",
  parameters,
  result: resultSchema,
  computes: true,
  examples: ["psionic sim --seeds 20 --ticks 200", "psionic sim --seed 7 --flaw vote-twice --json"],
  async run(request, context) {
    const result = await playAll(request, context);
    const [first] = result.failed;
    // With a flaw planted a failure is what was asked for.
    if (first === undefined || request.flaw !== undefined) return result;
    throw new Refusal(
      "simulation_failed",
      `${result.seeds - result.passed} of ${result.seeds} seeds failed; seed ${first.seed}: ${first.reason}`,
      `\`${first.rerun}\` shows it again.`,
      { ...result },
    );
  },
  view: (screen) => ({
    event(event) {
      if (event.type === "failure")
        screen.note(`seed ${String(event["seed"])}: ${String(event["reason"])}`);
      if (event.type === "failure") screen.note(`  ${String(event["rerun"])}`);
      if (event.type === "progress") {
        const rate = Number(event["seedsPerSecond"]).toFixed(1);
        const done = `${String(event["done"])} of ${String(event["seeds"])} seeds`;
        screen.draw([`${done}, ${rate} per second, ${String(event["failed"])} failed`]);
      }
    },
    result({ seeds, passed, commits, faultsFired, probes, hash }) {
      screen.draw([]);
      const list = (names: Record<string, number>) =>
        Object.entries(names)
          .map(([name, times]) => `  ${name.padEnd(26)}${times}`)
          .join("\n");
      screen.print(`${passed} of ${seeds} seeds passed, ${commits} entries committed`);
      screen.print(`faults\n${list(faultsFired)}\nsituations\n${list(probes)}`);
      screen.print(`hash ${hash}`);
    },
  }),
});

async function playAll(
  { seed: first, seeds, ticks, nodes, flaw }: Parameters,
  { services, signal, emit }: CommandContext,
) {
  const { simulate } = await import("./simulation.ts");
  const { Simulations } = await import("./simulations.ts");
  const options = [
    `--ticks ${ticks}`,
    ...(nodes === undefined ? [] : [`--nodes ${nodes}`]),
    ...(flaw === undefined ? [] : [`--flaw ${flaw}`]),
  ].join(" ");
  const all = new Simulations((seed) => `psionic sim --seed ${seed} ${options}`);
  const startMs = services.clock.monotonicMs();
  let [stretchStartMs, saidMs, failedCount] = [startMs, startMs, 0];
  for (let seed = first; seed < first + seeds; seed++) {
    const failure = all.add(
      simulate({ seed, ticks, nodeCount: nodes ?? null, flaw: flaw ?? null }),
    );
    if (failure !== null) {
      failedCount++;
      emit({ type: "failure", ...failure });
    }
    const nowMs = services.clock.monotonicMs();
    if (nowMs - saidMs >= progressEveryMs) {
      saidMs = nowMs;
      const seedsPerSecond = (all.count * 1000) / (nowMs - startMs);
      emit({ type: "progress", done: all.count, seeds, failed: failedCount, seedsPerSecond });
    }
    if (nowMs - stretchStartMs < stretchMs) continue;
    await services.clock.sleep(0);
    signal.throwIfAborted();
    stretchStartMs = services.clock.monotonicMs();
  }
  return all.result();
}
