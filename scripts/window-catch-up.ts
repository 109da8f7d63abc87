/**
 * How a node catches up that comes to a run whose revision is large: three nodes on the loopback device train it, a
 * fourth joins in the middle, takes the revision from all three at once, proves its digest and contributes.
 *
 *     bun scripts/window-catch-up.ts
 *     bun scripts/window-catch-up.ts --still
 *     bun scripts/window-catch-up.ts --width 512 --layers 4 --window-steps 4
 *
 * The model is as large as `--width` and `--layers` make it, and its revision has a momentum: by default about 500 MB.
 * Windows have to be longer than the pull, so that who comes does not run after the run: `--window-steps`. What
 * stands after `--` is given to `psionic run start` as it is. Figures with their command go to docs/LOG.md.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { childrenOf, until } from "../src/acceptance/daemon.fixture.ts";
import {
  firstReady,
  firstWork,
  joinWords,
  Newcomer,
  promotedDigest,
} from "../src/acceptance/window-catch-up.fixture.ts";
import { begin, eventually, promotions } from "../src/acceptance/windows.fixture.ts";
import { machineFigures } from "./artifact-figures.ts";

const { values: words, positionals: runWords } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: "string", default: "1024" },
    layers: { type: "string", default: "5" },
    context: { type: "string", default: "16" },
    "window-steps": { type: "string", default: "4" },
    /** Windows to be ended before the fourth comes. */
    after: { type: "string", default: "2" },
    /** The holders' native work stands still meanwhile, so that the pull has the machine to itself. */
    still: { type: "boolean", default: false },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
const rate = (bytes: number, ms: number) => `${Math.round(bytes / ms / 1e3)} MB/s`;

/** To the processes that train, of the three. */
function signalWorkers(signal: "SIGSTOP" | "SIGCONT"): void {
  for (const home of holders)
    for (const pid of childrenOf(home.file.pid))
      if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("__worker"))
        process.kill(pid, signal);
}

const holders = [new Newcomer("one"), new Newcomer("two"), new Newcomer("three")] as const;
const [founder] = holders;
const late = new Newcomer("late");
try {
  for (const home of [...holders, late]) home.prepare();
  await founder.open();
  for (const home of holders.slice(1))
    await home.enter([...(await joinWords(founder)), "--detach"]);
  await until("all see each other", () => founder.sees(holders.length));
  const text = founder.folder.file("text.txt");
  writeFileSync(text, "the sea and the long road home. ".repeat(2_000));
  const run = await begin(
    ...([founder, text, "--name", "large", "--tokenizer", "char"] as const),
    ...["--width", words.width, "--layers", words.layers, "--context", words.context],
    ...["--batch", "3", "--node-batch", "1", "--steps", "4000", "--outer-momentum", "0.9"],
    ...["--window-steps", words["window-steps"], "--segment-steps", words["window-steps"]],
    ...["--replay", "0", "--pace", "even", "--train-patience", "10m", "--merge-patience", "10m"],
    ...["--silence-patience", "1m", ...runWords],
  );
  await eventually("it is under way", async () => {
    return promotions(await founder.records(run)) >= Number(words.after);
  });
  const sinceMs = Date.now();
  if (words.still) signalWorkers("SIGSTOP");
  await late.enter([...(await joinWords(founder)), "--detach"]);
  const { node } = (await late.status()).node;
  await eventually("it has a revision", () => late.pulls("revision").length > 0);
  if (words.still) signalWorkers("SIGCONT");
  const first = await firstWork(run, { node, sinceMs }, founder);
  for (const { number, bytes, ms, from } of late.pulls("revision")) {
    say(`revision ${number}: ${bytes} bytes in ${(ms / 1000).toFixed(2)} s, ${rate(bytes, ms)}`);
    for (const each of from)
      say(`  ${each.holder} gave ${each.bytes} bytes${each.dropped ? ` (${each.dropped})` : ""}`);
  }
  say(
    `first contribution in window ${first.window}, ${first.windowsBefore} were opened before; ${first.seconds.toFixed(1)} s after it began to join`,
  );
  const records = await founder.records(run);
  const ready = firstReady(records, node)!;
  const isProven = ready.digest === promotedDigest(records, ready.revision);
  say(`the digest of revision ${ready.revision} is ${isProven ? "" : "NOT "}the promoted one`);
  const revision = join(late.path, "runs", run, "checkpoints");
  const sample = [...new Bun.Glob("**/model.safetensors").scanSync(revision)][0];
  if (sample !== undefined) {
    const path = join(revision, sample);
    const { hashRate, copyRate } = await machineFigures(path);
    say(
      `beside it, of ${statSync(path).size} bytes: SHA-256 ${Math.round(hashRate / 1e6)} MB/s, copy with fsync ${Math.round(copyRate / 1e6)} MB/s`,
    );
  }
  await founder.run("run", "stop", "large");
  if (!isProven || first.window > first.windowsBefore + 2) process.exitCode = 1;
} finally {
  for (const home of [late, ...holders]) await home[Symbol.asyncDispose]();
}
