import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { maySkipArm, whyNoArm } from "./binary.ts";
import { minutes } from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";
import { EmulatedTrainer } from "./emulated-home.fixture.ts";
import { begin, completed, promotions, type RunRecord, Trainer } from "./windows.fixture.ts";

/** One run of nodes that compute in different ways, none of them above the others. */

const flags = process.platform === "linux" ? readFileSync("/proc/cpuinfo", "utf8") : "";
/** This machine's two best lanes; the third node has another machine's. */
const native =
  process.arch === "arm64"
    ? (["neon", "baseline"] as const)
    : / avx512f /.test(flags)
      ? (["avx512", "avx2"] as const)
      : (["avx2", "baseline"] as const);

class LaneTrainer extends Trainer {
  constructor(readonly lane: string) {
    super(lane);
  }

  override prepare(): void {
    super.prepare();
    writeFileSync(
      join(this.path, "psionic.toml"),
      `[train]\nthreads = 1\nisa = ${JSON.stringify(this.lane)}\n`,
    );
  }
}

const members = [new LaneTrainer(native[0]), new LaneTrainer(native[1])] as const;
const [founder, second] = members;
const foreign = new EmulatedTrainer("arm64");
const all = [founder, second, foreign] as const;

/** As little as there is: emulated, a step takes a hundred times as long. */
const model = [
  ...["--width", "16", "--layers", "1", "--heads", "2", "--context", "16", "--tokenizer", "char"],
  ...["--batch", "6", "--node-batch", "2", "--steps", "4", "--seed", "5", "--hold-out", "50"],
];
/** Two windows; everybody judges everybody, and computes a segment of theirs again. */
const words = [
  ...["--window-steps", "2", "--segment-steps", "1", "--pace", "even", "--codec", "dense"],
  ...["--validators", "2", "--replay", "1", "--quorum", "3"],
  ...["--train-patience", "5m", "--judge-patience", "5m", "--merge-patience", "5m"],
  ...["--silence-patience", "2m"],
];

type Said = Readonly<Record<string, unknown>> & { readonly author: string };
const sayings = (records: readonly RunRecord[], saying: string): readonly Said[] =>
  records.flatMap(({ author, command }) => {
    const said = command.statement?.said;
    return said?.["saying"] === saying ? [{ ...said, author }] : [];
  });

describe.skipIf(maySkipArm())(
  `W-13 lanes as equals (${whyNoArm() ?? (process.arch === "arm64" ? "native" : "NEON emulated")})`,
  () => {
    beforeAll(async () => {
      for (const member of all) member.prepare();
      await founder.open();
      const line = async () =>
        (await founder.call<{ line: string }>("token", "create")).line.split(" ").slice(1);
      const [first, other] = [await line(), await line()];
      const entering = foreign.enter(first);
      const free = ["--detach", "--port", "0", "--peer-port", "0"];
      const joined = await second.run(...other, ...free);
      if (joined.status !== 0) throw new Error(joined.stderr);
      await entering;
      await until("all see each other", () => founder.sees(all.length));
    }, 5 * minutes);

    afterAll(async () => {
      for (const member of all) await member[Symbol.asyncDispose]();
    }, minutes);

    test(
      `W-13 ${native.join(", ")} and an arm64 node's NEON train one model, each proves the others' steps to the bit`,
      async () => {
        const text = foreign.folder.file("road.txt");
        writeFileSync(text, "the sea and the long road home. ".repeat(40));
        const run = await begin(founder, text, ...model, ...words, "--name", "lanes");
        await completed(run, ...all);
        const records = await founder.records(run);
        expect(promotions(records)).toBe(2);

        const lanes = new Map(
          sayings(records, "ready").map(({ author, ...said }) => [author, String(said["lane"])]),
        );
        expect([...lanes.values()].toSorted()).toEqual([...native, "neon"].toSorted());
        const nodes = [...lanes.keys()].toSorted();
        const opened = records.filter(({ command }) => command.kind === "window-opened");
        for (const [place, { decided }] of opened.entries()) {
          const tasks = decided["tasks"] as readonly { readonly worker: string }[];
          expect(tasks.map(({ worker }) => worker).toSorted()).toEqual(nodes);
          const inWindow = (saying: string) =>
            sayings(records, saying).filter((said) => said["window"] === place + 1);
          const contributions = inWindow("contribution");
          expect(contributions.map(({ author }) => author).toSorted()).toEqual(nodes);
          const judged = inWindow("verdict").map((verdict) => {
            expect(verdict).toMatchObject({ verdict: "accepted", reasons: [] });
            expect(verdict["recomputed"]).toMatch(/^[0-9a-f]{64}$/);
            expect(verdict["recomputed"]).toBe(verdict["committed"]);
            return `${lanes.get(verdict.author)} judges ${lanes.get(String(verdict["worker"]))}`;
          });
          const pairs = nodes.flatMap((judge) =>
            nodes
              .filter((worker) => worker !== judge)
              .map((worker) => `${lanes.get(judge)} judges ${lanes.get(worker)}`),
          );
          expect(judged.toSorted()).toEqual(pairs.toSorted());
          const revisions = inWindow("revision");
          expect(revisions.map(({ author }) => author).toSorted()).toEqual(nodes);
          expect(new Set(revisions.map((said) => said["digest"])).size).toBe(1);
        }
        const chains = (each: readonly RunRecord[]) => each.map(({ chain }) => chain);
        expect(chains(await foreign.records(run))).toEqual(chains(records));
      },
      8 * minutes,
    );
  },
);
