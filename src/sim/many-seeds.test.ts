import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probeNames } from "./probes.ts";
import type { Simulations } from "./simulations.ts";
import { faultKinds } from "./weather.ts";

type Result = ReturnType<Simulations["result"]>;

/** On an automated run of all tests as many as the promise says; at a desk a part of them. */
const seedCount = process.env["CI"] ? 2000 : 200;
const processCount = 2;
const limitMs = 480_000;

/** Plays a stretch of seeds in a process of its own, by the command that everyone has. */
async function play(first: number, seeds: number, home: string): Promise<Result> {
  const main = join(import.meta.dir, "../node/main.ts");
  const child = Bun.spawn(
    [process.execPath, main, "sim", "--seed", `${first}`, "--seeds", `${seeds}`, "--json"],
    { stdout: "pipe", stderr: "inherit", env: { ...process.env, PSIONIC_HOME: home } },
  );
  const lines = (await new Response(child.stdout).text()).trim().split("\n");
  return JSON.parse(lines.at(-1)!) as Result;
}

test(
  `C-10 ${seedCount} seeds pass, and every fault and every situation is among them`,
  async () => {
    const home = mkdtempSync(join(tmpdir(), "psionic-seeds-"));
    try {
      const share = seedCount / processCount;
      const results = await Promise.all(
        Array.from({ length: processCount }, (_, place) => play(1 + place * share, share, home)),
      );
      const sum = (counts: (result: Result) => number) =>
        results.reduce((total, result) => total + counts(result), 0);
      const faults = faultKinds.map((kind) => [kind, sum((each) => each.faultsFired[kind])]);
      const probes = probeNames.map((name) => [name, sum((each) => each.probes[name])]);
      console.log(JSON.stringify(Object.fromEntries([...faults, ...probes])));
      expect(results.map(({ type, failed }) => [type, failed])).toEqual(
        results.map(() => ["result", []]),
      );
      expect(sum(({ passed }) => passed)).toBe(seedCount);
      expect([...faults, ...probes].filter(([, times]) => times === 0)).toEqual([]);
    } finally {
      rmSync(home, { recursive: true });
    }
  },
  limitMs,
);
