import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { chunkBytes, codeOf, noise, TestHome } from "./artifact.fixture.ts";
import { collectArtifacts } from "./collect.ts";
import { blobPath } from "./layout.ts";
import { verifyArtifacts } from "./verify.ts";

let home: TestHome;
beforeEach(async () => {
  home = await TestHome.open();
});
afterEach(() => home[Symbol.dispose]());
const { signal } = new AbortController();
const add = (seed: number, name: string | null = null, count = 2) =>
  home.add(home.file(`in-${seed}`, noise(count * chunkBytes, seed)), { name });
const collect = async (graceMs = 0, isDryRun = false) => {
  // What was touched in this very millisecond is as old as no grace at all.
  await Bun.sleep(2);
  return collectArtifacts(await home.shelf(), graceMs, isDryRun);
};
const whole = async () =>
  (await verifyArtifacts(await home.shelf(), null, signal)).whole.toSorted();
const chunkFiles = () =>
  readdirSync(join(home.root, "chunks"), { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  ).length;

describe("W-5 collecting", () => {
  test("W-5 what a name or a receipt needs stays, the rest goes; dry runs change nothing", async () => {
    const [named, received, loose] = [await add(1, "a/b"), await add(2), await add(3)];
    const receipts = await home.services.receipts.open();
    receipts.append("run.promoted", "r1", { revision: { checkpoint: received.digest } });
    const dry = await collect(0, true);
    expect(dry).toMatchObject({ artifacts: [loose.digest], blobCount: 3, keptArtifacts: 2 });
    expect(chunkFiles()).toBe(6);
    expect(await collect()).toEqual(dry);
    expect(chunkFiles()).toBe(4);
    expect(await whole()).toEqual([named.digest, received.digest].toSorted());
    await (await home.shelf()).pointers.remove("a/b");
    expect((await collect()).artifacts).toEqual([named.digest]);
    expect(chunkFiles()).toBe(2);
  });

  test("W-5 a chunk that something kept shares is not taken", async () => {
    const long = await add(1, null, 4);
    home.file("short", noise(2 * chunkBytes, 1));
    const short = await home.add(join(home.folder, "short"), { name: "short" });
    expect((await collect()).artifacts).toEqual([long.digest]);
    expect(await whole()).toEqual([short.digest]);
    expect(chunkFiles()).toBe(2);
  });

  test("W-5 the grace period keeps what is young, artifacts and orphans", async () => {
    await add(1);
    const shelf = await home.shelf();
    const orphan = noise(100, 7);
    const digest = new Bun.CryptoHasher("sha256").update(orphan).digest("hex");
    await shelf.blobs.write("chunks", digest, orphan);
    expect(await collect(60_000)).toMatchObject({ artifacts: [], blobCount: 0 });
    expect(await collect()).toMatchObject({ blobCount: 4 });
    expect(existsSync(join(home.root, blobPath("chunks", digest)))).toBe(false);
  });

  test("W-5 beside a running pull and after a killed one, its chunks stay", async () => {
    using source = await TestHome.open();
    const { digest, manifest } = await source.add(source.file("a", noise(12 * chunkBytes)));
    const collections: unknown[] = [];
    const holder = source.holder({
      async before() {
        collections.push(await collectArtifacts(await home.shelf(), 0, false));
      },
    });
    await home.pull(digest, [holder], { name: "x", limits: { concurrency: 2 } });
    expect(collections.length).toBe(12);
    expect(holder.given.toSorted()).toEqual(manifest.chunks.toSorted());
    expect(await whole()).toEqual([digest]);

    const stopped = new AbortController();
    using other = await TestHome.open();
    const half = source.holder({
      before() {
        if (half.given.length >= 4) stopped.abort(new Error("killed"));
        stopped.signal.throwIfAborted();
      },
    });
    await other.pull(digest, [half], { signal: stopped.signal }).catch(() => {});
    const kept = half.given.length;
    await collectArtifacts(await other.shelf(), 0, false);
    expect((await other.pull(digest, [source.holder()])).fetchedChunks).toBeLessThanOrEqual(
      12 - kept + 8,
    );
    const store = other.services.store;
    store.run("DELETE FROM artifact");
    store.run(
      "INSERT INTO artifact_pull VALUES (?, NULL, 1, ?, 1, 1)",
      digest,
      Date.now() - 8 * 86_400_000,
    );
    await Bun.sleep(2);
    expect((await collectArtifacts(await other.shelf(), 0, false)).blobCount).toBe(13);
  });

  test("W-5 adding the same again while it is collected loses nothing", async () => {
    const path = home.file("a", noise(10 * chunkBytes));
    for (let round = 0; round < 8; round++) {
      await home.add(path);
      await Bun.sleep(2);
      const [, added] = await Promise.all([collect(), home.add(path, { name: `round/${round}` })]);
      expect(await whole()).toEqual([added.digest]);
      await (await home.shelf()).pointers.remove(`round/${round}`);
    }
  });

  test("W-5 a mark that a killed collection left is waited for, then passed over", async () => {
    const { digest } = await add(1);
    const { store } = home.services;
    store.run("DELETE FROM artifact");
    store.run("UPDATE artifact_blob SET doomed_ms = ?", Date.now() - 3_600_000);
    expect((await add(1, "again")).digest).toBe(digest);
    expect(await whole()).toEqual([digest]);
    await (await home.shelf()).pointers.remove("again");
    store.run("UPDATE artifact_blob SET doomed_ms = ?", Date.now() - 3_600_000);
    expect((await collect()).blobCount).toBe(3);
    expect(chunkFiles()).toBe(0);
  });

  test("W-5 a name whose manifest cannot be read stops the collection: its chunks are unknown", async () => {
    const { digest } = await add(1, "a");
    rmSync(join(home.root, blobPath("manifests", digest)));
    expect(await codeOf(() => collect())).toBe("artifact_incomplete");
    expect(chunkFiles()).toBe(2);
  });
});
