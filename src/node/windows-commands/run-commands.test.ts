import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ClusterHome, FakeCluster } from "#src/cluster/service.fixture.ts";
import { readRunDocument, openRunData } from "#src/train/run-document.ts";
import type { Trainings } from "#src/train/trainings.ts";
import type { LocalRunFacts } from "#src/window/services.ts";
import { machineDisk } from "../disk.ts";
import { RunCluster } from "./run-mesh.fixture.ts";

let home: ClusterHome;
let cluster: RunCluster;
let book: string;
/** What was asked of this node's own trainings. */
let trained: string[] = [];

const trainings: Trainings = {
  start: async (request) => {
    trained.push(
      `start ${request.resume === false ? request.files.length : String(request.resume)}`,
    );
    return { run: "local001", name: "alone" };
  },
  stop: async (run) => ({ run, name: "alone", state: "interrupted" }),
  active: () => [],
  resumeWanted: async () => {},
  stopAll: async () => {},
  train: async () => {
    throw new Error("nobody trains in these tests");
  },
};

beforeAll(async () => {
  home = await ClusterHome.open();
  book = home.file("book.txt", "the sea and the sky and the long road home. ".repeat(500));
});
afterAll(() => home[Symbol.dispose]());
beforeEach(() => {
  cluster = new RunCluster(home.self);
  trained = [];
  home.beside = { trainings, meshRuns: cluster.service() };
});

const typed = (...words: string[]) => home.type(cluster, ...words);
const read = (...words: string[]) => home.read(cluster, ...words);
const linesOf = async (...words: string[]) => {
  const { out } = await typed(...words, "--json");
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};
const small = ["--size", "nano", "--tokenizer", "char", "--steps", "40"];

describe("W-1 run start", () => {
  test("W-1 with other trainers there the mesh begins it; the document holds manifest and data", async () => {
    let document: Awaited<ReturnType<typeof readRunDocument>> | null = null;
    let rows = 0;
    let folder = "";
    const work: Promise<void>[] = [];
    cluster.onCreate = (location) => {
      folder = location;
      expect(readdirSync(location).toSorted()).toEqual(["data", "run.json"]);
      work.push(
        (async () => {
          document = await readRunDocument(machineDisk, location);
          const data = await openRunData(machineDisk, location, document);
          rows = data.counts!.train.tokens;
        })(),
      );
    };
    const create = home.beside.meshRuns!.create.bind(home.beside.meshRuns);
    home.beside = {
      ...home.beside,
      meshRuns: {
        ...home.beside.meshRuns!,
        async create(request, signal) {
          const created = await create(request, signal);
          await Promise.all(work);
          return created;
        },
      },
    };
    const result = await read("run", "start", book, ...small, "--codec", "top-k");
    expect(result).toMatchObject({
      name: "book",
      on: "mesh",
      mesh: { codec: "top-k", slots: 128 },
    });
    expect(document).toMatchObject({
      manifest: { batchSize: 5, size: "nano", schedule: { steps: 40 } },
      codec: { name: "top-k", decayPerMille: 950 },
      outer: { kind: "sgd", rate: 1 },
    });
    expect(rows).toBeGreaterThan(10_000);
    expect(existsSync(folder)).toBe(false);
    const run = cluster.state().runs.find(({ name }) => name === "book")!;
    expect(run).toMatchObject({ phase: "planned", spec: { codec: "top-k", scheduleSteps: 40 } });
    expect(trained).toEqual([]);
  });

  test("W-1 a person reads what will happen, 80 columns wide", async () => {
    const { out, status } = await typed("run", "start", book, ...small);
    expect(status).toBe(0);
    for (const text of ["begins on 3 nodes", "about ", "int8", "times"])
      expect(out).toContain(text);
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });

  test("W-1 alone it trains here as ever; --on mesh begins a run that others may join", async () => {
    const lone = new RunCluster(home.self, 0);
    home.beside = { trainings, meshRuns: lone.service() };
    expect(await home.read(lone, "run", "start", book, ...small)).toEqual({
      ...{ type: "result", run: "local001", name: "alone", on: "here", mesh: null },
    });
    expect(trained).toEqual(["start 1"]);
    expect(await home.read(lone, "run", "start", book, ...small, "--on", "mesh")).toMatchObject({
      code: "trainers_absent",
    });
    expect(await home.read(lone, "run", "start", book, "--codec", "dense")).toMatchObject({
      code: "usage",
      hint: expect.stringContaining("--on mesh"),
    });
  });

  test("W-1 --on here trains here whoever is there, and --resume always does", async () => {
    await read("run", "start", book, ...small, "--on", "here");
    await read("run", "start", "--resume", "alone");
    expect(trained).toEqual(["start 1", "start alone"]);
    expect(await read("run", "start", "--resume", "alone", "--on", "mesh")).toMatchObject({
      code: "usage",
      hint: expect.stringContaining("run resume"),
    });
  });

  test("W-1 who is neither host nor owner is told where it is asked for", async () => {
    const guest = new FakeCluster(home.self);
    guest.mesh.timeMs = Date.now();
    guest.found(cluster.trainers[0]);
    guest.letIn(home.self);
    home.beside = { trainings, meshRuns: cluster.service() };
    expect(await home.read(guest, "run", "start", book, "--on", "mesh")).toMatchObject({
      code: "scope_lacking",
      hint: expect.stringContaining("--on here"),
    });
  });

  test("W-1 a name that a run of the mesh has is refused while that goes on", async () => {
    cluster.create("taken");
    expect(await read("run", "start", book, ...small, "--name", "taken")).toMatchObject({
      code: "run_name_taken",
    });
    await typed("run", "stop", "taken");
    expect(await read("run", "start", book, ...small, "--name", "taken")).toMatchObject({
      name: "taken",
    });
  });

  test("W-1 a manifest is read, and the line goes before it", async () => {
    const manifest = home.file("run.toml");
    const draft = await read("run", "init", manifest, "--size", "nano", "--data", "book.txt");
    expect(draft).toMatchObject({ file: manifest });
    expect(await read("run", "init", manifest)).toMatchObject({ code: "run_manifest_exists" });
    const before = readFileSync(manifest, "utf8");
    await read("run", "start", "--manifest", manifest, "--steps", "40", "--name", "first");
    await read("run", "start", book, "--size", "nano", "--steps", "40", "--name", "second");
    const [first, second] = cluster.created;
    expect(first!.spec).toEqual(second!.spec);
    expect(readFileSync(manifest, "utf8")).toBe(before);
    home.file("wrong.toml", before.replace('codec = "int8"', 'codec = "zip"'));
    const wrong = await read("run", "start", "--manifest", join(home.folder, "wrong.toml"));
    expect(wrong).toMatchObject({ code: "run_manifest_wrong" });
  });

  test("W-1 without a daemon it says how to start one", async () => {
    home.beside = {};
    expect(await home.read(null, "run", "start", book, "--on", "mesh")).toMatchObject({
      code: "daemon_absent",
    });
  });
});

