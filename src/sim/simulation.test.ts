import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkerNames, Failure, ensure } from "./failure.ts";
import { plantedFlaws } from "./planted.ts";
import { probeNames } from "./probes.ts";
import { runProbeNames } from "./run-probe-names.ts";
import { runFlaws } from "./run-flaw.ts";
import { hasRuns } from "./run-shared.ts";
import { simulate } from "./simulation.ts";
import { Simulations } from "./simulations.ts";
import { faultKinds } from "./weather.ts";

const fixtures = join(import.meta.dir, "../../fixtures/sim");
const plain = { ticks: 600, nodeCount: null, flaw: null };

describe("C-10 simulation", () => {
  test("C-10 a hundred seeds pass, with every fault fired and every situation reached", () => {
    const all = new Simulations((seed) => `psionic sim --seed ${seed}`);
    for (let seed = 1; seed <= 100; seed++) all.add(simulate({ ...plain, seed }));
    const { failed, faultsFired, probes, commits } = all.result();
    expect(failed).toEqual([]);
    expect(commits).toBeGreaterThan(5_000);
    expect(faultKinds.filter((kind) => faultsFired[kind] === 0)).toEqual([]);
    // Three of ten seeds have runs: many-seeds.test.ts sees to what is rare among them.
    const rare: readonly string[] = runProbeNames;
    const unreached = probeNames.filter((name) => probes[name] === 0);
    expect(unreached.filter((name) => !rare.includes(name))).toEqual([]);
    expect(probes["run-completed"]).toBeGreaterThan(20);
    expect(unreached.length).toBeLessThan(5);
  }, 120_000);

  test("C-10 seeds that once failed, or reach what few reach, pass", () => {
    const lines = readFileSync(join(fixtures, "seeds.txt"), "utf8").split("\n");
    const seeds = lines.filter((line) => /^\d/.test(line)).map((line) => line.split(" "));
    expect(seeds.length).toBeGreaterThan(5);
    for (const [seed, ticks] of seeds) {
      const result = simulate({ ...plain, seed: Number(seed), ticks: Number(ticks) });
      expect([seed, result.reason]).toEqual([seed, null]);
    }
  }, 60_000);

  test("C-10 a seed means the same every time and in every process", async () => {
    const options = { ...plain, seed: 11 };
    const first = simulate(options);
    simulate({ ...plain, seed: 12 });
    expect(simulate(options)).toEqual(first);
    expect(simulate({ ...plain, seed: 12 }).hash).not.toBe(first.hash);
    expect(simulate({ ...options, nodeCount: 3 }).hash).not.toBe(first.hash);
    const module = join(import.meta.dir, "simulation.ts");
    const script = `import { simulate } from ${JSON.stringify(module)};
      console.log(simulate(${JSON.stringify(options)}).hash);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    expect((await new Response(child.stdout).text()).trim()).toBe(first.hash);
  });

  test("C-10 every number of nodes from three to seven is played", () => {
    for (const nodeCount of [3, 4, 5, 6, 7]) {
      const { reason, commitCount } = simulate({ ...plain, seed: 3, ticks: 200, nodeCount });
      expect(reason).toBeNull();
      expect(commitCount).toBeGreaterThan(10);
    }
  });
});

/** Seeds from 1 on within which a planted mistake must be found. */
const seedBound = 150;
/** Those of runs are looked for only in seeds that have some: not a third. */
const runSeedBound = 300;
const findSeconds = 240;

describe("C-10 planted mistakes", () => {
  const found = new Set<string>();

  test.each([...plantedFlaws])(
    "C-10 %s is found",
    (flaw) => {
      let reason: string | null = null;
      let seed = 0;
      const isOfRuns = (runFlaws as readonly string[]).includes(flaw) || flaw === "draw-of-once";
      while (reason === null && seed < (isOfRuns ? runSeedBound : seedBound)) {
        seed++;
        if (isOfRuns && !hasRuns(seed)) continue;
        reason = simulate({ ...plain, seed, flaw }).reason;
      }
      expect(reason).not.toBeNull();
      found.add(reason!.split(":")[0]!);
      expect(simulate({ ...plain, seed }).reason).toBeNull();
    },
    findSeconds * 1000,
  );

  test("C-10 what is found names its checker, and different mistakes meet different checkers", () => {
    expect(
      [...found].filter((name) => !(checkerNames as readonly string[]).includes(name)),
    ).toEqual([]);
    expect(found.size).toBeGreaterThanOrEqual(8);
    expect(() => ensure(false, "liveness", () => "nothing came")).toThrow(Failure);
    expect(() => ensure(true, "liveness", () => "never asked")).not.toThrow();
  });

  test("C-10 only the simulator plants mistakes", () => {
    const source = join(import.meta.dir, "..");
    const files = [...new Bun.Glob("**/*.ts").scanSync(source)].filter(
      (path) => !/^(log|sim)\/|^cluster\/(node|lanes|coordinator)\.ts$/.test(path),
    );
    expect(files.length).toBeGreaterThan(50);
    const importing = files.filter((path) =>
      /(log\/(flaw|core)|node-flaw)\.ts"/.test(readFileSync(join(source, path), "utf8")),
    );
    expect(importing).toEqual([]);
    const naming = files.filter((path) =>
      /\bflaw\b\s*[:,]/.test(readFileSync(join(source, path), "utf8")),
    );
    expect(naming).toEqual([]);
  });
});
