/** The trainings of a daemon with real trainer processes, killed and started again. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal, type JournalEntry } from "#src/command/journal.ts";
import { machineClock } from "#src/node/clock.ts";
import { homePaths } from "#src/node/home.ts";
import { openStore } from "#src/node/store.ts";
import { tableSets } from "#src/node/tables.ts";
import { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { RunIntents } from "./run-intents.ts";
import { RunStore } from "./run-store.ts";

const root = mkdtempSync(join(tmpdir(), "train-daemon-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const book = join(root, "book.txt");
beforeAll(() => writeFileSync(book, "the quick brown fox jumps over the lazy dog. ".repeat(60)));

const program = new URL("./node-trainings.fixture.ts", import.meta.url).pathname;
const tiny = {
  ...{ files: [book], isa: "reference", layers: 1, width: 16, heads: 2, context: 16, batch: 2 },
  ...{ tokenizer: "char", seed: 3, evaluateEvery: 25 },
};
const short = { ...tiny, steps: 24, checkpointEvery: 4 };
/** Long enough that a test always meets it at work. */
const long = { ...tiny, steps: 1_000_000, checkpointEvery: 20 };

interface Answer {
  readonly result?: Record<string, unknown>;
  readonly refusal?: string;
}

class Daemon {
  readonly #child;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly ready: Promise<{ active: { run: string; name: string }[] }>;
  readonly events: Record<string, unknown>[] = [];
  #calls = 0;

  constructor(readonly home: string) {
    this.#child = Bun.spawn({
      cmd: [process.execPath, program],
      env: { ...process.env, PSIONIC_HOME: home },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ready = Promise.withResolvers<{ active: { run: string; name: string }[] }>();
    this.ready = ready.promise;
    void this.#listen(ready.resolve);
  }

  async #listen(isReady: (line: { active: { run: string; name: string }[] }) => void) {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      for (const part of parts) {
        const line = JSON.parse(part);
        if (line.ready) isReady(line);
        else if (line.event) this.events.push(line.event);
        else this.#waiting.get(line.id)?.(line);
      }
    }
  }

  call(name: string, parameters: object = {}): Promise<Answer> {
    const id = ++this.#calls;
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.set(id, answer.resolve);
    void this.#child.stdin.write(`${JSON.stringify({ id, name, parameters })}\n`);
    void this.#child.stdin.flush();
    return answer.promise;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }
}

const daemons: Daemon[] = [];
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.kill();
});

async function daemonOn(name: string): Promise<Daemon> {
  const daemon = new Daemon(join(root, name));
  daemons.push(daemon);
  await daemon.ready;
  return daemon;
}

const storeOf = ({ home }: Daemon) => openStore(homePaths(home, {}), tableSets);

/** Reads the home beside the daemon, as any process of the node may. */
async function until<T>(what: () => T | null | undefined | false): Promise<T> {
  for (;;) {
    const found = what();
    if (found) return found;
    await Bun.sleep(20);
  }
}

const entriesOf = (daemon: Daemon, type?: string): JournalEntry[] => {
  const store = storeOf(daemon);
  try {
    const all = new Journal(store, machineClock).after(0, 10_000);
    return type === undefined ? all : all.filter((entry) => entry.type === type);
  } finally {
    store.close();
  }
};

function look<T>(daemon: Daemon, read: (runs: RunStore) => T): T {
  const store = storeOf(daemon);
  try {
    return read(new RunStore(store));
  } finally {
    store.close();
  }
}

const stepOf = (daemon: Daemon, name: string) =>
  look(daemon, (runs) => runs.lastStep(runs.resolve(name).id)?.step ?? 0);

