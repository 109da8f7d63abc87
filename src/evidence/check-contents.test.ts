import { beforeAll, expect, test } from "bun:test";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { keyOf, memoryNode } from "#src/receipt/receipt.fixture.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { MemoryDisk } from "#src/train/train.fixture.ts";
import type { RunCommandOf, Statement } from "#src/window/event.ts";
import type { RunRecord } from "#src/window/services.ts";
import { signStatement } from "#src/window/statement.ts";
import { openBundle, readPart } from "./bundle-reader.ts";
import { BundleWriter, contentOf, writeWhole } from "./bundle-writer.ts";
import { checkBundle, type CheckedBundle } from "./check-contents.ts";
import {
  bundleBytes,
  bundlePath,
  exporterOf,
  MemoryShelf,
  MiniMesh,
  playRun,
  sourceOf,
  ToyNumbers,
  toySpec,
  type Plot,
} from "./evidence.fixture.ts";
import { headerText, readHeader } from "./header.ts";
import type { Exporter } from "./parts.ts";

const { signal } = new AbortController();

interface Played {
  readonly mesh: MiniMesh;
  readonly shelf: MemoryShelf;
}

async function played(plot: Plot = {}, spec = toySpec): Promise<Played> {
  const [mesh, shelf] = [new MiniMesh(3), new MemoryShelf()];
  const document = shelf.add({ "run.json": "{}" });
  await playRun(mesh, new ToyNumbers(shelf), { spec, document }, plot);
  return { mesh, shelf };
}

async function check(bytes: Uint8Array): Promise<CheckedBundle> {
  const disk = new MemoryDisk();
  disk.files.set(bundlePath, bytes);
  return checkBundle(disk, bundlePath, signal);
}

/** What is refused where other events than those of the run are exported. */
async function refusalOf({ mesh, shelf }: Played, records: RunRecord[]): Promise<Refusal> {
  const bytes = await bundleBytes(sourceOf(mesh, shelf, records), exporterOf(mesh));
  const error = await check(bytes).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

/** The events with some of them changed, and every chain after them made to follow. */
function retold(
  records: readonly RunRecord[],
  change: (record: RunRecord, at: number) => RunRecord | null,
): RunRecord[] {
  const next: RunRecord[] = [];
  let chain: Digest | null = null;
  for (const [at, record] of records.entries()) {
    const changed = change(record, at);
    if (changed === null) continue;
    if (changed === record && chain === null) {
      next.push(record);
      continue;
    }
    const { author, atMs: timeMs, term, command, decided } = changed;
    chain = digestJson({ chain: next.at(-1)!.chain, author, timeMs, term, command, decided });
    next.push({ ...changed, chain });
  }
  return next;
}

const statementOf = ({ command }: RunRecord): Statement | null =>
  command.kind === "run-stated" ? command.statement : null;
const saysOf = (records: readonly RunRecord[], saying: Statement["said"]["saying"]) =>
  records.findIndex((record) => statementOf(record)?.said.saying === saying);
const kindOf = (records: readonly RunRecord[], kind: RunRecord["command"]["kind"]) =>
  records.findIndex(({ command }) => command.kind === kind);

let story: Played;
beforeAll(async () => {
  story = await played();
});

test("W-11 the events of an honest run hold, whoever was there in its windows", async () => {
  const plots: readonly Plot[] = [
    {},
    { ready: (window, nodes) => (window === 2 ? nodes.slice(1) : nodes) },
    { rejected: (window, worker) => window === 1 && worker === story.mesh.nodes[1] },
    { rejected: (window) => window === 2 },
    { windows: 2 },
  ];
  for (const plot of plots) {
    const { mesh, shelf } = await played(plot);
    const { facts } = await check(await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh)));
    expect(facts.run).toMatchObject({
      ...{ chain: mesh.run.chain, phase: mesh.run.phase, revision: mesh.run.revision },
      pool: mesh.run.pool,
    });
    // Two of three nodes vouched at the latest at the end of the last window's judging.
    expect(facts.vouchers).toBe(2);
    expect(facts.vouchedRecords).toBeGreaterThan(facts.run.windowCount * 5);
    expect(facts.windows.map(({ number }) => number)).toEqual(
      Array.from({ length: mesh.run.windowCount }, (_, at) => at + 1),
    );
  }
});