/** Two windows promoted, a third open and half given. */
function underway(): void {
  cluster.create();
  cluster.promote(2_000);
  cluster.promote(4_000);
  cluster.evaluate(2);
  cluster.open();
  cluster.contribute(cluster.window.tasks[0]!.worker);
}

interface Seen {
  readonly mesh: Record<string, unknown> & {
    readonly participants: readonly (Record<string, unknown> & { readonly node: string })[];
    readonly events: readonly Record<string, unknown>[];
  };
}
const statusOf = async (...words: string[]) =>
  (await read("run", "status", "book", ...words)) as unknown as Seen;

describe("W-12 run status", () => {
  test("W-12 window, who does what, tokens, loss, bytes and rate", async () => {
    underway();
    const { mesh } = await statusOf();
    const [first, ...rest] = cluster.window.tasks.map(({ worker }) => worker);
    expect(mesh).toMatchObject({
      ...{ phase: "active", windowCount: 3, revision: 2, acceptedSlots: 24, slots: 48 },
      ...{ acceptedCount: 6, rejectedCount: 0, missedCount: 0, movedBytes: 7_000 },
      window: { number: 3, stage: "active", taskCount: 3, contributionCount: 1 },
      past: { number: 2, outcome: "promoted", acceptedSlots: 12, tookMs: 4_000 },
      loss: { revision: 2, loss: 1.5, exactMatch: 0.25 },
      tokensPerSecond: (12 * 64) / 4,
      secondsLeft: (24 * 64) / ((12 * 64) / 4),
    });
    const doing = new Map(mesh.participants.map(({ node, doing: job }) => [node, job]));
    expect(doing.get(first!)).toBeNull();
    for (const node of rest) expect(doing.get(node)).toBe("train");
    const slots = mesh.participants.flatMap(
      ({ slices }) => slices as { first: number; count: number }[],
    );
    expect(slots.reduce((sum, { count }) => sum + count, 0)).toBe(12);
  });

  test("W-12 each stage says who has to do what", async () => {
    underway();
    const standings = async () =>
      (await statusOf()).mesh.participants
        .map(({ standing }) => String(standing))
        .toSorted((a, b) => (a < b ? -1 : 1));
    expect(await standings()).toEqual(["given", "training", "training"]);
    const [, second, third] = cluster.window.tasks.map(({ worker }) => worker);
    cluster.contribute(second!);
    cluster.contribute(third!);
    cluster.seal();
    expect(await standings()).toEqual(["validating", "validating", "validating"]);
    cluster.judgeAll();
    expect(await standings()).toEqual(["merging", "merging", "merging"]);
    cluster.merge();
    expect(await standings()).toContain("ready");
    await typed("run", "stop", "book");
    expect(await standings()).toEqual(["idle", "idle", "idle"]);
  });

  test("W-12 what this node does for it, and what troubles it", async () => {
    underway();
    const facts: LocalRunFacts = {
      ...{ run: "run00001", isHere: true, revision: 2 },
      work: { kind: "validate", window: 3, sinceMs: 1, steps: 1, of: 2 },
      trouble: {
        ...{ kind: "train", code: "disk_full", message: "the disk is full", hint: "free some" },
        ...{ isHopeless: false, atMs: 1 },
      },
      ...{ trainedSteps: 8, trainedTokens: 512, trainSeconds: 4, validateSeconds: 1 },
      ...{ mergeSeconds: 0.5, receivedBytes: 3_000, sentBytes: 2_000, tokensPerSecond: 128 },
    };
    cluster.facts = facts;
    expect((await statusOf()).mesh).toMatchObject({
      work: { kind: "validate", window: 3, steps: 1, of: 2 },
      trouble: { code: "disk_full", hint: "free some" },
      spent: { trainedTokens: 512, receivedBytes: 3_000 },
      isHere: true,
    });
    expect((await typed("run", "status", "book")).out).toContain("the disk is full");
  });

  test("W-12 what happened: joins, silence, lies, others who lead", async () => {
    cluster.create();
    cluster.open();
    const [first, second, third] = cluster.window.tasks.map(({ worker }) => worker);
    cluster.contribute(first!);
    cluster.contribute(second!);
    cluster.seal();
    cluster.judgeAll((worker) => (worker === first ? "rejected" : "accepted"));
    cluster.mesh.term = 2;
    cluster.merge();
    const { mesh } = await statusOf();
    const told = mesh.events.map(({ kind, node }) => [kind, node]);
    for (const event of [
      ["created", home.self.node],
      ["joined", first],
      ["lost", third],
      ["rejected", first],
      ["handover", null],
    ])
      expect(told).toContainEqual(event);
    expect(mesh).toMatchObject({ rejectedCount: 1, missedCount: 1, acceptedCount: 1 });
    const { out, error } = await typed("run", "status", "book");
    expect(out).toContain("1 rejected, 1 missed");
    expect(error).toContain("was rejected (segment_differs)");
  });

  test("W-12 a person reads it in 80 columns at every stage", async () => {
    underway();
    const check = async (...words: string[]) => {
      const { out } = await typed(...words);
      for (const line of out.split("\n"))
        expect({ line, isWide: [...line].length > 80 }).toEqual({ line, isWide: false });
      return out;
    };
    expect(await check("run", "status", "book")).toContain("1 of 3 have given");
    for (const { worker } of cluster.window.tasks.slice(1)) cluster.contribute(worker);
    cluster.seal();
    expect(await check("run", "status", "book")).toContain("0 of 3 verdicts");
    cluster.judgeAll();
    expect(await check("run", "status", "book")).toContain("0 of 2 agree");
    expect(await check("run", "windows", "book")).toContain("promoted");
    expect(await check("run", "list")).toContain("mesh 3");
  });

  test("W-12 --watch tells of changes and ends with the run", async () => {
    underway();
    const looked = Promise.withResolvers<void>();
    const service = cluster.service();
    const latestRecords: typeof service.latestRecords = (run, count) => {
      looked.resolve();
      return service.latestRecords(run, count);
    };
    home.beside = { ...home.beside, meshRuns: { ...service, latestRecords } };
    const watched = linesOf("run", "status", "book", "--watch");
    await looked.promise;
    for (const { worker } of cluster.window.tasks.slice(1)) cluster.contribute(worker);
    await typed("run", "stop", "book");
    const lines = await watched;
    const phases = lines
      .filter(({ type }) => type === "run")
      .map(({ mesh }) => (mesh as { phase: string }).phase);
    expect(phases[0]).toBe("active");
    expect(phases.at(-1)).toBe("stopped");
    expect(lines.at(-1)).toMatchObject({ type: "result", mesh: { phase: "stopped" } });
  });

  test("W-12 an unknown run, an ambiguous one, and the latest", async () => {
    cluster.create("book", "run00001");
    cluster.mesh.timeMs += 1_000;
    cluster.create("bookend", "run00002");
    expect(await read("run", "status", "nobody")).toMatchObject({ code: "run_not_found" });
    expect(await read("run", "status", "boo")).toMatchObject({ code: "run_ambiguous" });
    expect(await read("run", "status", "book")).toMatchObject({ run: "run00001" });
    expect(await read("run", "status", "booke")).toMatchObject({ run: "run00002" });
    expect(await read("run", "status")).toMatchObject({ run: "run00002", state: "planned" });
  });
});