test("A-9 a run started in a daemon outlives its call, and is journalled and attested", async () => {
  const daemon = await daemonOn("whole");
  const { result } = await daemon.call("run/start", { ...short, name: "r" });
  expect(result).toMatchObject({ name: "r" });
  const run = String(result!["run"]);
  await until(() =>
    entriesOf(daemon, "run.state").some(({ body }) => body["state"] === "completed"),
  );
  const entries = entriesOf(daemon).filter(({ subject }) => subject === run);
  const types = entries.map(({ type }) => type);
  for (const type of ["run.created", "run.started", "run.steps", "run.checkpoint"])
    expect(types).toContain(type);
  expect(types.at(-1)).toBe("run.state");
  const steps = entries.filter(({ type }) => type === "run.steps");
  // Together they tell of every step, each once.
  expect(steps[0]!.body["from"]).toBe(1);
  expect(steps.at(-1)!.body["to"]).toBe(24);
  for (const [index, { body }] of steps.entries())
    if (index > 0) expect(body["from"]).toBe(Number(steps[index - 1]!.body["to"]) + 1);

  const store = storeOf(daemon);
  const log = new ReceiptLog(store, machineClock, null as never);
  const receipts = log.list({ subject: run, limit: 100 }).map(({ receipt }) => receipt);
  const kinds = receipts.map(({ kind }) => kind).toReversed();
  expect(kinds[0]).toBe("run.started");
  expect(kinds.at(-1)).toBe("run.finished");
  expect(kinds.filter((kind) => kind === "run.checkpoint")).toHaveLength(
    new RunStore(store).checkpoints(run).length,
  );
  const started = receipts.at(-1)!.body;
  expect(started["manifestDigest"]).toBe(new RunStore(store).byId(run).digest);
  expect(started["runtimeIdentityDigest"]).toMatch(/^[0-9a-f]{64}$/);
  store.close();
}, 30_000);

test("A-9 one training at a time: a second is refused by the name of the first, `train` too", async () => {
  const daemon = await daemonOn("busy");
  expect((await daemon.call("run/start", { ...long, name: "first" })).result).toBeDefined();
  expect((await daemon.call("run/start", short)).refusal).toBe("training_busy");
  expect((await daemon.call("train", short)).refusal).toBe("training_busy");
  const stopped = await daemon.call("run/stop", { run: "first" });
  expect(stopped.result).toMatchObject({ name: "first", state: "interrupted" });
  expect((await daemon.call("run/stop", { run: "first" })).refusal).toBe("run_not_running");
  expect((await daemon.call("run/stop")).refusal).toBe("run_not_running");
  expect((await daemon.call("run/stop", { run: "nobody" })).refusal).toBe("run_not_found");
  // The place is free again, and the stop left a checkpoint to go on from.
  const again = await daemon.call("run/start", { resume: "first", isa: "reference" });
  expect(again.result).toMatchObject({ name: "first" });
}, 30_000);

test("A-9 what cannot start is refused to whoever asked, and leaves the place free", async () => {
  const daemon = await daemonOn("refused");
  const missing = { ...short, files: [join(root, "absent.txt")] };
  expect((await daemon.call("run/start", missing)).refusal).toBe("not_found");
  expect((await daemon.call("run/start", { ...short, layers: 0 })).refusal).toBe("usage");
  expect((await daemon.call("run/start", { ...short, name: "fits" })).result).toBeDefined();
}, 30_000);

test("A-9 kill -9 of the trainer: another goes on, and the journal tells of both starts", async () => {
  const daemon = await daemonOn("trainer");
  await daemon.call("run/start", { ...long, name: "r" });
  await until(() => entriesOf(daemon, "run.checkpoint").length > 0);
  const started = daemon.events.find(({ type }) => type === "started")!;
  process.kill(Number(started["trainerPid"]), "SIGKILL");
  await until(() => entriesOf(daemon, "run.started").length > 1);
  expect(Number(entriesOf(daemon, "run.started")[1]!.body["step"])).toBeGreaterThan(0);
  expect((await daemon.call("run/stop")).result).toMatchObject({ state: "interrupted" });
}, 30_000);

test("A-9 kill -9 of the daemon: the next one goes on from the checkpoint and ends in the same state", async () => {
  const reference = await daemonOn("reference");
  const medium = { ...tiny, steps: 400, checkpointEvery: 20, name: "r" };
  await reference.call("run/start", medium);
  const completed = (daemon: Daemon) =>
    look(daemon, (runs) => runs.resolve("r").state === "completed");
  await until(() => completed(reference));
  const digest = (daemon: Daemon) =>
    look(daemon, (runs) => runs.checkpoints(runs.resolve("r").id).at(-1)!.stateDigest);

  let daemon = await daemonOn("killed");
  expect((await daemon.call("run/start", medium)).result).toBeDefined();
  for (const victim of [30, 90]) {
    await until(() => stepOf(daemon, "r") >= victim);
    await daemon.kill();
    daemon = await daemonOn("killed");
    // Resuming is announced as active, or it was so fast that the run is complete.
    expect((await daemon.ready).active[0]?.name ?? "r").toBe("r");
  }
  await until(() => completed(daemon));
  expect(digest(daemon)).toBe(digest(reference));
  // The wish is given up a moment after the run is seen to be complete.
  await until(() => look(daemon, (runs) => new RunIntents(runs.store).wanted()).length === 0);
}, 60_000);

