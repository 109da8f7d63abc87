import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noise, refusalOf, TestHome } from "#src/artifact/artifact.fixture.ts";
import { emptyMesh } from "#src/cluster/state.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { specOf, makeRunDocument, runDocumentText } from "#src/train/run-document.ts";
import { tinyManifest } from "#src/train/train.fixture.ts";
import { beginRun } from "#src/window/begin.ts";
import type { Job } from "#src/window/job.ts";
import type { Contribution, Run, RunSpec, Window } from "#src/window/run.ts";
import { artifactBytesMaximum, documentBytesMaximum } from "./artifact-bytes.ts";
import { LocalRuns } from "./local-runs.ts";
import { RunArtifacts } from "./run-artifacts.ts";
import { RunJobs } from "./run-jobs.ts";
import { RunPlaces } from "./run-places.ts";

const id = "r1a2b3c4";
const { signal } = new AbortController();
const document = makeRunDocument(tinyManifest(), {
  codec: { name: "dense", decayPerMille: 0 },
  outer: { kind: "sgd", rate: 1 },
  windows: {
    ...{ slots: 8, windowSteps: 4, segmentSteps: 2, pace: "even", participants: 2, validators: 1 },
    ...{ replayPerMillion: 0, quorum: 1, strikes: 2 },
    ...{ trainMs: 1_000, judgeMs: 1_000, mergeMs: 1_000, silenceMs: 1_000 },
  },
});

let other: TestHome;
let home: TestHome;
let local: LocalRuns;
let places: RunPlaces;
let jobs: RunJobs;
let tasks: string[];

/** What another member gives, over the real pull. */
class FromOther extends RunArtifacts {
  protected override async waysTo() {
    return [other.holder()];
  }
}

beforeEach(async () => {
  [other, home] = [await TestHome.open(), await TestHome.open()];
  const { services } = home;
  await services.receipts.open();
  const artifacts = new FromOther(services, "me", () => ({ ...emptyMesh, mesh: "psm1" }));
  local = new LocalRuns(services);
  places = new RunPlaces(services, artifacts, local);
  tasks = [];
  const desk = {
    perform: async (_: string, { kind }: { kind: string }) => {
      tasks.push(kind);
      throw new Refusal("interrupted", "no work is done in this test", "");
    },
  } as unknown as RunJobs["parts"]["desk"];
  const ask = async () => ({});
  jobs = new RunJobs({
    ...{ services, node: "me", desk, places, artifacts, ask },
    ...{ isReached: () => true, onProgress: () => {} },
  });
});
afterEach(() => {
  other[Symbol.dispose]();
  home[Symbol.dispose]();
});

function begun(digest: string, spec: RunSpec = specOf(document)): Run {
  const command = { kind: "run-created", run: id, name: "one", document: digest, spec } as const;
  const around = { mesh: "psm1", nowMs: 0, term: 1, members: [] };
  return beginRun([], command, "ann", around);
}

async function given(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = `folder-${Math.random().toString(36).slice(2)}`;
  for (const [name, content] of Object.entries(files)) other.file(`${folder}/${name}`, content);
  return (await other.add(join(other.folder, folder))).digest;
}

const honest = () => given({ "run.json": runDocumentText(document) });

