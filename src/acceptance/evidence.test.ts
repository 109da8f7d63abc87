import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";
import { minutes } from "./cluster-home.fixture.ts";
import { begin, completed, Trainer, trainers } from "./windows.fixture.ts";

/** What three nodes leave of a run, and what somebody without any of them makes of it. */

setDefaultTimeout(12 * minutes);

interface Verified {
  readonly records: number;
  readonly nodes: number;
  readonly revision: number;
  readonly digest: string;
  readonly phase: string;
  readonly replayed: readonly unknown[];
  readonly segments: number;
  readonly recomputedSteps: number;
  readonly acceptedSlots: number;
  readonly slots: number;
  readonly hasRevision: boolean;
}

const folder = new TemporaryFolder();
const members = [new Trainer("one"), new Trainer("two"), new Trainer("three")] as const;
const bundles = [folder.file("one.evidence"), folder.file("three.evidence")] as const;
let digest = "";

beforeAll(async () => {
  await trainers(...members);
  const text = folder.file("book.txt");
  const lines = Array.from({ length: 3_000 }, (_, line) => `${line} bottles of beer on the wall\n`);
  writeFileSync(text, lines.join(""));
  const [one, , three] = members;
  const size = ["--size", "nano", "--layers", "1", "--width", "16", "--context", "16"];
  const work = ["--steps", "24", "--node-batch", "2", "--window-steps", "6"];
  digest = await completed(await begin(one, text, "--name", "tale", ...size, ...work), ...members);
  for (const [place, home] of [one, three].entries()) {
    const wrote = await home.run("run", "evidence", "tale", bundles[place]!);
    if (wrote.status !== 0) throw new Error(wrote.stderr);
  }
});

afterAll(async () => {
  for (const member of members) await member[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

/** As somebody with the program and the file alone: a home that never was, no daemon, no mesh. */
async function verify(file: string, ...words: string[]) {
  const { stdout, status } = await runBinary([
    "verify",
    file,
    "--threads",
    "1",
    ...words,
    "--json",
  ]);
  return { status, last: jsonLines(stdout).at(-1)! };
}

describe("W-11 the evidence of a run on three nodes", () => {
  test("W-11 it verifies on another home, and three segments drawn there come out the same", async () => {
    const { status, last } = await verify(bundles[0], "--replay", "3");
    expect([status, last["message"]]).toEqual([0, undefined]);
    const verified = last as unknown as Verified;
    expect(verified).toMatchObject({ phase: "completed", nodes: 3, hasRevision: true });
    expect(verified.acceptedSlots).toBe(verified.slots);
    expect(verified.replayed).toHaveLength(3);
    expect(verified.segments).toBeGreaterThan(3);
    expect(verified.digest).toBe(digest);
  });

  test("W-11 all of the work is computed again, with other kernels than the nodes had", async () => {
    const { status, last } = await verify(bundles[0], "--full", "--isa", "baseline");
    expect([status, last["message"]]).toEqual([0, undefined]);
    expect(last).toMatchObject({ digest, recomputedSteps: last["slots"] });
  });

  test("W-11 whoever exports gives the same bytes, up to the last line, which is its own", async () => {
    const [one, three] = bundles.map((path) => readFileSync(path));
    const cut = (bytes: Buffer) => bytes.subarray(0, bytes.lastIndexOf(10, bytes.length - 2) + 1);
    expect(cut(one!).equals(cut(three!))).toBe(true);
    expect(one!.equals(three!)).toBe(false);
    expect((await verify(bundles[1])).last).toMatchObject({ of: "bundle", isValid: true, digest });
  });

  test("W-11 a flipped byte anywhere is caught, status 13, and the place is named", async () => {
    const bytes = readFileSync(bundles[0]);
    const file = folder.file("flipped.evidence");
    for (let sample = 0; sample < 24; sample++) {
      const offset = Math.floor((sample * (bytes.length - 1)) / 23);
      const flipped = Buffer.from(bytes);
      flipped[offset]! ^= 1 << (sample % 8);
      writeFileSync(file, flipped);
      const { status, last } = await verify(file);
      expect([offset, status, last["code"]]).toEqual([offset, 13, "evidence_damaged"]);
      const { where } = last["details"] as { where: string };
      expect([offset, where]).toEqual([offset, expect.stringMatching(/^(its |part \d+)/)]);
    }
  });

  test("W-11 a bundle that is cut off or goes on is refused, and so is what is none", async () => {
    const bytes = readFileSync(bundles[0]);
    const file = folder.file("cut.evidence");
    const contents = [
      ...[bytes.subarray(0, bytes.length - 1), bytes.subarray(0, bytes.length >> 1)],
      ...[Buffer.concat([bytes, bytes]), Buffer.from("{}\n")],
    ];
    for (const content of contents) {
      writeFileSync(file, content);
      const { status, last } = await verify(file);
      expect([content.length, status, last["code"]]).toEqual([
        content.length,
        13,
        "evidence_damaged",
      ]);
    }
    expect((await verify(folder.file("nowhere"))).status).toBe(10);
  });

  test("W-11 a node that took part verifies what it holds itself, and a name of nothing is refused", async () => {
    const held = await members[1].json("verify", "tale");
    expect(held).toMatchObject({ of: "run", isValid: true, digest });
    expect(held["receipt"]).toMatch(/^[0-9a-f]{64}$/);
    expect(await members[1].json("verify", "nothing")).toMatchObject({ code: "not_found" });
  });

  test("W-11 the export stands in the node's own chain of receipts", async () => {
    const receipts = await members[0].receipts("run.exported");
    expect(receipts).toHaveLength(1);
  });
});
