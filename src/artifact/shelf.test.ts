import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestBytes } from "#src/codec/digest.ts";
import { compose } from "#src/node/services.ts";
import { noInteraction } from "#src/node/no-interaction.ts";
import { chunkBytes, codeOf, noise, refusalOf, TestHome } from "./artifact.fixture.ts";
import type { Added } from "./add.ts";
import { blobPath } from "./layout.ts";
import { takeOut } from "./take-out.ts";
import { verifyArtifacts } from "./verify.ts";

let home: TestHome;
beforeEach(async () => {
  home = await TestHome.open();
});
afterEach(() => home[Symbol.dispose]());
const { signal } = new AbortController();
const out = (name: string) => join(home.folder, name);
const get = async (artifact: string, name: string) =>
  takeOut(await home.shelf(), artifact, out(name), signal);
const pathOf = (kind: "chunks" | "manifests", digest: string) =>
  join(home.root, blobPath(kind, digest));

describe("W-5 adding and taking out", () => {
  test("W-5 a file comes out bit for bit, whatever its size", async () => {
    for (const size of [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes + 7]) {
      const bytes = noise(size, size);
      const { digest, manifest } = await home.add(home.file(`in-${size}`, bytes));
      expect(manifest.chunks.length).toBe(Math.ceil(size / chunkBytes));
      await get(digest, `out-${size}`);
      expect(Buffer.compare(readFileSync(out(`out-${size}`)), Buffer.from(bytes))).toBe(0);
    }
  });

  test("W-5 a folder comes out with every file; what two files share is stored once", async () => {
    const shared = noise(2 * chunkBytes);
    const files = { "f/a.bin": shared, "f/b/c.bin": shared, "f/b/empty": "", "f/ü.txt": "ü" };
    for (const [name, content] of Object.entries(files)) home.file(name, content);
    const added = await home.add(out("f"));
    expect(added.newBytes).toBe(shared.byteLength + 2);
    expect(added.manifest.files?.map(({ path }) => path)).toEqual([
      ...["a.bin", "b/c.bin", "b/empty", "ü.txt"],
    ]);
    await get(added.digest, "g");
    for (const [name, content] of Object.entries(files))
      expect(readFileSync(out(`g${name.slice(1)}`))).toEqual(Buffer.from(content as string));
    expect(readdirSync(join(home.root, "drafts"))).toEqual([]);
  });

  test("W-5 the same content has the same digest, and adding it again writes nothing", async () => {
    const first = await home.add(home.file("a", noise(200_000)));
    const second = await home.add(home.file("b", noise(200_000)));
    expect([second.digest, second.newBytes]).toEqual([first.digest, 0]);
    const titled = await home.add(out("a"), { title: "A" });
    expect(titled.digest).not.toBe(first.digest);
  });

  test("W-5 a receipt and a journal entry tell of it, a name finds it", async () => {
    const { digest } = await home.add(home.file("a", "abc"), { name: "run/r1/checkpoint/5" });
    const [logged] = (await home.services.receipts.open()).list({ limit: 1 });
    expect(logged?.receipt).toMatchObject({
      ...{ kind: "artifact.added", subject: digest, body: { sizeBytes: 3, chunkCount: 1 } },
    });
    const entry = home.services.journal.after(0, 100).at(-1);
    expect(entry).toMatchObject({ type: "artifact.added", subject: digest });
    const { catalog } = await home.shelf();
    expect(catalog.resolve("run/r1/checkpoint/5")).toBe(digest);
    expect(catalog.resolve(digest.slice(0, 8))).toBe(digest);
    for (const words of [digest.slice(0, 7), "run/r1", "zzzzzzzz"])
      expect(await codeOf(() => catalog.resolve(words))).toBe("artifact_unknown");
  });

  test("W-5 links, devices and names that cannot travel are refused, and nothing is kept", async () => {
    const cases: Record<string, (folder: string) => void> = {
      link: (folder) => symlinkSync("/etc/hostname", join(folder, "x")),
      folder: (folder) => symlinkSync("..", join(folder, "x")),
      backslash: (folder) => writeFileSync(join(folder, "a\\b"), ""),
      newline: (folder) => writeFileSync(join(folder, "a\nb"), ""),
      pipe: (folder) => Bun.spawnSync(["mkfifo", join(folder, "p")]),
    };
    for (const [name, spoil] of Object.entries(cases)) {
      home.file(`${name}/good`, "good");
      spoil(out(name));
      expect([name, await codeOf(() => home.add(out(name)))]).toEqual([
        ...[name, "artifact_source_wrong"],
      ]);
    }
    expect(await codeOf(() => home.add(out("absent")))).toBe("not_found");
    expect((await home.shelf()).catalog.digests()).toEqual([]);
  });

  test("W-5 a file that changes while it is read is refused", async () => {
    const path = home.file("a", noise(12 * chunkBytes));
    let isCut = false;
    const onProgress = () => {
      if (!isCut) truncateSync(path, chunkBytes * 2);
      isCut = true;
    };
    const read = () => home.add(path, { onProgress });
    expect(await codeOf(read)).toBe("data_changed");
  });

  test("W-5 nothing is written over, not even through a link that leads nowhere", async () => {
    const { digest } = await home.add(home.file("a", "abc"));
    home.file("taken", "mine");
    mkdirSync(out("folder"));
    symlinkSync(out("nowhere"), out("link"));
    for (const name of ["taken", "folder", "link"])
      expect(await codeOf(() => get(digest, name))).toBe("usage");
    expect(readFileSync(out("taken"), "utf8")).toBe("mine");
    expect(existsSync(out("nowhere"))).toBe(false);
    expect(await codeOf(() => get("0".repeat(64), "none"))).toBe("artifact_unknown");
  });

  test("W-5 a quota is refused before anything is written, and what fits is not", async () => {
    const path = home.file("a", noise(4 * chunkBytes));
    const refusal = await refusalOf(() => home.add(path, { quotaBytes: 4 * chunkBytes - 1 }));
    expect(refusal?.code).toBe("artifact_quota");
    expect(existsSync(join(home.root, "chunks"))).toBe(false);
    await home.add(path, { quotaBytes: 4 * chunkBytes });
    const second = home.file("b", noise(10, 9));
    expect(await codeOf(() => home.add(second, { quotaBytes: 4 * chunkBytes }))).toBe(
      "artifact_quota",
    );
  });
});

