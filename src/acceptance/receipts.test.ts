import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, startBinary, TemporaryFolder } from "./binary.ts";
import { DaemonHome } from "./daemon.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** Runs words in a home and gives the last JSON line: the result or the refusal. */
async function json(home: string, ...words: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await runBinary([...words, "--json"], { home });
  return jsonLines(stdout).at(-1)!;
}

interface Identity {
  readonly nodeId: string;
  readonly publicKey: string;
  readonly keys: readonly { readonly key: string; readonly standing: string }[];
}

const shown = async (home: string) => (await json(home, "identity", "show")) as unknown as Identity;

/** A home whose key was rotated three times. */
async function rotatedHome(name: string): Promise<string> {
  const home = folder.file(name);
  expect((await runBinary(["init"], { home })).status).toBe(0);
  for (const overlap of ["7d", "0s", "12h"])
    expect((await runBinary(["identity", "rotate", "--overlap", overlap], { home })).status).toBe(
      0,
    );
  return home;
}

describe("receipts from the executable", () => {
  const made = rotatedHome("home");

  test("I-6 a rotated node keeps its id, lists its keys and their standing", async () => {
    const home = await made;
    const { nodeId, publicKey, keys } = await shown(home);
    expect(nodeId).toMatch(/^psn[a-z2-7]{32}$/);
    expect(keys.map(({ standing }) => standing)).toEqual([
      ...["overlapping", "retired", "overlapping", "current"],
    ]);
    expect(keys.at(-1)?.key).toBe(publicKey);
    const text = await runBinary(["identity", "show"], { home });
    expect(text.stdout).toContain("retired");
  });

  test("list, show and verify tell the same chain", async () => {
    const home = await made;
    const { receipts } = (await json(home, "receipt", "list")) as {
      receipts: { digest: string; sequence: number; kind: string; previous: string }[];
    };
    expect(receipts.map(({ sequence, kind }) => [sequence, kind])).toEqual(
      [3, 2, 1].map((sequence) => [sequence, "key.rotated"]),
    );
    expect(receipts[0]!.previous).toBe(receipts[1]!.digest);
    const { digest } = receipts[1]!;
    expect(await json(home, "receipt", "show", digest.slice(0, 12))).toMatchObject({
      digest,
      receipt: { sequence: 2, type: "psionic-receipt" },
    });
    const { nodeId } = await shown(home);
    expect(await json(home, "receipt", "verify")).toMatchObject({
      ...{ isValid: true, author: nodeId, first: 1, last: 3, rotationCount: 3 },
      head: receipts[0]!.digest,
    });
    expect((await json(home, "receipt", "list", "--kind", "no.such"))["receipts"]).toEqual([]);
    expect((await runBinary(["receipt", "show", "00000000"], { home })).status).toBe(10);
    expect((await runBinary(["receipt", "show", "xyz"], { home })).status).toBe(2);
  });

  test("a bundle verifies in a home without identity, and leaves none there", async () => {
    const home = await made;
    const bundle = folder.file("bundle.jsonl");
    expect((await runBinary(["receipt", "export", bundle], { home })).status).toBe(0);
    expect((await runBinary(["receipt", "export", bundle], { home })).status).toBe(2);
    const elsewhere = join(folder.path, "elsewhere");
    const { nodeId } = await shown(home);
    expect(await json(elsewhere, "receipt", "verify", bundle)).toMatchObject({
      ...{ isValid: true, author: nodeId, count: 3 },
    });
    expect(existsSync(join(elsewhere, "identity"))).toBe(false);
    expect((await runBinary(["receipt", "verify"], { home: elsewhere })).status).toBe(10);
    const absent = folder.file("absent.jsonl");
    expect((await runBinary(["receipt", "verify", absent], { home: elsewhere })).status).toBe(10);
    const part = folder.file("part.jsonl");
    const words = ["receipt", "export", part, "--from", "2", "--to", "2"];
    expect((await runBinary(words, { home })).status).toBe(0);
    expect(await json(elsewhere, "receipt", "verify", part)).toMatchObject({
      ...{ first: 2, last: 2, isFromStart: false },
    });
  });

  test("a tampered bundle is refused with exit status 13, naming the receipt", async () => {
    const home = await made;
    const bundle = folder.file("whole.jsonl");
    expect((await runBinary(["receipt", "export", bundle], { home })).status).toBe(0);
    const lines = readFileSync(bundle, "utf8").trimEnd().split("\n");
    const tamperings: [string, string[], string][] = [
      ["dropped", lines.toSpliced(2, 1), "receipt_chain_broken"],
      ["cut off", lines.slice(0, 3), "receipt_bundle_wrong"],
      [
        "edited",
        lines.with(2, lines[2]!.replace(/"atMs":1/, '"atMs":2')),
        "receipt_signature_wrong",
      ],
      ["doubled", lines.toSpliced(2, 0, lines[2]!), "receipt_chain_broken"],
    ];
    for (const [name, changed, code] of tamperings) {
      const path = folder.file(`${name}.jsonl`);
      writeFileSync(path, changed.map((line) => `${line}\n`).join(""));
      const outcome = await runBinary(["receipt", "verify", path, "--json"], { home });
      const refusal = jsonLines(outcome.stdout).at(-1);
      expect([name, outcome.status, refusal?.["code"]]).toEqual([name, 13, code]);
    }
  });

  test("I-6 a backup of a rotated node restores the same node; an older one is refused", async () => {
    const home = folder.file("backed-up");
    const environment = { PSIONIC_PASSPHRASE: "correct horse battery" };
    const run = (at: string, ...words: string[]) => runBinary(words, { home: at, environment });
    const [old, fresh] = [folder.file("old.json"), folder.file("fresh.json")];
    await run(home, "init");
    expect((await run(home, "identity", "backup", old)).status).toBe(0);
    await run(home, "identity", "rotate");
    expect((await run(home, "identity", "backup", fresh)).status).toBe(0);
    const { nodeId, publicKey } = await shown(home);
    const restored = join(folder.path, "restored");
    expect((await run(restored, "identity", "restore", fresh)).status).toBe(0);
    expect(await shown(restored)).toMatchObject({ nodeId, publicKey });
    expect((await run(home, "identity", "restore", old)).status).toBe(13);
    expect(await shown(home)).toMatchObject({ nodeId, publicKey });
    rmSync(join(home, "identity"), { recursive: true });
    expect((await run(home, "identity", "restore", old)).status).toBe(13);
    expect((await run(home, "identity", "restore", fresh)).status).toBe(0);
    expect((await run(home, "receipt", "verify")).status).toBe(0);
  });

  test("I-6 a trust bundle is written and holds nothing secret", async () => {
    const home = await made;
    const path = folder.file("trust.json");
    expect((await runBinary(["identity", "export", path], { home })).status).toBe(0);
    const { nodeId, publicKey } = await shown(home);
    const text = readFileSync(path, "utf8");
    expect(JSON.parse(text)).toMatchObject({
      type: "psionic-trust-bundle",
      nodeId,
      key: publicKey,
    });
    const secret = readFileSync(join(home, "identity/node.key"), "utf8").split("\n")[1]!;
    expect(text).not.toContain(secret);
  });

  test("I-6 a running daemon rotates its own key and goes on with it, also after kill -9", async () => {
    await using home = new DaemonHome();
    const { pid } = await home.up();
    const { nodeId } = (await home.json("identity", "show")) as unknown as Identity;
    const first = await home.json("identity", "rotate");
    const second = await home.json("identity", "rotate", "--overlap", "0s");
    expect([first["nodeId"], second["nodeId"], second["from"]]).toEqual([
      ...[nodeId, nodeId, first["to"]],
    ]);
    process.kill(pid, "SIGKILL");
    await home.up();
    expect(await home.json("identity", "show")).toMatchObject({ nodeId, publicKey: second["to"] });
    expect((await home.run("identity", "rotate")).status).toBe(0);
    expect(await home.json("receipt", "verify")).toMatchObject({ rotationCount: 3 });
  });

  test("I-6 kill -9 at random points of rotations: the id stays, the chain holds, nothing is stuck", async () => {
    const home = folder.file("storm");
    await runBinary(["init"], { home });
    const { nodeId } = await shown(home);
    const seed = Number(process.env["PSIONIC_TEST_SEED"] ?? Math.floor(Math.random() * 1e6));
    let state = seed;
    const below = (limit: number) =>
      (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % limit;
    const nextKey = join(home, "identity/node.key.next");
    const inode = () => statSync(nextKey, { throwIfNoEntry: false })?.ino ?? 0;
    const kills = 15;
    let killed = 0;
    for (let round = 0; killed < kills; round++) {
      expect([seed, round < 20 * kills]).toEqual([seed, true]);
      const before = inode();
      const child = await startBinary(["identity", "rotate", "--overlap", "0s"], home);
      // The moment a rotation has begun is seen by its file; the kill comes a little later.
      while (child.exitCode === null && [0, before].includes(inode())) await Bun.sleep(0);
      const killMs = performance.now() + below(12);
      while (child.exitCode === null && performance.now() < killMs) await Bun.sleep(0);
      child.kill("SIGKILL");
      await child.exited;
      if (child.signalCode === null) continue;
      if (++killed % 3 !== 0) continue;
      // A copy as the kill left it heals by itself, as the home does.
      const copy = folder.file(`storm-${round}`);
      cpSync(home, copy, { recursive: true });
      for (const each of [home, copy]) {
        expect([seed, round, (await shown(each)).nodeId]).toEqual([seed, round, nodeId]);
        const verified = await json(each, "receipt", "verify");
        // Nothing to verify where no rotation has come to its receipt yet.
        if (verified["code"] === "receipt_not_found") continue;
        expect([seed, round, verified["isValid"]]).toEqual([seed, round, true]);
      }
    }
    expect((await runBinary(["identity", "rotate"], { home })).status).toBe(0);
    const { keys } = await shown(home);
    expect(await json(home, "receipt", "verify")).toMatchObject({
      ...{ isValid: true, isFromStart: true, rotationCount: keys.length - 1 },
    });
    expect(existsSync(join(home, "identity/node.key.next"))).toBe(false);
  }, 120_000);
});