test("A-9 a run that a person stopped is not gone on with; one that a daemon going down stopped is", async () => {
  let daemon = await daemonOn("wanted");
  await daemon.call("run/start", { ...long, name: "r" });
  await daemon.call("run/stop");
  await daemon.kill();
  daemon = await daemonOn("wanted");
  expect((await daemon.ready).active).toEqual([]);
  await daemon.call("run/start", { resume: "r", isa: "reference" });
  await until(() => stepOf(daemon, "r") > 0);
  await daemon.call("down");
  await daemon.exited;
  expect(look(daemon, (runs) => runs.resolve("r").state)).toBe("interrupted");
  const held = look(daemon, (runs) => runs.checkpoints(runs.resolve("r").id).at(-1)!.step);
  daemon = await daemonOn("wanted");
  expect((await daemon.ready).active).toMatchObject([{ name: "r" }]);
  expect(entriesOf(daemon, "run.started").at(-1)!.body["step"]).toBe(held);
}, 30_000);

test("A-9 a run that becomes NaN fails, is journalled, attested and an alert, and is not gone on with", async () => {
  let daemon = await daemonOn("nan");
  const wild = { ...long, name: "wild", learningRate: 1e30, warmup: 0, clip: 0, optimizer: "sgd" };
  await daemon.call("run/start", wild);
  await until(() => entriesOf(daemon, "run.alert").length > 0);
  expect(entriesOf(daemon, "run.alert")[0]!.body).toMatchObject({ kind: "not_finite" });
  const { result } = await daemon.call("run/status", { run: "wild" });
  expect(result!["state"]).toBe("failed");
  expect(result!["alerts"]).toContainEqual(
    expect.objectContaining({ kind: "not_finite", severity: "critical", subject: result!["run"] }),
  );
  await daemon.kill();
  daemon = await daemonOn("nan");
  expect((await daemon.ready).active).toEqual([]);
}, 30_000);

test("A-10 a run that trains writes samples, which are kept and journalled", async () => {
  const daemon = await daemonOn("samples");
  const { result } = await daemon.call("run/start", { ...long, name: "r" });
  await until(() => entriesOf(daemon, "run.sample").length > 0);
  const samples = await daemon.call("run/samples", { run: "r" });
  const [sample] = samples.result!["samples"] as { step: number; prompt: string; text: string }[];
  expect(sample!.prompt.length).toBeGreaterThan(0);
  expect(sample!.text.length).toBeGreaterThan(50);
  expect(sample!.step % 20).toBe(0);
  expect(entriesOf(daemon, "run.sample")[0]).toMatchObject({
    subject: result!["run"],
    body: { step: sample!.step },
  });
}, 60_000);

test("A-10 samples of the built-in task are held-out sums, each called right or wrong", async () => {
  const daemon = await daemonOn("sums");
  const { steps, checkpointEvery, layers, width, heads, batch, isa } = long;
  const small = { steps, checkpointEvery, layers, width, heads, batch, isa };
  await daemon.call("run/start", { ...small, name: "sums" });
  await until(() => entriesOf(daemon, "run.sample").length > 0);
  const { result } = await daemon.call("run/samples", { run: "sums" });
  const [sample] = result!["samples"] as { prompt: string; text: string }[];
  const lines = sample!.text.split("\n");
  expect(lines.length).toBeGreaterThan(2);
  for (const line of lines) {
    const [, a, b, found] = /^(\d+)\+(\d+)=.* (right|wrong, it is (?:\d+))$/.exec(line)!;
    const sum = Number(a) + Number(b);
    expect([`right`, `wrong, it is ${sum}`]).toContain(found!);
  }
}, 60_000);
