import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { kill, minutes } from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";
import { askSocket } from "./storm-doors.fixture.ts";
import { acceptedSlices, countApart, type RunEntry } from "./window-tally.fixture.ts";
import { begin, completed, eventually, Trainer, trainers, workersOf } from "./windows.fixture.ts";

/** Daemons of the compiled program that are restarted, join, leave and hang in the middle of a run. */

interface Sight {
  readonly phase: string;
  readonly revision: number;
  readonly windowCount: number;
  readonly acceptedSlots: number;
  readonly window: { readonly number: number; readonly contributionCount: number } | null;
  readonly participants: readonly { readonly node: string; readonly standing: string }[];
}

/** How the run stands on a home, asked without starting a program; null where nobody answers. */
async function look(home: Trainer, run: string): Promise<Sight | null> {
  const answer = await askSocket(home.path, "run/status", { run }, AbortSignal.timeout(10_000));
  return answer.kind === "result" ? (answer.result as { mesh: Sight | null }).mesh : null;
}

const entriesOf = async (home: Trainer, run: string) =>
  (await home.records(run)) as unknown as readonly RunEntry[];
const nodeOf = async (home: Trainer) => (await home.status()).node.node;
/** Nobody is given up, however long the machine takes to start it again. */
const patient = ["--silence-patience", "10m", "--train-patience", "20m", "--judge-patience", "20m"];

describe("W-7 all daemons are restarted between and in the middle of windows", () => {
  const members = [new Trainer("one"), new Trainer("two"), new Trainer("three")] as const;
  const [one] = members;
  beforeAll(() => trainers(...members), 3 * minutes);
  afterAll(async () => {
    for (const member of members) await member[Symbol.asyncDispose]();
  }, minutes);

  /** Ten windows of the built-in task, everybody in all of them. */
  const words = [
    ...["--size", "nano", "--steps", "40", "--batch", "96", "--node-batch", "32", "--seed", "7"],
    ...["--window-steps", "4", "--segment-steps", "2", "--pace", "even", ...patient],
  ];

  /** All of them at once: killed, or ended in order where they are even. */
  async function restart(round: number): Promise<void> {
    await Promise.all(
      members.map((member, place) =>
        (round + place) % 2 === 0 ? kill(member) : member.run("down", "--drain", "2s"),
      ),
    );
    const outcomes = await Promise.all(
      members.map((each) => each.run("up", "--detach", "--port", "0")),
    );
    for (const { status, stderr } of outcomes) if (status !== 0) throw new Error(stderr);
  }

  test(
    "the run ends, with one revision on all and every slot once",
    async () => {
      const run = await begin(one, ...words, "--name", "restarted");
      for (let round = 1; round < 10; round++) {
        // In the middle of a window where the round is odd: somebody has given, or has it before him.
        await eventually(`revision ${round}`, async () => {
          const sight = await look(one, run);
          if (sight === null || sight.revision < round) return false;
          return round % 2 === 0 || sight.revision > round || sight.window !== null;
        });
        await restart(round);
      }
      // One digest on all. That it is the undisturbed one is asked of fewer kills in windows.test.ts: after ten rounds of
      // them a node was seen to begin a window from zeros, which is allowed and gives other bits.
      expect(await completed(run, ...members)).toMatch(/^[0-9a-f]{64}$/);
      const entries = await entriesOf(one, run);
      expect(countApart(acceptedSlices(entries))).toBe(120);
    },
    15 * minutes,
  );
});

describe("W-7 nodes come, hang and go in the middle of a run of a text", () => {
  const members = [new Trainer("one"), new Trainer("two")] as const;
  const [one, two] = members;
  const three = new Trainer("three");
  beforeAll(async () => {
    three.prepare();
    await trainers(...members);
  }, 3 * minutes);
  afterAll(async () => {
    for (const member of [...members, three]) await member[Symbol.asyncDispose]();
  }, minutes);

  const words = [
    ...["--size", "nano", "--context", "32", "--steps", "400", "--batch", "64"],
    ...["--node-batch", "32", "--seed", "7", "--window-steps", "32", "--segment-steps", "4"],
    ...["--pace", "even"],
  ];

  test(
    "a newcomer works from the second window on at the latest, a hung worker process is replaced, who leaves is not waited for",
    async () => {
      const text = one.folder.file("tale.txt");
      const lines = Array.from({ length: 6_000 }, (_, at) => `${at} sheep jump over a fence\n`);
      writeFileSync(text, lines.join(""));
      const run = await begin(one, text, ...words, "--name", "tale");
      const windowOf = async () => (await look(one, run))?.windowCount ?? 0;
      await eventually("the second window", async () => (await windowOf()) >= 2);

      const { line } = await one.call<{ line: string }>("token", "create");
      const joined = await three.run(
        ...line.split(" ").slice(1),
        ...["--detach", "--port", "0", "--peer-port", "0"],
      );
      expect(joined.status).toBe(0);
      const newcomer = await nodeOf(three);
      const joinedIn = await eventually("it is ready", async () => {
        const nodes = await one.nodes();
        const isReady = nodes.some((row) => row.node === newcomer && row.standing === "ready");
        return isReady ? windowOf() : null;
      });
      const given = (entry: RunEntry, node: string) =>
        entry.command.statement?.node === node &&
        entry.command.statement.said.saying === "contribution";
      await eventually("it has contributed", async () =>
        (await entriesOf(one, run)).some((entry) => given(entry, newcomer)),
      );
      const entries = await entriesOf(one, run);
      const first = entries.find((entry) => given(entry, newcomer))!;
      expect(Number(first.command.statement!.said["window"])).toBeLessThanOrEqual(joinedIn + 2);
      // What it said to have fetched is what was promoted.
      const ready = entries.find(
        ({ command }) =>
          command.statement?.node === newcomer && command.statement.said.saying === "ready",
      )!;
      const promoted = entries.find(
        (entry) =>
          entry.index < ready.index &&
          entry.command.statement?.said.saying === "revision" &&
          entry.command.statement.said["revision"] === ready.command.statement!.said["revision"],
      );
      expect(promoted?.command.statement!.said["digest"]).toBe(
        ready.command.statement!.said["digest"],
      );

      const hung = await until("a worker process", () => workersOf(two)[0] ?? null);
      process.kill(hung, "SIGSTOP");
      const hungIn = await windowOf();
      const second = await nodeOf(two);
      await eventually("it works in another process", async () => {
        const since = (await entriesOf(one, run)).filter((entry) => given(entry, second));
        const latest = Number(since.at(-1)?.command.statement!.said["window"] ?? 0);
        return latest > hungIn && workersOf(two).some((pid) => pid !== hung);
      });
      expect(workersOf(two)).not.toContain(hung);

      expect((await three.run("cluster", "leave")).status).toBe(0);
      await completed(run, one, two);
      const all = await entriesOf(one, run);
      expect(countApart(acceptedSlices(all))).toBe(800);
      // Who left took its state along, which nobody takes for a lie.
      const reasons = all
        .flatMap(({ decided }) => decided.scores ?? [])
        .flatMap((each) => each.reasons);
      const owed = ["state_unavailable", "delta_unavailable", "not_judged"];
      expect(reasons.filter((reason) => !owed.includes(reason))).toEqual([]);
      const sight = await look(one, run);
      expect(sight?.participants.find(({ node }) => node === newcomer)?.standing).toBe("gone");
    },
    20 * minutes,
  );
});
