import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chunkBytes, codeOf, noise, TestHome } from "./artifact.fixture.ts";
import { collectArtifacts } from "./collect.ts";
import { discardArtifacts } from "./discard.ts";

let home: TestHome;
beforeEach(async () => {
  home = await TestHome.open();
});
afterEach(() => home[Symbol.dispose]());
const keep = (number: number) => ({ owner: "run r1", kind: "revision", number });
const add = (seed: number, number: number) =>
  home.add(home.file(`in-${seed}`, noise(2 * chunkBytes, seed)), { keep: keep(number) });

describe("W-5 artifacts that work keeps by itself", () => {
  test("W-5 they have no receipts, are not announced, and no collection takes them", async () => {
    const shelf = await home.shelf();
    const [kept, loose] = [await add(1, 1), await home.add(home.file("loose", noise(10, 2)))];
    const receipts = await home.services.receipts.open();
    expect(receipts.list({ kind: "artifact.added", limit: 10 })).toHaveLength(1);
    expect(shelf.catalog.wholeDigests(10)).toEqual([loose.digest]);
    await Bun.sleep(2);
    expect((await collectArtifacts(shelf, 0, false)).artifacts).toEqual([loose.digest]);
    expect(shelf.kept.of("run r1")).toEqual([{ artifact: kept.digest, ...keep(1) }]);
  });

  test("W-5 a pull for such work leaves no receipt either, and counts where it was here", async () => {
    using other = await TestHome.open();
    const source = await other.add(other.file("in", noise(3 * chunkBytes, 4)));
    await home.pull(source.digest, [other.holder()], { keep: keep(7) });
    await home.pull(source.digest, [], { keep: { ...keep(7), owner: "run r2" } });
    const shelf = await home.shelf();
    expect(shelf.kept.of("run r2", "revision")).toHaveLength(1);
    expect(shelf.kept.of("run r2", "state")).toEqual([]);
    const receipts = await home.services.receipts.open();
    expect(receipts.list({ kind: "artifact.pulled", limit: 10 })).toEqual([]);
  });

  test("W-5 what was let go is discarded at once, but not what somebody else keeps or shares", async () => {
    const shelf = await home.shelf();
    const [one, two] = [await add(1, 1), await add(2, 2)];
    const shared = await home.add(home.file("shared", noise(chunkBytes, 2)));
    for (const { digest } of [one, two]) shelf.kept.letGo(digest, "run r1");
    shelf.kept.put(one.digest, { ...keep(1), owner: "run r2" });
    await discardArtifacts(shelf, [one.digest, two.digest]);
    expect(shelf.catalog.digests().toSorted()).toEqual([one.digest, shared.digest].toSorted());
    await shelf.blobs.read("chunks", shared.manifest.chunks[0]!);
    const gone = two.manifest.chunks[1]!;
    expect(await codeOf(() => shelf.blobs.read("chunks", gone))).toBe("artifact_unknown");
  });
});
