import { expect, test } from "bun:test";
import { readHistory } from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Chance } from "#src/sim/chance.ts";
import type { RunCommand } from "#src/window/event.ts";
import { digestOf, keyOf, plainSpec, runId, TestRuns } from "#src/window/run.fixture.ts";
import { verdicts } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import { RecordChecker } from "./check-records.ts";
import type { EvidenceHeader } from "./header.ts";

const nodes = ["a", "b", "c", "d", "e"];

/** A run whose events are recorded as a node records them. */
class RecordedRuns extends TestRuns {
  /** Filled from within the constructor of what this extends. */
  declare records: RunRecord[] | undefined;

  override codeOf(author: string, command: RunCommand): string {
    const code = super.codeOf(author, command);
    if (code !== "done") return code;
    this.records ??= [];
    const { run, decided } = this.last!;
    const place = { index: this.records.length + 1, term: 1, atMs: this.nowMs };
    this.records.push({ run: runId, ...place, author, command, decided, chain: run.chain });
    return code;
  }
}

/** Nodes that come and go, and do or fail to do what may be done: whatever the rules take becomes history. */
function anyHistory(seed: number): RecordedRuns {
  const chance = new Chance(seed, 1);
  const mesh = new RecordedRuns(nodes, {
    ...plainSpec,
    ...{ slots: chance.between(10, 60), windowSteps: chance.between(2, 6) },
    ...{ pace: chance.pick(["even", "measured"] as const), participants: chance.between(1, 5) },
    ...{ validators: chance.between(0, 3), quorum: chance.between(1, 4), strikes: 2 },
  });
  let draws = 0;
  for (let count = 0; count < 300; count++) {
    mesh.nowMs += chance.between(0, 900);
    const [node, other] = [chance.pick(nodes), chance.pick(nodes)];
    if (chance.happens(0.15))
      mesh.change(node, { isReady: chance.happens(0.6), isValidator: chance.happens(0.4) });
    const acts = {
      none: () => (chance.happens(0.6) ? mesh.ready(node) : mesh.open()),
      active: () =>
        chance.happens(0.1) ? mesh.seal(`draw ${draws++}`) : mesh.contribute(node, { trainMs: 9 }),
      sealed: () =>
        chance.happens(0.15)
          ? mesh.redraw(`draw ${draws++}`)
          : mesh.judge(node, other, chance.happens(0.8) ? "accepted" : chance.pick(verdicts)),
      scored: () =>
        chance.happens(0.1)
          ? mesh.lose(node)
          : mesh.state(node, chance.happens(0.1) ? "another" : undefined),
    };
    const aside = chance.between(1, 10);
    if (aside === 1) mesh.evaluate(node, mesh.run.revision.number);
    else if (aside === 2) mesh.ready(node, { rate: chance.between(0, 900) });
    else acts[mesh.run.window?.stage ?? "none"]();
  }
  return mesh;
}

function headerOf({ run, records }: RecordedRuns): EvidenceHeader {
  return {
    ...{ format: "psionic-run-evidence/1", mesh: "home", run: runId, name: run.name },
    ...{ author: "a", document: run.document, spec: run.spec, members: [] },
    ...{ records: records!.length, chain: run.chain, missing: [] },
  };
}

const keys = new Map(nodes.map((node) => [node, readHistory(keyOf(node).publicKey, [])]));

test("W-11 any history that the rules made is found to follow from them, whoever was ready when", () => {
  const told = { redrawn: 0, promoted: 0, lean: 0, held: 0 };
  for (let seed = 1; seed <= 30; seed++) {
    const mesh = anyHistory(seed);
    const checker = new RecordChecker(headerOf(mesh), keys);
    try {
      for (const record of mesh.records!) checker.add(record);
    } catch (error) {
      throw error instanceof Refusal ? new Error(`seed ${seed}: ${error.message}`) : error;
    }
    const facts = checker.end();
    expect([seed, facts.run.chain]).toEqual([seed, mesh.run.chain]);
    told.redrawn += mesh.records!.filter(
      ({ command: { kind } }) => kind === "validators-redrawn",
    ).length;
    told.promoted += facts.run.revision.number;
    told.lean += facts.leanPromotions;
    told.held += facts.windows.filter(({ promoted }) => promoted === null).length;
  }
  for (const [what, count] of Object.entries(told)) expect([what, count > 8]).toEqual([what, true]);
}, 60_000);

test("W-11 what somebody decided otherwise than the rules is found in any history", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const mesh = anyHistory(seed);
    const records = mesh.records!;
    const at = records.findIndex(({ command }) => command.kind === "window-sealed");
    if (at === -1) continue;
    const sealed = records[at]!;
    const seedChanged = { ...sealed.command, seed: digestOf("another") } as RunCommand;
    const checker = new RecordChecker(headerOf(mesh), keys);
    for (const record of records.slice(0, at)) checker.add(record);
    expect(() => checker.add({ ...sealed, command: seedChanged })).toThrow(`record ${at + 1}`);
  }
}, 60_000);
