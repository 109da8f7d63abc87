/** Runs that train in the daemon of the compiled executable: started, watched, killed, gone on with. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Outcome, runBinary, startBinary, TemporaryFolder } from "./binary.ts";
import { doneOf, lastLine, slowModel, trainersOf, writeBook } from "./training.fixture.ts";

const folder = new TemporaryFolder();
let book: string;
beforeAll(() => (book = writeBook(folder)));
afterAll(async () => {
  for (const home of homes) await runBinary(["down", "--drain", "1s"], { home });
  folder[Symbol.dispose]();
});

const timeoutMs = 120_000;
const homes: string[] = [];
const common = [
  ...["--tokenizer", "char", "--evaluate-every", "25", "--seed", "5"],
  ...["--checkpoint-every", "10", "--threads", "1", ...slowModel],
];
/** Long enough that a test always meets it at work. */
const endless = ["--steps", "1000000", ...common];

interface Up {
  readonly home: string;
  readonly pid: number;
  readonly url: string;
  readonly token: string;
}

async function up(name: string): Promise<Up> {
  const home = folder.file(name);
  if (!homes.includes(home)) homes.push(home);
  const outcome = await runBinary(["up", "--detach", "--port", "0", "--json"], { home });
  expect({ status: outcome.status, stderr: outcome.stderr }).toMatchObject({ status: 0 });
  const { pid, url, page } = lastLine(outcome.stdout);
  const token = new URL(String(page)).hash.replace("#token=", "");
  return { home, pid: Number(pid), url: String(url), token };
}

const ask = async ({ home }: Pick<Up, "home">, ...words: string[]) =>
  runBinary([...words, "--json", "--no-input"], { home });

async function answer(of: Pick<Up, "home">, ...words: string[]) {
  const outcome = await ask(of, ...words);
  expect({ words, status: outcome.status, stderr: outcome.stderr }).toMatchObject({ status: 0 });
  return lastLine(outcome.stdout);
}

const refusalOf = ({ status, stdout }: Outcome) => ({ status, code: lastLine(stdout)["code"] });

/** Asks until the answer is as wanted; the test's time is the limit. */
async function until<T>(question: () => Promise<T>, isIt: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const found = await question();
    if (isIt(found)) return found;
  }
}

interface Entry {
  readonly id: number;
  readonly type: string;
  readonly subject: string;
  readonly body: Record<string, unknown>;
}

/** Follows the journal over HTTP from an id on, until an entry is as wanted; that one is the last. */
async function follow(
  { url, token }: Up,
  after: number,
  isLast: (entry: Entry) => boolean,
): Promise<Entry[]> {
  const ending = new AbortController();
  const response = await fetch(`${url}/events?topic=run&after=${after}`, {
    headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
    signal: ending.signal,
  });
  expect(response.status).toBe(200);
  const entries: Entry[] = [];
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      const entry = JSON.parse(data) as Entry;
      entries.push(entry);
      if (!isLast(entry)) continue;
      ending.abort();
      return entries;
    }
  }
  throw new Error("the events ended before what was waited for");
}

const killHard = (pid: number) => process.kill(pid, "SIGKILL");
const isGone = (pid: number) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

test(
  "A-9 a run started in the daemon is watched by events, survives kill -9 of its trainer, and stops with a checkpoint",
  async () => {
    const daemon = await up("watched");
    const started = await answer(daemon, "run", "start", book, "--name", "sea", ...endless);
    expect(started).toMatchObject({ type: "result", name: "sea" });
    const run = String(started["run"]);
    const first = await follow(daemon, 0, ({ type }) => type === "run.checkpoint");
    expect(first.every(({ subject }) => subject === run)).toBe(true);
    expect(first.map(({ type }) => type)).toContain("run.steps");

    killHard(trainersOf(daemon.home)[0]!);
    // Resumed by id: nothing between the two connections is missed.
    const second = await follow(daemon, first.at(-1)!.id, ({ type }) => type === "run.started");
    expect(Number(second.at(-1)!.body["step"])).toBeGreaterThan(0);

    expect(refusalOf(await ask(daemon, "run", "start", book, ...endless))).toEqual({
      ...{ status: 11, code: "training_busy" },
    });
    expect(refusalOf(await ask(daemon, "train", book, ...endless))).toEqual({
      ...{ status: 11, code: "training_busy" },
    });
    expect(await answer(daemon, "run", "stop")).toMatchObject({
      name: "sea",
      state: "interrupted",
    });
    expect(refusalOf(await ask(daemon, "run", "stop", "sea"))).toEqual({
      ...{ status: 14, code: "run_not_running" },
    });
    const status = await answer(daemon, "run", "status", "sea");
    const checkpoints = status["checkpoints"] as Record<string, unknown>[];
    expect(checkpoints.at(-1)).toMatchObject({ step: status["step"], isKept: true });
    expect(Number(checkpoints.at(-1)!["sizeBytes"])).toBeGreaterThan(1_000);
    expect(checkpoints.at(-1)!["parent"]).toBe(checkpoints.at(-2)!["manifestDigest"]);
    const series = await answer(daemon, "run", "series", "sea", "--points", "16");
    expect(series["last"]).toBe(status["step"]);
    const { split } = series["steps"] as { split: { gradient: number[] } };
    expect(Math.min(...split.gradient)).toBeGreaterThan(0);
    expect((await answer({ home: daemon.home }, "digest", "sea"))["step"]).toBe(status["step"]);
  },
  timeoutMs,
);