test("W-11 a run of one node is evidence too, of nobody's judgement", async () => {
  const [mesh, shelf] = [new MiniMesh(1), new MemoryShelf()];
  const document = shelf.add({ "run.json": "{}" });
  await playRun(mesh, new ToyNumbers(shelf), { spec: toySpec, document });
  const { facts } = await check(await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh)));
  expect(facts).toMatchObject({ verdicts: 0, vouchers: 1, run: { phase: "completed" } });
});

test("W-11 validators drawn again hold as they were drawn", async () => {
  const [mesh, shelf] = [new MiniMesh(4), new MemoryShelf()];
  const numbers = new ToyNumbers(shelf);
  const document = shelf.add({ "run.json": "{}" });
  let isDone = false;
  const submit = mesh.submit.bind(mesh);
  mesh.submit = (author, command) => {
    submit(author, command);
    if (command.kind !== "window-sealed" || isDone) return;
    isDone = true;
    const [draw] = mesh.run.window!.draws;
    const gone = draw!.validators[0]!;
    mesh.ready.delete(gone);
    const fence = { term: 1, index: 1, authority: "0".repeat(64) };
    const again = { run: command.run, window: command.window, seed: digestJson("again"), fence };
    submit(author, { kind: "validators-redrawn", ...again });
  };
  await playRun(mesh, numbers, { spec: { ...toySpec, participants: 2 }, document });
  expect(isDone).toBe(true);
  const { facts } = await check(await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh)));
  expect(facts.run.chain).toBe(mesh.run.chain);
});

test("W-10 where fewer than the quorum are there, what they state holds, and it is told", async () => {
  const ready = (window: number, nodes: readonly string[]) =>
    window === 2 ? nodes.slice(1) : nodes;
  const { mesh, shelf } = await played({ ready }, { ...toySpec, quorum: 3 });
  const { facts } = await check(await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh)));
  expect(facts).toMatchObject({ leanPromotions: 1, run: { chain: mesh.run.chain } });
});

test("W-11 whoever of the validators is gone, a second draw is understood", async () => {
  for (let gone = 0; gone < 16; gone++) {
    const [mesh, shelf] = [new MiniMesh(4), new MemoryShelf()];
    const document = shelf.add({ "run.json": "{}" });
    let redraws = 0;
    const submit = mesh.submit.bind(mesh);
    mesh.submit = (author, command) => {
      submit(author, command);
      if (command.kind !== "window-sealed" || mesh.run.windowCount !== 1) return;
      for (const [place, node] of mesh.nodes.entries())
        if ((gone >> place) & 1) mesh.ready.delete(node);
      const fence = { term: 1, index: 1, authority: "0".repeat(64) };
      const again = { run: command.run, window: command.window, seed: digestJson(gone), fence };
      for (; redraws < 2 && mesh.run.window?.stage === "sealed"; redraws++)
        submit(author, { kind: "validators-redrawn", ...again });
    };
    const spec = { ...toySpec, validators: 2, participants: 4 };
    await playRun(mesh, new ToyNumbers(shelf), { spec, document }, { windows: 2 });
    expect(redraws).toBeGreaterThan(0);
    const { facts } = await check(await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh)));
    expect([gone, facts.run.chain]).toEqual([gone, mesh.run.chain]);
  }
});

test("I-6 a node whose key is rotated in the middle of a run has said all of it", async () => {
  const [mesh, shelf] = [new MiniMesh(3), new MemoryShelf()];
  const { nodeId, log, key } = memoryNode(1);
  const next = keyOf(101);
  const document = shelf.add({ "run.json": "{}" });
  const ready = (window: number, nodes: readonly string[]) => {
    if (window === 2) mesh.keys.set(nodeId, next);
    return nodes;
  };
  expect(mesh.nodes).toContain(nodeId);
  await playRun(mesh, new ToyNumbers(shelf), { spec: toySpec, document }, { ready });
  const { receipt } = log.rotate(next, 0);
  const source = sourceOf(mesh, shelf);
  const withHistory = (rotations: Receipt[]) =>
    source.members.map((each) =>
      each.node === nodeId ? { node: nodeId, key: key.publicKey, rotations } : each,
    );
  const exporter = exporterOf(new MiniMesh(3));
  const bytes = await bundleBytes({ ...source, members: withHistory([receipt]) }, exporter);
  expect((await check(bytes)).facts.run.chain).toBe(mesh.run.chain);
  const short = await bundleBytes({ ...source, members: withHistory([]) }, exporter);
  const refusal = (await check(short).catch((error: unknown) => error)) as Refusal;
  expect(refusal.message).toContain("no key of that node signed it");
});

