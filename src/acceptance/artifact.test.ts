import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { runBinary, startBinary, TemporaryFolder } from "./binary.ts";
import { DaemonHome, until } from "./daemon.fixture.ts";
import { lastLine, liveLines } from "./training.fixture.ts";

const chunkBytes = 4 * 1024 * 1024;
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** Bytes no chunk of which is another's. */
function blob(name: string, chunkCount: number, rest = 0): string {
  const path = folder.file(name);
  const bytes = new Uint8Array(chunkCount * chunkBytes + rest);
  for (let offset = 0; offset < bytes.length; offset += 65_536)
    crypto.getRandomValues(bytes.subarray(offset, offset + 65_536));
  writeFileSync(path, bytes);
  return path;
}

const run = async (home: string, ...words: string[]) => {
  const outcome = await runBinary(["artifact", ...words, "--json"], { home, timeoutMs: 120_000 });
  return { status: outcome.status, last: lastLine(outcome.stdout) };
};
const add = async (home: string, ...words: string[]) => {
  const { status, last } = await run(home, "add", ...words);
  expect(status).toBe(0);
  return String(last["artifact"]);
};
const isSame = (one: string, other: string) =>
  Buffer.compare(readFileSync(one), readFileSync(other)) === 0;
const chunkFiles = (home: string) => {
  const root = join(home, "artifacts/chunks");
  if (!existsSync(root)) return [];
  const all = readdirSync(root, { recursive: true, withFileTypes: true });
  return all.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
};

/** Stands before a daemon, counts the chunk bytes it gives, and may hold them back. */
function gateway(origin: string, token: string) {
  const state = { bytes: 0, chunks: [] as string[], afterChunks: Infinity, underWay: 0 };
  const server = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1", idleTimeout: 60 },
    async fetch(request) {
      const path = new URL(request.url).pathname;
      const isManifest = state.chunks.length === 0 && state.bytes === 0 && first;
      first = false;
      if (!isManifest && state.chunks.length >= state.afterChunks) await new Promise(() => {});
      state.underWay += 1;
      const answer = await fetch(origin + path, { headers: { authorization: `Bearer ${token}` } });
      const bytes = await answer.arrayBuffer();
      state.underWay -= 1;
      if (!isManifest && answer.ok) {
        state.bytes += bytes.byteLength;
        state.chunks.push(path);
      }
      return new Response(bytes, { status: answer.status });
    },
  });
  let first = true;
  return {
    state,
    url: `http://127.0.0.1:${server.port}`,
    reset: () => {
      first = false;
      Object.assign(state, { bytes: 0, chunks: [], afterChunks: Infinity });
    },
    stop: () => server.stop(true),
  };
}