describe("W-2 the document of a run", () => {
  test("W-2 is laid out for its owner alone, and becomes a run of this home", async () => {
    const run = begun(await honest());
    expect((await places.document(run, signal)).format).toBe("psionic-run-document/1");
    expect(local.has(id)).toBe(true);
    expect(statSync(places.paths(id).root).mode & 0o077).toBe(0);
    // A start later it is still this mesh's.
    const again = new RunPlaces(home.services, places.artifacts, local);
    expect((await again.document(run, signal)).format).toBe("psionic-run-document/1");
  });

  test("W-2 a run of the mesh under the id of one of this home's own touches nothing of it", async () => {
    local.store.add({ id, name: "mine", createdMs: 1, manifest: tinyManifest() });
    const refused = await refusalOf(async () => places.document(begun(await honest()), signal));
    expect(refused?.code).toBe("run_exists");
    expect(places.isHere(id)).toBe(false);
    expect(await home.services.disk.stat(places.paths(id).root)).toBeNull();
  });

  test("W-2 another run of the mesh under the id of one that was here is refused", async () => {
    await places.document(begun(await honest()), signal);
    const another = begun(await given({ "run.json": runDocumentText(document), "data/x": "x" }));
    const again = new RunPlaces(home.services, places.artifacts, local);
    expect((await refusalOf(() => again.document(another, signal)))?.code).toBe("run_exists");
  });

  test("W-2 whose settings are not those of the log is refused", async () => {
    const run = begun(await honest(), { ...specOf(document), slots: 9 });
    const refused = await refusalOf(() => places.document(run, signal));
    expect(refused?.code).toBe("run_document_wrong");
    expect(local.has(id)).toBe(false);
  });

  test("W-2 more than its share of the free disk is refused before a byte of it comes", async () => {
    const folder = join(other.folder, "huge");
    mkdirSync(folder);
    writeFileSync(join(folder, "run.json"), runDocumentText(document));
    writeFileSync(join(folder, "data"), "");
    truncateSync(join(folder, "data"), 64 * 1024 * 1024);
    const { digest } = await other.add(folder);
    const disk = Object.create(home.services.disk) as typeof home.services.disk;
    disk.freeBytes = async () => 128 * 1024 * 1024;
    const narrow = new RunPlaces({ ...home.services, disk }, places.artifacts, local);
    const refused = await refusalOf(() => narrow.document(begun(digest), signal));
    expect(refused?.code).toBe("artifact_too_large");
    expect((await home.shelf()).blobs.index.usedBytes()).toBe(0);
    expect(documentBytesMaximum(128 * 1024 * 1024)).toBeLessThan(64 * 1024 * 1024);
  });
});