test("W-11 an event left out, moved or told twice breaks the chain where it was", async () => {
  const { records } = story.mesh;
  const without = records.toSpliced(8, 1);
  expect((await refusalOf(story, without)).details["link"]).toStartWith("record 9");
  const swapped = records.with(8, records[9]!).with(9, records[8]!);
  expect((await refusalOf(story, swapped)).details["link"]).toStartWith("record 9");
  const twice = records.toSpliced(9, 0, records[8]!);
  expect((await refusalOf(story, twice)).details["link"]).toBe("record 10");
  const headless = await bundleBytes(
    sourceOf(story.mesh, story.shelf, records.slice(1)),
    exporterOf(story.mesh),
  ).catch((error: Refusal) => error);
  expect(headless).toMatchObject({ code: "evidence_incomplete" });
});

test("W-11 a statement that was changed, even with all chains made to follow, has no signature", async () => {
  const { records } = story.mesh;
  const at = saysOf(records, "revision");
  const forged = retold(records, (record, place) => {
    if (place !== at) return record;
    const command = structuredClone(record.command) as RunCommandOf<"run-stated">;
    return {
      ...record,
      command: {
        ...command,
        statement: {
          ...command.statement,
          said: { ...command.statement.said, digest: "f".repeat(64) },
        } as Statement,
      },
    };
  });
  const refusal = await refusalOf(story, forged);
  expect(refusal.code).toBe("evidence_broken");
  expect(refusal.message).toContain("no key of that node signed it");
  expect(refusal.details["link"]).toStartWith(`record ${at + 1}: the statement of psn`);
});

test("W-11 a promotion signed anew by somebody else is no statement of the node", async () => {
  const { records } = story.mesh;
  const at = saysOf(records, "revision");
  const outsider = signingKeyFromSeed(new Uint8Array(32).fill(99));
  const forged = retold(records, (record, place) => {
    if (place !== at) return record;
    const { signature: _, ...unsigned } = statementOf(record)!;
    const said = { ...unsigned.said, digest: "f".repeat(64) } as Statement["said"];
    const statement = signStatement(outsider, { ...unsigned, said });
    return { ...record, command: { ...record.command, statement } as RunRecord["command"] };
  });
  expect((await refusalOf(story, forged)).message).toContain("no key of that node signed it");
  // Nor does it help to bring a key along: it makes another node.
  const source = sourceOf(story.mesh, story.shelf, forged);
  const members = source.members.map((member, place) =>
    place === 0 ? { ...member, key: outsider.publicKey } : member,
  );
  const bytes = await bundleBytes({ ...source, members }, exporterOf(story.mesh));
  const refusal = (await check(bytes).catch((error: unknown) => error)) as Refusal;
  expect(refusal.details["link"]).toBe(`the keys of ${story.mesh.nodes[0]!}`);
  expect(refusal.message).toContain(nodeIdOf(outsider.publicKey));
});

test("W-11 statements of one node in another order do not follow each other", async () => {
  const { records } = story.mesh;
  const own = records.flatMap((record, at) =>
    statementOf(record)?.node === story.mesh.nodes[1] ? [at] : [],
  );
  const [first, second] = own;
  const swapped = retold(records, (record, at) => {
    const from = at === first ? second! : at === second ? first! : at;
    return from === at ? record : { ...record, command: records[from]!.command };
  });
  const refusal = await refusalOf(story, swapped);
  expect(refusal.message).toContain("does not follow that node's statement before");
});