describe("W-12 run windows", () => {
  test("W-12 a row for each window: who worked, what counted, bytes, verdicts, loss", async () => {
    underway();
    const result = await read("run", "windows", "book");
    const windows = result["windows"] as Record<string, unknown>[];
    expect(windows).toMatchObject([
      { number: 1, stage: "promoted", revision: 0, progress: 0, acceptedSlots: 12, loss: null },
      { number: 2, stage: "promoted", revision: 1, progress: 12, tookMs: 4_000, loss: 1.5 },
      { number: 3, stage: "active", revision: 2, progress: 24, tookMs: null, sizeBytes: 1_000 },
    ]);
    const parts = windows[1]!["parts"] as Record<string, unknown>[];
    for (const part of parts)
      expect(part).toMatchObject({
        ...{ steps: 4, outcome: "accepted", sizeBytes: 1_000, trainMs: 250 },
        verdicts: [{ verdict: "accepted", reasons: [], segment: part["segment"] }],
      });
    expect(result).toMatchObject({ windowCount: 3, isWhole: true });
  });

  test("W-12 a window of which nothing came says why, and who gave what", async () => {
    cluster.create();
    cluster.open();
    const [first, second, third] = cluster.window.tasks.map(({ worker }) => worker);
    cluster.contribute(first!);
    cluster.contribute(second!);
    cluster.seal();
    cluster.judgeAll(() => "rejected");
    const { windows } = (await read("run", "windows", "book")) as unknown as {
      windows: { parts: { node: string; outcome: string }[] }[];
    };
    expect(windows[0]).toMatchObject({
      stage: "held",
      reason: "segment_differs",
      acceptedSlots: 0,
    });
    const outcomes = new Map(windows[0]!.parts.map(({ node, outcome }) => [node, outcome]));
    expect([first, second, third].map((node) => outcomes.get(node!))).toEqual([
      ...["rejected", "rejected", "missed"],
    ]);
    expect((await typed("run", "windows", "book")).out).toContain("segment_differs");
  });

  test("W-12 --from and --limit, and the latest without them", async () => {
    cluster.create();
    for (let count = 0; count < 3; count++) cluster.promote();
    const numbers = async (...words: string[]) =>
      ((await read("run", "windows", "book", ...words))["windows"] as { number: number }[]).map(
        ({ number }) => number,
      );
    expect(await numbers()).toEqual([1, 2, 3]);
    expect(await numbers("--limit", "2")).toEqual([2, 3]);
    expect(await numbers("--from", "1", "--limit", "2")).toEqual([1, 2]);
    expect(await numbers("--from", "9")).toEqual([]);
  });
});