describe("W-8 a contribution", () => {
  /** What this node says of a contribution, or null where it goes on to compute. */
  async function verdictOf(
    files: Readonly<Record<string, string | Uint8Array>>,
    statedBytes?: number,
    { segment = null, spec = specOf(document) }: { segment?: number | null; spec?: RunSpec } = {},
  ): Promise<readonly string[] | null> {
    const artifact = await given(files);
    const sizes = Object.values(files).map((content) => Buffer.byteLength(content));
    const contribution: Contribution = {
      ...{ worker: "bo", statement: "5".repeat(64), artifact, commitments: "c".repeat(64) },
      ...{ segments: 1, trainMs: 1, private: "d".repeat(64) },
      sizeBytes: statedBytes ?? sizes.reduce((sum, each) => sum + each, 0),
    };
    const task = { worker: "bo", steps: 1, slices: [{ first: 0, count: 1 }] };
    const draw = { worker: "bo", validators: ["me"], segment };
    const opened = begun(await honest());
    await places.document(opened, signal);
    const run = { ...opened, spec };
    const window = {
      ...{ number: 1, stage: "sealed", progress: 0, tasks: [task], draws: [draw] },
      contributions: [contribution],
    } as unknown as Window;
    const job: Job = { kind: "validate", run, window, task, contribution, draw };
    try {
      const outcome = await jobs.perform(job, signal);
      return outcome.kind === "validate" ? outcome.said.reasons : null;
    } catch (error) {
      if (error instanceof Refusal && tasks.includes("validate")) return null;
      throw error;
    }
  }

  test("W-8 of two files and the size that was stated is looked into", async () => {
    expect(await verdictOf({ "commitments.json": "{}", "delta.bin": noise(100) })).toBeNull();
  });

  test("W-7 whose worker does not answer any more is waited for no longer than a silent one", async () => {
    jobs = new RunJobs({ ...jobs.parts, isReached: () => false });
    const files = { "commitments.json": "{}", "delta.bin": noise(100) };
    const spec = { ...specOf(document), judgeMs: 3_600_000, silenceMs: 100 };
    expect(await verdictOf(files, undefined, { segment: 0, spec })).toEqual(["state_unavailable"]);
    expect(tasks).toEqual([]);
  });

  test("W-7 whose worker can be spoken to is waited for as long as judging may last", async () => {
    let asked = 0;
    const ask = async () => {
      if (++asked < 4) throw new Refusal("peer_unreachable", "not yet", "");
      return {};
    };
    jobs = new RunJobs({ ...jobs.parts, ask });
    const files = { "commitments.json": "{}", "delta.bin": noise(100) };
    const spec = { ...specOf(document), judgeMs: 2_000, silenceMs: 100 };
    expect(await verdictOf(files, undefined, { segment: 0, spec })).toEqual(["state_unavailable"]);
    expect(asked).toBeGreaterThanOrEqual(4);
  });

  test("W-8 of another size than was stated is malformed, at once", async () => {
    const files = { "commitments.json": "{}", "delta.bin": noise(100) };
    expect(await verdictOf(files, 1_000)).toEqual(["delta_malformed"]);
    expect(await verdictOf(files, 10)).toEqual(["delta_malformed"]);
  });

  test("W-8 of more bytes than a delta of the model can have is never fetched", async () => {
    const most = artifactBytesMaximum("contribution", document.manifest.model)!;
    const files = { "commitments.json": "{}", "delta.bin": noise(most) };
    const before = (await home.shelf()).blobs.index.usedBytes();
    expect(await verdictOf(files)).toEqual(["delta_malformed"]);
    expect((await home.shelf()).blobs.index.usedBytes() - before).toBeLessThan(100_000);
  });

  test("W-8 of other files is malformed, also one that is no folder at all", async () => {
    const files = { "commitments.json": "{}", "delta.bin": noise(100) };
    expect(await verdictOf({ ...files, more: "x" })).toEqual(["delta_malformed"]);
    expect(await verdictOf({ "delta.bin/x": "x", "commitments.json": "{}" })).toEqual([
      "delta_malformed",
    ]);
  });

  test("W-8 that is the run's own document or revision is a lie, and neither is let go with it", async () => {
    const artifact = await honest();
    const run = begun(artifact);
    await places.document(run, signal);
    const shelf = await home.shelf();
    const keep = { run: id, kind: "state", number: 1 } as const;
    const wants = { from: ["bo"], mostBytes: null };
    const refused = () => refusalOf(() => places.artifacts.fetch(artifact, keep, wants, signal));
    expect((await refused())?.code).toBe("delta_malformed");
    await places.artifacts.letGo(
      id,
      shelf.kept.of(`run ${id}`, "state").map((each) => each.artifact),
    );
    expect(shelf.kept.of(`run ${id}`)).toMatchObject([{ artifact, kind: "document" }]);
    // What a liar gave as its own before is no reason to refuse the revision that it turns out to be.
    const early = await given({ x: "x" });
    for (const kind of ["state", "contribution", "revision"] as const)
      await places.artifacts.fetch(early, { ...keep, kind }, wants, signal);
    expect(shelf.kept.of(`run ${id}`, "revision")).toMatchObject([{ artifact: early }]);
    expect(shelf.catalog.get(artifact)?.isWhole).toBe(true);
  });

  test("W-8 honest artifacts have room: a delta, a revision, a state of any model", () => {
    const model = { ...document.manifest.model, width: 1_024, feedForward: 4_096, layers: 24 };
    const parameters = 24 * 12 * 1_024 * 1_024;
    expect(artifactBytesMaximum("contribution", model)).toBeGreaterThan(4 * parameters);
    expect(artifactBytesMaximum("revision", model)).toBeGreaterThan(8 * parameters);
    expect(artifactBytesMaximum("state", model)).toBeGreaterThan(16 * parameters);
    expect(artifactBytesMaximum("contribution", model)).toBeLessThan(64 * parameters);
  });
});