describe("W-5 damage on the disk", () => {
  test("W-5 a damaged chunk is set aside, named and never given; a pull brings it again", async () => {
    const { digest, manifest } = await home.add(home.file("a", noise(5 * chunkBytes)));
    using other = await TestHome.open();
    await other.pull(digest, [home.holder()]);
    const hurt = manifest.chunks[2]!;
    const bytes = readFileSync(pathOf("chunks", hurt));
    bytes[100]! ^= 1;
    writeFileSync(pathOf("chunks", hurt), bytes);
    const shelf = await home.shelf();
    expect(await codeOf(() => shelf.readBlob(hurt))).toBe("artifact_damaged");
    expect(await codeOf(() => shelf.readBlob(hurt))).toBe("artifact_unknown");
    expect(readdirSync(join(home.root, "damaged"))).toEqual([
      expect.stringContaining(`chunks-${hurt}`),
    ]);
    expect(shelf.catalog.get(digest)?.isWhole).toBe(false);
    expect(home.services.journal.after(0, 100).at(-1)?.type).toBe("artifact.damaged");
    expect(await codeOf(() => get(digest, "out"))).toBe("artifact_incomplete");
    expect(existsSync(out("out"))).toBe(false);
    const pulled = await home.pull(digest, [other.holder()]);
    expect([pulled.fetchedChunks, shelf.catalog.get(digest)?.isWhole]).toEqual([1, true]);
    await get(digest, "out");
    expect(digestBytes(readFileSync(out("out")))).toBe(digestBytes(readFileSync(out("a"))));
  });

  test("W-5 verify finds what is cut, grown, gone or changed, in manifests too", async () => {
    const artifacts: Added[] = [];
    for (let seed = 1; seed <= 5; seed++)
      artifacts.push(await home.add(home.file(`${seed}`, noise(2 * chunkBytes, seed))));
    const chunk = (index: number) => pathOf("chunks", artifacts[index]!.manifest.chunks[0]!);
    truncateSync(chunk(0), 10);
    writeFileSync(chunk(1), noise(20 * 1024 * 1024));
    rmSync(chunk(2));
    writeFileSync(pathOf("manifests", artifacts[3]!.digest), "{}");
    const found = await verifyArtifacts(await home.shelf(), null, signal);
    expect(found.whole).toEqual([artifacts[4]!.digest]);
    expect(new Map(found.broken.map(({ artifact, chunks }) => [artifact, chunks]))).toEqual(
      new Map(
        artifacts
          .slice(0, 4)
          .map(({ digest, manifest }, index) => [
            ...([digest, [index === 3 ? digest : manifest.chunks[0]!]] as const),
          ]),
      ),
    );
  });

  test("W-5 the index is made again from the files: artifacts, names, sizes", async () => {
    const { digest } = await home.add(home.file("a", noise(3 * chunkBytes)), { name: "kept/one" });
    const damaged = await home.add(home.file("b", noise(2 * chunkBytes, 5)));
    const usedBytes = (await home.shelf()).blobs.index.usedBytes();
    rmSync(pathOf("chunks", damaged.manifest.chunks[1]!));
    for (const suffix of ["", "-wal", "-shm"])
      rmSync(home.services.home.database + suffix, { force: true });
    const again = compose({ home: home.services.home.root, interaction: noInteraction });
    try {
      const shelf = await again.services.artifacts.open();
      expect(shelf.catalog.resolve("kept/one")).toBe(digest);
      expect(shelf.catalog.get(digest)).toMatchObject({ isWhole: true, origin: "found" });
      expect(shelf.catalog.get(damaged.digest)).toMatchObject({ isWhole: false });
      expect(shelf.blobs.index.usedBytes()).toBe(usedBytes - chunkBytes);
      await takeOut(shelf, digest, out("again"), signal);
      expect(readFileSync(out("again"))).toEqual(readFileSync(out("a")));
    } finally {
      again.close();
    }
  });
});
