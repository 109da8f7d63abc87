import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines } from "./binary.ts";
import { DaemonHome, lives, until } from "./daemon.fixture.ts";
import { askSocket } from "./storm-doors.fixture.ts";

/** Three daemons on this machine are one mesh, and move artifacts between them without being told where from. */

const minute = 60_000;
const free = ["--detach", "--port", "0", "--peer-port", "0"] as const;
const chunkBytes = 4 * 1024 * 1024;

interface MeshRow {
  readonly artifact: string;
  readonly holders: readonly string[];
  readonly isHere: boolean;
}

interface Pulled {
  readonly code?: string;
  readonly message?: string;
  readonly fetchedChunks: number;
  readonly holders: readonly {
    readonly holder: string;
    readonly chunks: number;
    readonly reason: string | null;
  }[];
}

class Keeper extends DaemonHome {
  node = "";

  async call<T>(...words: string[]): Promise<T> {
    return (await this.json(...words)) as T;
  }

  async open(): Promise<void> {
    await this.call("up", ...free);
    this.node = (await this.call<{ nodeId: string }>("identity", "show")).nodeId;
  }

  async join(founder: Keeper): Promise<void> {
    const { line } = await founder.call<{ line: string }>("token", "create");
    const joined = await this.run(...line.split(" ").slice(1), ...free);
    if (joined.status !== 0) throw new Error(joined.stderr);
    this.node = (await this.call<{ nodeId: string }>("identity", "show")).nodeId;
  }

  async add(name: string, content: string | Uint8Array): Promise<string> {
    const path = this.folder.file(name);
    writeFileSync(path, content);
    return (await this.call<{ artifact: string }>("artifact", "add", path)).artifact;
  }

  pull = (artifact: string) => this.call<Pulled>("artifact", "pull", artifact);

  async mesh(artifact: string): Promise<MeshRow | undefined> {
    const { mesh } = await this.call<{ mesh: readonly MeshRow[] }>("artifact", "list", "--mesh");
    return mesh.find((row) => row.artifact === artifact);
  }

  /** Waits until it knows that exactly these members hold it. */
  async sees(artifact: string, ...keepers: readonly Keeper[]): Promise<MeshRow | undefined> {
    const wanted = keepers.map(({ node }) => node).toSorted();
    let seen: MeshRow | undefined;
    await until(`${wanted.length} hold it`, async () => {
      seen = await this.mesh(artifact);
      return JSON.stringify(seen?.holders ?? []) === JSON.stringify(wanted);
    });
    return seen;
  }

  get chunkCount(): number {
    const folder = join(this.path, "artifacts/chunks");
    if (!existsSync(folder)) return 0;
    const all = readdirSync(folder, { recursive: true, withFileTypes: true });
    return all.filter((each) => each.isFile()).length;
  }

  async content(artifact: string): Promise<Buffer> {
    const out = this.folder.file(`out-${artifact}`);
    expect((await this.run("artifact", "get", artifact, out)).status).toBe(0);
    return readFileSync(out);
  }
}

function noise(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += 65_536)
    crypto.getRandomValues(bytes.subarray(offset, offset + 65_536));
  return bytes;
}

const [one, two, three] = [new Keeper("one"), new Keeper("two"), new Keeper("three")];
beforeAll(async () => {
  await one.open();
  await two.join(one);
  await three.join(one);
}, 2 * minute);
afterAll(async () => {
  for (const each of [three, two, one]) await each[Symbol.asyncDispose]();
}, 2 * minute);