test(
  "A-9 kill -9 of the daemon during a run: the next one goes on with it, and it ends in the same state",
  async () => {
    const short = [book, "--name", "r", "--steps", "150", ...common];
    const whole = doneOf(await ask({ home: folder.file("whole") }, "train", ...short));
    let daemon = await up("killed");
    await answer(daemon, "run", "start", ...short);
    await follow(
      daemon,
      0,
      ({ type, body }) => type === "run.checkpoint" && Number(body["step"]) >= 30,
    );
    killHard(daemon.pid);
    await until(async () => isGone(daemon.pid), Boolean);
    daemon = await up("killed");
    const run = await until(
      () => answer(daemon, "run", "status", "r"),
      ({ state }) => state === "completed",
    );
    const checkpoints = run["checkpoints"] as Record<string, unknown>[];
    expect(checkpoints.at(-1)).toMatchObject({ step: 150, stateDigest: whole.digest });
    const entries = await follow(daemon, 0, ({ body }) => body["state"] === "completed");
    const starts = entries.filter(({ type }) => type === "run.started");
    expect(starts.length).toBe(2);
    expect(Number(starts[1]!.body["step"])).toBeGreaterThanOrEqual(30);
  },
  timeoutMs,
);

test(
  "A-9 `train` at a terminal works in the daemon, streams, and its Ctrl-C stops the run for good",
  async () => {
    const daemon = await up("terminal");
    const words = ["train", book, "--name", "t", ...endless, "--json", "--no-input"];
    const terminal = await startBinary(words, daemon.home);
    const output = terminal.stdout.text();
    await follow(daemon, 0, ({ type }) => type === "run.checkpoint");
    // Its trainer is the daemon's child, not the terminal's.
    expect(trainersOf(daemon.home)).toHaveLength(1);
    terminal.kill("SIGINT");
    await terminal.exited;
    expect(terminal.exitCode).toBe(130);
    expect(await output).toContain('"type":"step"');
    const status = await until(
      () => answer(daemon, "run", "status", "t"),
      ({ state }) => state === "interrupted",
    );
    expect((status["checkpoints"] as unknown[]).length).toBeGreaterThan(0);
    killHard(daemon.pid);
    await until(async () => isGone(daemon.pid), Boolean);
    const next = await up("terminal");
    expect((await answer(next, "run", "status", "t"))["state"]).toBe("interrupted");
    expect(refusalOf(await ask(next, "run", "stop"))).toMatchObject({ code: "run_not_running" });
  },
  timeoutMs,
);

test(
  "A-10 a run that becomes NaN is an alert of the node, and goes on nowhere",
  async () => {
    const daemon = await up("nan");
    const wild = ["--learning-rate", "1e30", "--optimizer", "sgd", "--warmup", "0", "--clip", "0"];
    await answer(daemon, "run", "start", book, "--name", "wild", ...endless, ...wild);
    const entries = await follow(daemon, 0, ({ type }) => type === "run.alert");
    expect(entries.at(-1)!.body).toMatchObject({ kind: "not_finite", severity: "critical" });
    for (const words of [["status"], ["run", "status", "wild"]]) {
      const { alerts } = await answer(daemon, ...words);
      expect(alerts).toContainEqual(expect.objectContaining({ kind: "not_finite" }));
    }
    const listed = await answer(daemon, "runs");
    expect(listed["runs"]).toMatchObject([{ name: "wild", state: "failed", task: "text" }]);
  },
  timeoutMs,
);

test("A-9 without a daemon, what needs one is refused and says how to get one", async () => {
  const home = folder.file("alone");
  for (const words of [
    ["run", "start", book],
    ["run", "stop"],
  ])
    expect(refusalOf(await ask({ home }, ...words))).toEqual({ status: 15, code: "daemon_absent" });
});