test("W-11 without a verdict that was drawn nothing is promoted", async () => {
  const { records } = story.mesh;
  const at = saysOf(records, "verdict");
  const node = statementOf(records[at]!)!.node;
  const refusal = await refusalOf(
    story,
    retold(records, (record, place) => (place === at ? null : record)),
  );
  // The node's next statement names the one that is gone, at the latest the rules miss it.
  expect(refusal.code).toBe("evidence_broken");
  expect(refusal.details["link"]).toMatch(new RegExp(`^record \\d+(: the statement of ${node})?$`));
});

test("W-11 other work, another draw, another result than the rules give is named", async () => {
  const { records } = story.mesh;
  const tampered = (kind: RunRecord["command"]["kind"], change: (decided: never) => unknown) => {
    const at = kindOf(records, kind);
    return retold(records, (record, place) =>
      place === at
        ? { ...record, decided: change(structuredClone(record.decided) as never) }
        : record,
    );
  };
  const opened = await refusalOf(
    story,
    tampered("window-opened", ({ tasks }: { tasks: { steps: number }[] }) => ({
      tasks: tasks.map((task, at) => (at === 0 ? { ...task, steps: task.steps - 1 } : task)),
    })),
  );
  expect(opened.message).toContain("the rules decide otherwise");
  const sealed = await refusalOf(
    story,
    tampered("window-sealed", (decided: { draws: { validators: string[] }[] }) => ({
      ...decided,
      draws: decided.draws.map((draw) => ({
        ...draw,
        validators: draw.validators.toReversed(),
        segment: 0,
      })),
    })),
  );
  expect(sealed.message).toContain("the rules decide otherwise");
});

test("W-11 a contribution that counted has to be there; one that did not may be gone, and is named", async () => {
  const rejected = await played({
    rejected: (window, at) => window === 1 && at === story.mesh.nodes[1],
  });
  const contributions = rejected.mesh.records.flatMap((record) => {
    const statement = statementOf(record);
    return statement?.said.saying === "contribution"
      ? [{ node: statement.node, artifact: statement.said.artifact }]
      : [];
  });
  const lost = contributions.find(({ node }) => node === story.mesh.nodes[1])!.artifact;
  rejected.shelf.drop(lost);
  const { contents } = await check(
    await bundleBytes(sourceOf(rejected.mesh, rejected.shelf), exporterOf(rejected.mesh)),
  );
  expect(contents.header.missing).toEqual([lost]);
  // Who exports does not leave out what counted; a bundle without it, whoever made it, is refused.
  const counted = contributions.find(({ node }) => node === story.mesh.nodes[0])!.artifact;
  const whole = await bundleBytes(
    sourceOf(rejected.mesh, rejected.shelf),
    exporterOf(rejected.mesh),
  );
  rejected.shelf.drop(counted);
  const refused = await bundleBytes(
    sourceOf(rejected.mesh, rejected.shelf),
    exporterOf(rejected.mesh),
  ).catch((error: Refusal) => error);
  expect(refused).toMatchObject({ code: "evidence_incomplete", details: { artifact: counted } });
  const refusal = await check(await without(whole, counted, exporterOf(rejected.mesh))).catch(
    (error: Refusal) => error,
  );
  expect(refusal).toMatchObject({ code: "evidence_broken" });
  expect((refusal as Refusal).message).toContain("it counted and is not in the bundle");
});

/** A bundle made anew without an artifact, which its header says nobody had. */
async function without(bytes: Uint8Array, artifact: Digest, exporter: Exporter) {
  const disk = new MemoryDisk();
  disk.files.set(bundlePath, bytes);
  const bundle = await openBundle(disk, bundlePath, signal);
  await writeWhole(disk, "/other", async (file) => {
    const writer = new BundleWriter(file);
    await writer.begin();
    let isSkipping = false;
    for (const part of bundle.parts) {
      isSkipping = part.kind === "file" ? isSkipping : part.name === artifact;
      if (isSkipping) continue;
      const content = await readPart(bundle, part);
      const isHeader = part.kind === "header";
      const text = isHeader ? headerText({ ...readHeader(content), missing: [artifact] }) : content;
      await writer.add(part.kind, part.name, contentOf(text));
    }
    await writer.end(bundle.footer, exporter);
  });
  return disk.files.get("/other")!;
}