describe("W-5 C-7 artifacts of a mesh", () => {
  test(
    "W-5 C-7 added on one, pulled by its digest alone on another, known on the third until it is gone",
    async () => {
      const bytes = noise(3 * chunkBytes + 7);
      const artifact = await one.add("model", bytes);
      expect(await three.sees(artifact, one)).toMatchObject({ isHere: false });
      const pulled = await two.pull(artifact);
      expect(pulled).toMatchObject({ fetchedChunks: 4, holders: [{ holder: one.node }] });
      expect(Buffer.compare(await two.content(artifact), bytes)).toBe(0);
      await three.sees(artifact, one, two);
      expect(await two.sees(artifact, one, two)).toMatchObject({ isHere: true });
      const shown = await one.call<{ holders: readonly string[] }>("artifact", "show", artifact);
      expect(shown.holders).toEqual([one.node, two.node].toSorted());
      interface Row {
        readonly node: string;
        readonly blobCount: number;
      }
      const { nodes } = await three.call<{ nodes: readonly Row[] }>("nodes");
      const counts = nodes.map(({ node, blobCount }) => [node, blobCount]);
      expect(Object.fromEntries(counts)).toEqual({
        ...{ [one.node]: 1, [two.node]: 1, [three.node]: 0 },
      });
      // A daemon that is asked to pull does so itself.
      const asked = await askSocket(three.path, "artifact/pull", { digest: artifact });
      expect(asked).toMatchObject({ kind: "result", result: { fetchedChunks: 4 } });
      await one.sees(artifact, one, two, three);
      expect((await two.run("artifact", "gc", "--grace", "0s")).status).toBe(0);
      await three.sees(artifact, one, three);
    },
    2 * minute,
  );

  test(
    "W-5 a member killed in the middle of a pull: it goes on from the other holder",
    async () => {
      const bytes = noise(40 * chunkBytes);
      const artifact = await one.add("large", bytes);
      expect((await two.pull(artifact)).fetchedChunks).toBe(40);
      await three.sees(artifact, one, two);
      const before = three.chunkCount;
      const pulling = await three.start("artifact", "pull", artifact, "--json");
      await until("some of it is there", () => three.chunkCount >= before + 4);
      // Nothing is fetched while the holder dies, so it dies in the middle.
      pulling.kill("SIGSTOP");
      const { pid } = two.file;
      process.kill(pid, "SIGKILL");
      await until("it is gone", () => !lives(pid));
      pulling.kill("SIGCONT");
      const said = await pulling.stdout.text();
      await pulling.exited;
      const pulled = jsonLines(said).at(-1) as unknown as Pulled;
      expect(pulled).toMatchObject({ fetchedChunks: 40 });
      const [gone, rest] = [two, one].map(({ node }) =>
        pulled.holders.find(({ holder }) => holder === node),
      );
      expect(gone!.reason).toContain(two.node);
      expect(gone!.chunks + rest!.chunks).toBe(40);
      expect(gone!.chunks).toBeLessThan(40);
      expect(Buffer.compare(await three.content(artifact), bytes)).toBe(0);
      expect((await two.run("up", ...free)).status).toBe(0);
    },
    2 * minute,
  );

  test(
    "W-5 a stranger and a member that was evicted get nothing, and learn nothing",
    async () => {
      const artifact = await one.add("secret", "not for everybody");
      await using stranger = new Keeper("stranger");
      await stranger.open();
      expect(await stranger.pull(artifact)).toMatchObject({ code: "artifact_unavailable" });
      const { places } = (
        await one.call<{ members: readonly { isSelf: boolean; places: readonly string[] }[] }>(
          ...["cluster", "residency"],
        )
      ).members.find(({ isSelf }) => isSelf)!;
      for (const digest of [artifact, "0".repeat(64)]) {
        const answer = await fetch(`https://${places[0]}/blobs/${digest}`, {
          tls: { rejectUnauthorized: false },
        });
        expect([answer.status, await answer.text()]).toEqual([401, ""]);
      }
      await three.sees(artifact, one);
      expect((await one.run("node", "evict", three.node, "--reason", "it was lent")).status).toBe(
        0,
      );
      const refused = await three.pull(artifact);
      expect(refused.code).toBe("artifact_unavailable");
      expect(refused.message).toContain("401");
      expect(await one.sees(artifact, one)).toMatchObject({ isHere: true });
    },
    2 * minute,
  );
});
