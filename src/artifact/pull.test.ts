import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  chunkBytes,
  codeOf,
  noise,
  refusalOf,
  silence,
  TestHome,
  type Behaviour,
} from "./artifact.fixture.ts";
import type { Added } from "./add.ts";
import { holderFailed, holderLacks } from "./holder.ts";
import { blobPath } from "./layout.ts";
import type { PullLimits } from "./pull-request.ts";
import { verifyArtifacts } from "./verify.ts";

const chunkCount = 24;
let source: TestHome;
let home: TestHome;
let added: Added;
beforeEach(async () => {
  [source, home] = [await TestHome.open(), await TestHome.open()];
  added = await source.add(source.file("a", noise(chunkCount * chunkBytes - 5)));
});
afterEach(() => {
  source[Symbol.dispose]();
  home[Symbol.dispose]();
});
const { signal } = new AbortController();
const pull = (...behaviours: Behaviour[]) =>
  home.pull(
    added.digest,
    behaviours.map((each, index) => source.holder(each, `holder ${index}`)),
  );
const whole = async () => (await verifyArtifacts(await home.shelf(), null, signal)).whole;
const places = (kind: "chunks" | "manifests", digest: string, where = home) =>
  join(where.root, blobPath(kind, digest));

describe("W-5 pulling", () => {
  test("W-5 one holder: every chunk once, bounded in flight, a receipt, then nothing to do", async () => {
    const holder = source.holder({ before: () => Bun.sleep(1) });
    const pulled = await home.pull(added.digest, [holder], {
      ...{ name: "got/it", limits: { concurrency: 3 } },
    });
    expect(pulled).toMatchObject({
      fetchedChunks: chunkCount,
      fetchedBytes: chunkCount * chunkBytes - 5,
    });
    expect([holder.given.length, holder.mostOpen]).toEqual([chunkCount, 3]);
    expect(await whole()).toEqual([added.digest]);
    const [logged] = (await home.services.receipts.open()).list({ limit: 1 });
    expect(logged?.receipt).toMatchObject({
      ...{ kind: "artifact.pulled", subject: added.digest },
      body: { holders: [{ holder: "home", chunks: chunkCount, dropped: null }] },
    });
    expect(home.services.journal.after(0, 100).at(-1)?.type).toBe("artifact.pulled");
    const again = await home.pull(added.digest, []);
    expect(again.fetchedBytes).toBe(0);
    expect(home.services.store.all("SELECT * FROM artifact_pull")).toEqual([]);
    expect(home.services.store.all("SELECT * FROM artifact_hold")).toEqual([]);
  });

  test("W-5 progress rises to the end with a rate and an ETA", async () => {
    const told: { doneBytes: number; etaSeconds: number | null }[] = [];
    await home.pull(added.digest, [source.holder({ before: () => Bun.sleep(1) })], {
      ...{ onProgress: (progress) => told.push(progress), limits: { progressMs: 0 } },
    });
    const done = told.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(told.at(-1)).toMatchObject({ doneBytes: chunkCount * chunkBytes - 5, etaSeconds: 0 });
    expect(told.some(({ etaSeconds }) => etaSeconds !== null && etaSeconds > 0)).toBe(true);
  });

  test("W-5 a holder that lies once is dropped and named; the others bring the rest", async () => {
    const liar: Behaviour = { spoil: (bytes) => void (bytes[7]! ^= 1) };
    const pulled = await pull(liar, {});
    expect(pulled.holders[0]).toMatchObject({ chunks: 0, dropped: "holder_lied" });
    expect(pulled.holders[1]).toMatchObject({ chunks: chunkCount, dropped: null });
    expect(await whole()).toEqual([added.digest]);
    home[Symbol.dispose]();
    home = await TestHome.open();
    const refusal = await refusalOf(() => pull(liar));
    expect(refusal).toMatchObject({
      code: "artifact_unavailable",
      details: { holders: [{ holder: "holder 0", dropped: "holder_lied" }] },
    });
    expect(existsSync(join(home.root, "chunks"))).toBe(false);
  });

  test("W-5 a false manifest is a lie; a true one of a hostile shape is refused as such", async () => {
    const liar: Behaviour = { manifest: (bytes) => bytes.with(10, 0x20) };
    expect((await pull(liar, {})).holders[0]?.dropped).toBe("holder_lied");
    const hostile = new TextEncoder().encode('{"format":"psionic-artifact/1"}');
    const digest = digestBytes(hostile);
    rmSync(places("manifests", added.digest, source));
    const holder = source.holder({ manifest: () => hostile });
    writeFileSync(places("manifests", added.digest, source), hostile);
    await Bun.write(places("manifests", digest, source), hostile);
    expect(await codeOf(() => home.pull(digest, [holder]))).toBe("artifact_manifest_wrong");
    expect((await home.shelf()).catalog.get(digest)).toBeNull();
  });

  test("W-5 a silent and a dripping holder are named as stalled and replaced", async () => {
    const silent: Behaviour = { before: (_digest, asking) => silence(asking.signal) };
    const dripping: Behaviour = {
      async before(_digest, asking) {
        for (;;) {
          asking.signal.throwIfAborted();
          asking.received(1);
          await Bun.sleep(5);
        }
      },
    };
    const said = async (bad: Behaviour, limits: Partial<PullLimits>) => {
      using target = await TestHome.open();
      const holders = [source.holder(bad, "bad"), source.holder({}, "good")];
      const pulled = await target.pull(added.digest, holders, { limits });
      expect(pulled.holders.map(({ chunks }) => chunks)).toEqual([0, chunkCount]);
      expect(pulled.holders[0]?.dropped).toBe("holder_stalled");
      return pulled.holders[0]?.reason;
    };
    // Each limit far from the other, so that a busy machine does not confuse them.
    expect(await said(silent, { stallMs: 300 })).toContain("sent nothing for 300 ms");
    expect(await said(dripping, { chunkMs: 400 })).toContain("did not finish within 400 ms");
  });

  test("W-5 a buffer that a stalled holder still fills is not spoiled for its successor", async () => {
    let late: (() => Promise<void>) | null = null;
    const slow = source.holder({}, "slow");
    const original = slow.inner;
    Object.assign(slow, {
      async fetchChunk(digest: string, into: Uint8Array, asking: never) {
        late ??= () => original.fetchChunk(digest, into, asking);
        await silence((asking as { signal: AbortSignal }).signal).catch(() => {});
        await late();
      },
    });
    await home.pull(added.digest, [slow, source.holder({ before: () => Bun.sleep(3) })], {
      limits: { stallMs: 200 },
    });
    expect(late).not.toBeNull();
    expect(await whole()).toEqual([added.digest]);
  });

  test("W-5 a holder that vanishes in the middle is replaced; alone, the pull stays resumable", async () => {
    let given = 0;
    const vanishing: Behaviour = {
      before() {
        if (++given > 8) throw holderFailed("holder 0", "the connection failed (ECONNRESET)");
      },
    };
    expect(await codeOf(() => pull(vanishing))).toBe("artifact_unavailable");
    const [row] = home.services.store.all("SELECT * FROM artifact_pull");
    expect(row).toMatchObject({ artifact: added.digest, hold: null });
    const kept = Number(row!["done_bytes"]) / chunkBytes;
    expect(kept).toBe(8);
    const pulled = await pull(vanishing, {});
    expect(pulled.holders.map(({ chunks }) => chunks)).toEqual([0, chunkCount - kept]);
    expect(pulled.holders[0]?.reason).toContain("ECONNRESET");
    expect(pulled.fetchedChunks).toBe(chunkCount - kept);
    expect(await whole()).toEqual([added.digest]);
  });

  test("W-5 holders with parts make a whole; what nobody has is said", async () => {
    const [half, other] = [new Set<string>(), new Set<string>()];
    added.manifest.chunks.forEach((digest, index) => (index % 2 ? half : other).add(digest));
    const only = (digests: Set<string>): Behaviour => ({
      before(digest) {
        if (!digests.has(digest)) throw holderLacks("part", "chunks", digest);
      },
    });
    const refusal = await refusalOf(() => pull(only(half)));
    expect(refusal).toMatchObject({ code: "artifact_unavailable" });
    const pulled = await pull(only(half), only(other));
    expect(pulled.holders.every(({ dropped }) => dropped === null)).toBe(true);
    expect(await whole()).toEqual([added.digest]);
  });

  test("W-5 a slow holder gets less than a fast one", async () => {
    const pulled = await home.pull(
      added.digest,
      [source.holder({ before: () => Bun.sleep(60) }, "slow"), source.holder({}, "fast")],
      { limits: { concurrency: 2 } },
    );
    const [slow, fast] = pulled.holders;
    expect(slow!.chunks).toBeLessThan(fast!.chunks / 2);
  });

  test("W-5 an interrupt leaves what came; the next pull fetches only the rest", async () => {
    const stop = new AbortController();
    const reason = new Refusal("interrupted", "stopped", "again");
    const first = source.holder({
      before() {
        if (first.given.length >= 10) stop.abort(reason);
        stop.signal.throwIfAborted();
      },
    });
    expect(await codeOf(() => home.pull(added.digest, [first], { signal: stop.signal }))).toBe(
      "interrupted",
    );
    const second = source.holder();
    await home.pull(added.digest, [second]);
    const fetched = [...first.given, ...second.given];
    expect(new Set(fetched).size).toBe(chunkCount);
    // What was in flight is fetched again; nothing else is.
    expect(fetched.length - chunkCount).toBeLessThanOrEqual(8);
    expect(await whole()).toEqual([added.digest]);
  });

  test("W-5 two pulls of one artifact fetch it once, and a third takes over from a dead one", async () => {
    const holder = source.holder({ before: () => Bun.sleep(5) });
    const [one, two] = await Promise.all([
      home.pull(added.digest, [holder]),
      home.pull(added.digest, [holder]),
    ]);
    expect(holder.given.length).toBe(chunkCount);
    expect(one.isJoined).not.toBe(two.isJoined);
    rmSync(places("chunks", added.manifest.chunks[0]!));
    home.services.store.run(
      "INSERT INTO artifact_hold (id, since_tick, beat_ms) VALUES ('dead', 1, ?)",
      Date.now() - 3_600_000,
    );
    home.services.store.run(
      "INSERT INTO artifact_pull (artifact, hold, since_ms, updated_ms, size_bytes, done_bytes) VALUES (?, 'dead', 1, 1, 1, 0)",
      added.digest,
    );
    expect((await home.pull(added.digest, [holder])).fetchedChunks).toBe(1);
  });

  test("W-5 the quota and the disk are asked before the first chunk", async () => {
    const holder = source.holder();
    const quotaBytes = chunkCount * chunkBytes - 6;
    expect(await codeOf(() => home.pull(added.digest, [holder], { quotaBytes }))).toBe(
      "artifact_quota",
    );
    expect(holder.given).toEqual([]);
    const shelf = await home.shelf();
    const full = { ...home.services.disk, freeBytes: async () => chunkBytes };
    Object.assign(shelf, { parts: { ...shelf.parts, disk: full } });
    expect(await codeOf(() => home.pull(added.digest, [holder]))).toBe("disk_full");
    expect(holder.given).toEqual([]);
  });

  test("W-5 a disk that fills up is said as it is, and nothing half-written counts", async () => {
    const shelf = await home.shelf();
    let room = 6;
    const disk = {
      ...home.services.disk,
      async create(path: string) {
        if (room-- < 0) throw new Refusal("disk_full", "full", "free some space");
        return home.services.disk.create(path);
      },
    };
    Object.assign(shelf.blobs, { parts: { ...shelf.parts, disk } });
    expect(await codeOf(() => pull({}))).toBe("disk_full");
    room = 1_000;
    const pulled = await pull({});
    expect(pulled.fetchedChunks).toBe(chunkCount - 6);
    expect(await whole()).toEqual([added.digest]);
    expect(readFileSync(places("chunks", added.manifest.chunks[0]!)).byteLength).toBe(chunkBytes);
  });
});
