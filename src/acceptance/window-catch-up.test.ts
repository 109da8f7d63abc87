import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { kill, minutes } from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";
import {
  firstReady,
  firstWork,
  Impostor,
  joinWords,
  Newcomer,
  promotedDigest,
} from "./window-catch-up.fixture.ts";
import { begin, completed, eventually, promotions, Trainer } from "./windows.fixture.ts";

/** A node that comes late, to holders of which one lies and one vanishes. */

const [founder, liar, vanisher] = [new Trainer("one"), new Newcomer("two"), new Newcomer("three")];
const newcomer = new Newcomer("late");
const all = [founder, liar, vanisher, newcomer] as const;

/** A revision of some chunks, trained in no time; everybody is waited for, however long it takes. */
const words = [
  ...["--width", "256", "--layers", "6", "--heads", "4", "--context", "16", "--tokenizer", "char"],
  ...["--batch", "3", "--node-batch", "1", "--steps", "6", "--seed", "3", "--hold-out", "50"],
  ...["--window-steps", "1", "--pace", "even", "--quorum", "3", "--validators", "0"],
  ...["--train-patience", "10m", "--merge-patience", "10m", "--silence-patience", "10m"],
];

beforeAll(async () => {
  for (const member of all) member.prepare();
  await founder.open();
  // The founder decides alone, so that the others may be away.
  for (const other of [liar, vanisher])
    await other.enter([...(await joinWords(founder)), "--roles", "trainer,validator", "--detach"]);
  await founder.call("cluster", "configure", "--lease", "20m");
  await until("all see each other", () => founder.sees(3));
}, 3 * minutes);
afterAll(async () => {
  for (const member of all) await member[Symbol.asyncDispose]();
}, minutes);

async function portOf(home: Trainer): Promise<number> {
  const { members } = await home.call<{
    members: readonly { isSelf: boolean; places: readonly string[] }[];
  }>("cluster", "residency");
  return Number(
    members
      .find(({ isSelf }) => isSelf)!
      .places[0]!.split(":")
      .at(-1),
  );
}

test(
  "W-7 a newcomer pulls the revision from all who hold it, believes none of them, and works in the next window but one at the latest",
  async () => {
    const text = founder.folder.file("road.txt");
    writeFileSync(text, "the sea and the long road home. ".repeat(40));
    const run = await begin(founder, text, ...words, "--name", "late");
    await eventually("a revision", async () => promotions(await founder.records(run)) >= 1);
    const ports = [await portOf(liar), await portOf(vanisher)] as const;
    await kill(liar);
    await kill(vanisher);
    const sinceMs = Date.now();
    {
      using lying = await Impostor.take(liar, ports[0], (chunk) => {
        chunk[chunk.length >> 1]! ^= 1;
        return new Response(chunk);
      });
      using vanishing = await Impostor.take(vanisher, ports[1], (chunk, vanish) => {
        const half = async function* () {
          yield chunk.subarray(0, chunk.length >> 1);
          await Bun.sleep(20);
          vanish();
        };
        return new Response(half, { headers: { "content-length": String(chunk.length) } });
      });
      await newcomer.enter([
        ...(await joinWords(founder)),
        ...["--roles", "trainer,validator", "--detach"],
      ]);
      await eventually("it has the revision", () => newcomer.pulls("revision").length > 0);
      expect(lying.asked).toBeGreaterThan(0);
      expect(vanishing.asked).toBeGreaterThan(0);
    }
    const [pull] = newcomer.pulls("revision");
    const parts = new Map(pull!.from.map(({ holder, ...part }) => [holder, part]));
    const nodeOf = async (home: Trainer) => (await home.status()).node.node;
    expect(pull!.bytes).toBeGreaterThan(16e6);
    expect(parts.get(await nodeOf(founder))).toEqual({ bytes: pull!.bytes, dropped: null });
    const given = pull!.from.map(({ bytes, dropped }) => [bytes, dropped]);
    expect(given).toContainEqual([0, "holder_lied"]);
    expect(given).toHaveLength(3);

    for (const back of [liar, vanisher]) await back.run("up", "--detach", "--port", "0");
    const node = await nodeOf(newcomer);
    const first = await firstWork(run, { node, sinceMs }, founder);
    expect(first.window).toBeLessThanOrEqual(first.windowsBefore + 2);
    await completed(run, ...all);
    const records = await founder.records(run);
    const ready = firstReady(records, node)!;
    expect(ready.digest).toBe(promotedDigest(records, ready.revision) ?? "");
  },
  8 * minutes,
);
