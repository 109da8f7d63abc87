import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { free, kill, minutes } from "./cluster-home.fixture.ts";
import { lives, until } from "./daemon.fixture.ts";
import { runBinary } from "./binary.ts";
import {
  begin,
  completed,
  eventually,
  promotions,
  saidOf,
  Trainer,
  trainers,
  workersOf,
} from "./windows.fixture.ts";

/** Three daemons of the compiled program that train one model over the loopback. */

const members = [new Trainer("one"), new Trainer("two"), new Trainer("three")] as const;
const [one, two, three] = members;
beforeAll(() => trainers(...members), 3 * minutes);
afterAll(async () => {
  for (const member of members) await member[Symbol.asyncDispose]();
}, minutes);

/** Of the built-in task: windows of a second or so, everybody in all of them. */
const settings = [
  ...["--size", "nano", "--batch", "96", "--node-batch", "32", "--seed", "7"],
  ...["--window-steps", "6", "--segment-steps", "2", "--pace", "even"],
];
/** Nobody is given up, however long the machine takes to start it again. */
const patience = [
  "--silence-patience",
  "10m",
  "--train-patience",
  "20m",
  "--judge-patience",
  "20m",
];
const words = [...settings, "--steps", "24", ...patience];
let undisturbed = "";
/** At the port it had before: those that all move at once cannot find each other. */
const again = ["--detach", "--port", "0"];

describe("W-1 runs of a mesh", () => {
  test(
    "W-6 three nodes train one model and come to the same bits; every one of them samples it",
    async () => {
      const run = await begin(one, ...words, "--name", "quiet");
      undisturbed = await completed(run, ...members);
      const records = await one.records(run);
      expect(promotions(records)).toBe(4);
      const judged = saidOf(records).filter(({ saying }) => saying === "verdict");
      expect(judged.length).toBeGreaterThanOrEqual(12);
      expect(new Set(judged.map(({ verdict }) => verdict))).toEqual(new Set(["accepted"]));
      for (const member of members) {
        const sampled = await member.run("sample", "quiet", "--prompt", "1+1=", "--tokens", "4");
        expect(sampled.status).toBe(0);
      }
      // What one measured of the last revision stands on all of them, over all rows.
      for (const member of members)
        await eventually("the last loss is known", async () => {
          const { evaluations = [] } = await member.call<{
            evaluations?: { step: number; full: boolean }[];
          }>("run", "status", "quiet");
          return evaluations.some(({ step, full }) => step === 4 && full);
        });
      // All have recorded the same history.
      expect(await two.records(run)).toEqual(records);
      expect((await three.records(run)).at(-1)!.chain).toBe(records.at(-1)!.chain);
      const signed = await two.receipts("run.contributed");
      expect(signed).toHaveLength(4);
    },
    10 * minutes,
  );

  test(
    "W-7 a worker process that is killed, a daemon that is killed and all that are: the same bits in the end",
    async () => {
      const run = await begin(one, ...words, "--name", "stormy");
      await eventually("window 1", async () => promotions(await one.records(run)) >= 1);
      const [worker] = await until("a worker process", () => {
        const found = workersOf(three);
        return found.length > 0 ? found : null;
      });
      process.kill(worker!, "SIGKILL");
      await until("it is gone", () => !lives(worker!));
      await eventually("window 2", async () => promotions(await one.records(run)) >= 2);
      await kill(two);
      await two.run("up", ...again);
      await eventually("window 3", async () => promotions(await two.records(run)) >= 3);
      await Promise.all(members.map(kill));
      await Promise.all(members.map((member) => member.run("up", ...again)));
      expect(await completed(run, ...members)).toBe(undisturbed);
      const records = await one.records(run);
      const opened = records.filter(({ command }) => command.kind === "window-opened");
      expect(opened.every(({ decided }) => (decided["tasks"] as unknown[]).length === 3)).toBe(
        true,
      );
    },
    10 * minutes,
  );

  test(
    "W-7 who comes in the middle of a run works from the next window on, and has all of its history",
    async () => {
      await using four = new Trainer("four");
      four.prepare();
      const { line } = await one.call<{ line: string }>("token", "create");
      const run = await begin(one, ...settings, "--steps", "48", "--name", "grows");
      await eventually("window 1", async () => promotions(await one.records(run)) >= 1);
      const joined = await four.run(...line.split(" ").slice(1), ...free);
      expect(joined.status).toBe(0);
      await completed(run, ...members, four);
      const records = await one.records(run);
      const { node } = (await four.status()).node;
      const given = saidOf(records.filter(({ author }) => author === node));
      expect(given.some(({ saying }) => saying === "contribution")).toBe(true);
      await eventually(
        "it has what was before it",
        async () => (await four.records(run)).length === (await one.records(run)).length,
      );
      expect((await four.run("cluster", "leave")).status).toBe(0);
    },
    10 * minutes,
  );

  test(
    "W-8 a node that lies about its work is found out, is out of the run, and says so in its log",
    async () => {
      await kill(three);
      const environment = { PSIONIC_SABOTAGE: "commitments:lie-about-my-work" };
      await runBinary(["up", ...again], { home: three.path, environment });
      await until("all see each other", async () => one.sees(3));
      const run = await begin(one, ...words, "--replay", "1", "--name", "lied");
      // A machine that works for its mesh trains nothing else beside it.
      await eventually("window 1", async () => (await one.records(run)).length > 4);
      const busy = await two.run("run", "start", "--on", "here", "--json");
      expect(busy.stdout + busy.stderr).toContain("training_busy");
      await completed(run, one, two);
      const { node } = (await three.status()).node;
      const records = await one.records(run);
      const against = saidOf(records).filter(
        ({ saying, worker }) => saying === "verdict" && worker === node,
      );
      expect(against.length).toBeGreaterThan(0);
      expect(against.every(({ verdict }) => verdict === "rejected")).toBe(true);
      // The liar judges too, and honestly; nobody honest is rejected.
      const honest = saidOf(records).filter(
        ({ saying, worker }) => saying === "verdict" && worker !== node,
      );
      expect(new Set(honest.map(({ verdict }) => verdict))).toEqual(new Set(["accepted"]));
      expect(three.log()).toContain("THIS NODE LIES");
      expect(one.log()).not.toContain("THIS NODE LIES");
    },
    10 * minutes,
  );
});