describe("W-5 artifacts, the executable", () => {
  test("W-5 a folder goes in and comes out bit for bit; a file too", async () => {
    const home = folder.file("plain/home");
    const model = folder.file("model/weights.bin");
    writeFileSync(model, readFileSync(blob("weights", 2, 77)));
    writeFileSync(folder.file("model/sub/config.json"), '{"a":1}\n');
    writeFileSync(folder.file("model/empty"), "");
    const artifact = await add(home, folder.file("model"), "--name", "shakespeare/hf");
    const out = folder.file("model-out");
    expect((await run(home, "get", "shakespeare/hf", out)).status).toBe(0);
    const compared = Bun.spawnSync(["diff", "-r", folder.file("model"), out]);
    expect(compared.exitCode).toBe(0);
    expect((await run(home, "show", artifact)).last).toMatchObject({ names: ["shakespeare/hf"] });
    expect((await run(home, "list")).last["artifacts"]).toMatchObject([{ artifact, files: 3 }]);
    expect((await run(home, "get", artifact, out)).last).toMatchObject({ code: "usage" });
    const receipts = await runBinary(["receipt", "list", "--json"], { home });
    expect(receipts.stdout).toContain("artifact.added");
  }, 60_000);

  test("W-5 between two daemons; killed in the middle, a pull goes on at the last whole chunk", async () => {
    await using holder = new DaemonHome();
    await using other = new DaemonHome();
    const path = blob("large", 16, 5);
    const artifact = await add(holder.path, path, "--name", "large");
    const { url } = await holder.up();
    await other.up();
    const token = readFileSync(join(holder.path, "identity/operator.token"), "utf8").trim();
    const between = gateway(url, token);
    try {
      between.state.afterChunks = 6;
      const pull = ["pull", artifact, "--from", between.url];
      const killed = await startBinary(["artifact", ...pull], other.path);
      await until("six chunks are there", () => chunkFiles(other.path).length >= 6);
      killed.kill("SIGKILL");
      await killed.exited;
      await until("what the killed one asked for is over", () => between.state.underWay === 0);
      const kept = chunkFiles(other.path).length;
      expect(kept).toBeGreaterThanOrEqual(6);
      expect(chunkFiles(other.path).every((file) => statSync(file).size === chunkBytes)).toBe(true);
      const before = between.state.bytes;
      expect(before).toBeLessThanOrEqual((kept + 8) * chunkBytes);
      between.reset();
      const { status, last } = await run(other.path, ...pull, "--name", "got/large");
      expect({ status, ...last }).toMatchObject({ status: 0, fetchedChunks: 17 - kept });
      expect(between.state.bytes).toBe((16 - kept) * chunkBytes + 5);
      const out = folder.file("large-out");
      expect((await run(other.path, "get", "got/large", out)).status).toBe(0);
      expect(isSame(path, out)).toBe(true);
      const direct = await fetch(`${url}/blobs/${artifact}`);
      expect(direct.status).toBe(403);
      const receipts = await runBinary(["receipt", "list", "--json"], { home: other.path });
      expect(receipts.stdout).toContain("artifact.pulled");
    } finally {
      await between.stop();
    }
  }, 120_000);

  test("W-5 one holder lies, one vanishes, one is good; damage on disk is found and mended", async () => {
    const [source, target] = [folder.file("good/home"), folder.file("target/home")];
    const path = blob("mid", 6);
    const artifact = await add(source, path);
    const liar = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1" },
      fetch: () => new Response(new Uint8Array(chunkBytes)),
    });
    const vanishing = Bun.listen({
      ...{ port: 0, hostname: "127.0.0.1" },
      socket: { data: (socket) => socket.terminate() },
    });
    const from = [`http://127.0.0.1:${liar.port}`, `http://127.0.0.1:${vanishing.port}`, source];
    const words = from.flatMap((each) => ["--from", each]);
    try {
      const { status, last } = await run(target, "pull", artifact, ...words, "--name", "mid");
      expect({ status, ...last }).toMatchObject({ status: 0, fetchedChunks: 6 });
      const reports = last["holders"] as { dropped: string | null; chunks: number }[];
      expect(reports.map(({ chunks }) => chunks)).toEqual([0, 0, 6]);
      expect(reports[0]?.dropped).toBe("holder_lied");
    } finally {
      await liar.stop(true);
      vanishing.stop(true);
    }
    const [hurt] = chunkFiles(target);
    writeFileSync(hurt!, readFileSync(hurt!).fill(1, 5, 6).fill(2, 6, 7));
    const verified = await run(target, "verify");
    expect({ status: verified.status, ...verified.last }).toMatchObject({
      ...{ status: 13, code: "artifact_damaged", details: { broken: [{ artifact }] } },
    });
    const out = folder.file("mid-out");
    expect((await run(target, "get", "mid", out)).last).toMatchObject({
      code: "artifact_incomplete",
    });
    expect((await run(target, "pull", artifact, "--from", source)).last).toMatchObject({
      fetchedChunks: 1,
    });
    expect((await run(target, "get", "mid", out)).status).toBe(0);
    expect(isSame(path, out)).toBe(true);
    expect((await run(target, "gc", "--grace", "0s")).last).toMatchObject({ artifacts: [] });
    await run(target, "remove", "mid");
    expect((await run(target, "gc", "--grace", "0s", "--dry-run")).last).toMatchObject({
      artifacts: [artifact],
    });
    expect((await run(target, "gc", "--grace", "0s")).last).toMatchObject({ keptBytes: 0 });
    expect(chunkFiles(target)).toEqual([]);
  }, 120_000);

  test("W-5 a quota and Ctrl-C: refused before the start, resumable after", async () => {
    const [source, target] = [folder.file("q/source"), folder.file("q/target")];
    const artifact = await add(source, blob("quota", 4));
    const pull = ["pull", artifact, "--from", source];
    expect(await run(target, ...pull, "--quota", "16MB")).toMatchObject({
      ...{ status: 14, last: { code: "artifact_quota" } },
    });
    expect(chunkFiles(target)).toEqual([]);
    const silent = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1", idleTimeout: 60 },
      async fetch(request) {
        const digest = new URL(request.url).pathname.split("/").at(-1)!;
        const at = (kind: string) => join(source, "artifacts", kind, digest.slice(0, 2), digest);
        if (digest === artifact) return new Response(Bun.file(at("manifests")));
        if (chunkFiles(target).length > 0) await new Promise(() => {});
        return new Response(Bun.file(at("chunks")));
      },
    });
    try {
      const words = ["artifact", "pull", artifact, "--from", `http://127.0.0.1:${silent.port}`];
      const child = await startBinary([...words, "--json"], target);
      for await (const line of liveLines(child.stdout))
        if (line["type"] === "artifact-progress" && Number(line["doneBytes"]) > 0)
          child.kill("SIGINT");
      await child.exited;
      expect(child.exitCode).toBe(130);
    } finally {
      await silent.stop(true);
    }
    const kept = chunkFiles(target).length;
    const { last } = await run(target, "list");
    expect(kept === 4 || (last["pulls"] as unknown[]).length === 1).toBe(true);
    expect((await run(target, ...pull)).last).toMatchObject({ fetchedChunks: 4 - kept });
  }, 120_000);

  const mounted = Bun.spawnSync(["sh", "-c", "mount -t tmpfs -o size=64k t /mnt && umount /mnt"]);
  const whyUnmountable = mounted.exitCode === 0 ? "" : " (this user may not mount)";
  test.skipIf(whyUnmountable !== "")(
    `W-5 a full disk is said so, and what is there stays right${whyUnmountable}`,
    async () => {
      using place = new TemporaryFolder();
      const home = place.file("home");
      mkdirSync(home);
      const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", home]);
      expect(mount.exitCode).toBe(0);
      try {
        const small = blob("small", 1);
        await add(home, small, "--name", "small");
        const source = folder.file("full/source");
        const large = await add(source, blob("too-large", 6));
        const refused = await run(home, "pull", large, "--from", source);
        expect(refused).toMatchObject({ status: 14, last: { code: "disk_full" } });
        expect(chunkFiles(home)).toHaveLength(1);
        Bun.spawnSync(["sh", "-c", 'head -c 16000000 /dev/zero > "$0/filler"', home]);
        const more = blob("more", 2);
        expect(await run(home, "add", more)).toMatchObject({ last: { code: "disk_full" } });
        rmSync(join(home, "filler"));
        expect((await run(home, "verify")).status).toBe(0);
        await add(home, more);
        expect((await run(home, "get", "small", folder.file("small-out"))).status).toBe(0);
        expect(isSame(small, folder.file("small-out"))).toBe(true);
      } finally {
        Bun.spawnSync(["umount", "-l", home]);
      }
    },
    120_000,
  );
});
