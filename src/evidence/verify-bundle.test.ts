import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { digestJson } from "#src/codec/digest.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { machineClock } from "#src/node/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { MemoryDisk } from "#src/train/train.fixture.ts";
import {
  bundleBytes,
  bundlePath,
  exporterOf,
  MemoryShelf,
  MiniMesh,
  playRun,
  sourceOf,
  type Plot,
} from "./evidence.fixture.ts";
import { RealNumbers, tinyDocument } from "./real-numbers.fixture.ts";
import { verifyBundle, type VerifiedBundle } from "./verify-bundle.ts";

// The reference backend takes milliseconds a step, and more where other tests run beside it.
setDefaultTimeout(60_000);

interface Played {
  readonly mesh: MiniMesh;
  readonly numbers: RealNumbers;
  readonly bytes: Uint8Array;
}

async function played(
  codec: "dense" | "int8" | "top-k",
  plot: Plot = {},
  cheat?: RealNumbers["cheat"],
): Promise<Played> {
  const [mesh, shelf] = [new MiniMesh(3), new MemoryShelf()];
  const numbers = new RealNumbers(shelf, tinyDocument(codec, 20));
  if (cheat !== undefined) numbers.cheat = cheat;
  await playRun(mesh, numbers, { spec: numbers.spec, document: numbers.document }, plot);
  return { mesh, numbers, bytes: await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh)) };
}

const nothing = { count: 0, seed: "seed", budgetSteps: 1_000 };

async function verify(
  bytes: Uint8Array,
  wish: Partial<Parameters<typeof verifyBundle>[1]> = {},
  availableBytes = 2 ** 30,
) {
  const disk = new MemoryDisk();
  disk.files.set(bundlePath, bytes);
  const told: string[] = [];
  const verified = await verifyBundle(
    bundlePath,
    { ...nothing, ...wish },
    {
      ...{ disk, clock: machineClock, directory: "/scratch", availableBytes },
      signal: new AbortController().signal,
      openBackend: async () => openReferenceBackend(),
      onProgress(progress) {
        if (progress.kind !== "segment") return;
        const { window, worker, segment } = progress;
        told.push(`${window} ${worker} ${segment}`);
      },
    },
  );
  expect([...disk.files.keys()]).toEqual([bundlePath]);
  return { verified, told };
}

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

let story: Played;
let plain: VerifiedBundle;
beforeAll(async () => {
  story = await played("top-k", { rejected: (window) => window === 2 });
  plain = (await verify(story.bytes)).verified;
});

test("W-11 every revision of a run comes out again from its seed and what was contributed", async () => {
  const { run } = story.mesh;
  expect(run).toMatchObject({ phase: "completed" });
  expect(plain.numbers).toMatchObject({
    ...{ revisions: run.revision.number + 1, digest: run.revision.digest },
    ...{ hasRevision: true, drawn: [], recomputedSteps: 0 },
  });
  expect(plain.facts.rejections).toBeGreaterThan(0);
});

test("W-11 segments that are drawn are computed again, the same ones for the same seed", async () => {
  const { verified, told } = await verify(story.bytes, { count: 3 });
  const names = verified.numbers.drawn.map(
    ({ window, worker, segment }) => `${window} ${worker} ${segment}`,
  );
  expect(names).toHaveLength(3);
  expect(told.toSorted()).toEqual(names.toSorted());
  expect((await verify(story.bytes, { count: 3 })).told).toEqual(told);
  expect((await verify(story.bytes, { count: 3, seed: "other" })).told).not.toEqual(told);
});

test.each(["dense", "int8", "top-k"] as const)(
  "W-11 the whole of a run is computed again, codec %s",
  async (codec) => {
    const { bytes, mesh } = await played(codec, {
      ready: (window, nodes) => (window === 2 ? nodes.slice(1) : nodes),
    });
    const { verified } = await verify(bytes, { count: null });
    const { numbers, facts } = verified;
    expect(numbers.drawn).toHaveLength(numbers.all);
    expect(numbers.recomputedSteps).toBe(facts.run.acceptedSlots);
    expect(numbers.digest).toBe(mesh.run.revision.digest!);
  },
);