describe("W-1 run pause, resume, stop, list", () => {
  test("W-1 a pause lets the window end; resume goes on; stop ends it with its revision", async () => {
    underway();
    expect(await read("run", "pause", "book")).toMatchObject({ state: "running", on: "mesh" });
    expect((await typed("run", "status", "book")).out).toContain("pauses after this window");
    for (const { worker } of cluster.window.tasks.slice(1)) cluster.contribute(worker);
    cluster.seal();
    cluster.judgeAll();
    cluster.merge();
    expect((await statusOf()).mesh).toMatchObject({ phase: "paused" });
    expect(await read("run", "resume", "book")).toMatchObject({ state: "running" });
    expect(await read("run", "stop", "book")).toMatchObject({ state: "interrupted", revision: 3 });
    for (const what of ["pause", "resume", "stop"])
      expect(await read("run", what, "book")).toMatchObject({ code: "run_over" });
  });

  test("W-1 stop without a name means the only run that goes on", async () => {
    expect(await read("run", "stop")).toMatchObject({ code: "run_not_running" });
    cluster.create("one", "run00001");
    cluster.create("two", "run00002");
    expect(await read("run", "stop")).toMatchObject({ code: "run_ambiguous" });
    await read("run", "stop", "two");
    expect(await read("run", "stop")).toMatchObject({ name: "one" });
  });

  test("W-1 who is no host changes no run", async () => {
    underway();
    const guest: FakeCluster = Object.create(cluster, {
      standing: { value: () => ({ ...cluster.standing(), node: cluster.trainers[0]!.node }) },
    }) as FakeCluster;
    for (const what of ["pause", "resume", "stop"])
      expect(await home.read(guest, "run", what, "book")).toMatchObject({ code: "scope_lacking" });
  });

  test("W-12 run list shows the mesh's runs, also under its short name", async () => {
    underway();
    const listed = await read("run", "list");
    expect(listed["runs"]).toMatchObject([
      {
        ...{ run: "run00001", name: "book", state: "running", step: 12, steps: 24 },
        mesh: { phase: "active", windowCount: 3, participants: 3, share: 0.5 },
      },
    ]);
    expect(await read("runs")).toEqual(listed);
  });
});