test("W-11 a budget of steps bounds what is drawn; none within it is refused", async () => {
  const { verified } = await verify(story.bytes, { count: 100, budgetSteps: 4 });
  const { numbers } = verified;
  expect(numbers.reachable).toBeLessThan(numbers.all);
  expect(numbers.drawn).toHaveLength(numbers.reachable);
  expect(numbers.drawn.every(({ costSteps }) => costSteps <= 4)).toBe(true);
  const cheapest = Math.min(...numbers.drawn.map(({ costSteps }) => costSteps));
  const refusal = await refusalOf(verify(story.bytes, { count: 1, budgetSteps: cheapest - 1 }));
  expect(refusal.code).toBe("evidence_unreachable");
});

test("W-8 a state that its worker never had is found where its segment is computed again", async () => {
  let liar = "";
  const { bytes } = await played("dense", { windows: 2 }, (node, window, honest) => {
    if (window !== 2 || (liar !== "" && liar !== node)) return honest;
    liar = node;
    const states = honest.states.with(1, { parameters: digestJson("lie"), moments: digestJson(1) });
    return { ...honest, states };
  });
  // The lie is in no digest that the rules see: all holds until the segment is computed.
  await verify(bytes);
  const refusal = await refusalOf(verify(bytes, { count: null }));
  expect(refusal).toMatchObject({ code: "evidence_differs", exitStatus: 13 });
  expect(refusal.details).toMatchObject({ window: 2, worker: liar, segment: 0 });
});

test("W-11 a worker that begins from a state that is not its own is named", async () => {
  let liar = "";
  const { bytes } = await played("dense", { windows: 2 }, (node, window, honest) => {
    if (window !== 2 || (liar !== "" && liar !== node)) return honest;
    liar = node;
    const [first, ...rest] = honest.states;
    return { ...honest, states: [{ ...first!, moments: digestJson(1) }, ...rest] };
  });
  const refusal = await refusalOf(verify(bytes));
  expect(refusal.code).toBe("evidence_broken");
  expect(refusal.details["link"]).toBe(`the contribution of ${liar} to window 2`);
});

test("W-6 a revision that does not follow from what counted is named, whoever signed it", async () => {
  const [mesh, shelf] = [new MiniMesh(3), new MemoryShelf()];
  const numbers = new RealNumbers(shelf, tinyDocument("dense", 30));
  const honest = numbers.merge.bind(numbers);
  numbers.merge = async (run, window) => {
    const made = await honest(run, window);
    return window.number === 2 ? { ...made, digest: digestJson("conspiracy") } : made;
  };
  const plot = { windows: 2 };
  await playRun(mesh, numbers, { spec: numbers.spec, document: numbers.document }, plot);
  const bytes = await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh));
  const refusal = await refusalOf(verify(bytes));
  expect(refusal.code).toBe("evidence_broken");
  expect(refusal.details).toMatchObject({ link: "revision 2", window: 2 });
});

test("W-1 a document whose settings are not those of the log is named", async () => {
  const [mesh, shelf] = [new MiniMesh(1), new MemoryShelf()];
  const numbers = new RealNumbers(shelf, tinyDocument("dense", 30));
  const spec = { ...numbers.spec, quorum: 1 };
  await playRun(mesh, numbers, { spec, document: numbers.document }, { windows: 1 });
  const bytes = await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh));
  expect((await refusalOf(verify(bytes))).details["link"]).toBe("the document");
});

test("W-11 a model for which this machine is too small is refused before any memory is taken", async () => {
  const refusal = await refusalOf(verify(story.bytes, { count: 0 }, 1_000));
  expect(refusal.code).toBe("memory_short");
});
