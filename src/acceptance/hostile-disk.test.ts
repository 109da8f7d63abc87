import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { binaryPath, jsonLines, runBinary, start, startBinary, TemporaryFolder } from "./binary.ts";
import {
  type Done,
  lastLine,
  liveLines,
  slowModel,
  tinyModel,
  trainersOf,
  trainToEnd,
  writeBook,
} from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const book = writeBook(folder);
const words = [book, ...slowModel, "--steps", "120", "--checkpoint-every", "10"];

const mounted = Bun.spawnSync([
  ...["sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt && umount /mnt"],
]);
const whyUnmountable = mounted.exitCode === 0 ? "" : " (this user may not mount)";

/** Gives a home on a file system of its own size. */
async function withSmallHome(sizeMiB: number, use: (home: string) => Promise<void>): Promise<void> {
  using place = new TemporaryFolder();
  const small = place.file("home");
  mkdirSync(small);
  const words = ["mount", "-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", small];
  expect(Bun.spawnSync(words).exitCode).toBe(0);
  try {
    await use(small);
  } finally {
    Bun.spawnSync(["umount", "-l", small]);
  }
}

/** Fills what is left of a home's file system to the last byte. */
const fill = (home: string) =>
  Bun.spawnSync(["sh", "-c", 'cat /dev/zero > "$0/filler"', home], { stderr: "ignore" });

describe("T-7 a full disk", () => {
  test.skipIf(whyUnmountable !== "")(
    `T-7 a disk too small for a checkpoint is refused before the first step${whyUnmountable}`,
    async () => {
      await withSmallHome(4, async (home) => {
        const large = ["--layers", "4", "--width", "128", "--heads", "4", "--batch", "2"];
        const outcome = await runBinary(["train", book, ...large, "--steps", "5", "--json"], {
          home,
        });
        const refusal = lastLine(outcome.stdout);
        expect({ status: outcome.status, code: refusal["code"] }).toEqual({
          ...{ status: 14, code: "disk_full" },
        });
        const { neededBytes, freeBytes } = refusal["details"] as Record<string, number>;
        expect(neededBytes).toBeGreaterThan(freeBytes!);
        expect(jsonLines(outcome.stdout).some(({ type }) => type === "step")).toBe(false);
      });
    },
  );

  test.skipIf(whyUnmountable !== "")(
    `T-7 a disk that fills up in the middle loses nothing that was acknowledged${whyUnmountable}`,
    async () => {
      const expected: Done = await trainToEnd(folder.file("undisturbed"), words);
      await withSmallHome(24, async (home) => {
        const parent = await startBinary(["train", ...words, "--json", "--no-input"], home);
        const lines: Record<string, unknown>[] = [];
        for await (const line of liveLines(parent.stdout)) {
          lines.push(line);
          if (line["type"] === "checkpoint" && line["step"] === 20) fill(home);
        }
        await parent.exited;
        const kept = lines.filter(({ type }) => type === "checkpoint").at(-1)!;
        const told = lines.find(
          ({ type, code }) =>
            (type === "checkpoint-failed" || type === "refusal") && code === "disk_full",
        );
        expect(told).toMatchObject({ code: "disk_full" });
        expect({ status: parent.exitCode, last: lines.at(-1) }).toMatchObject({
          ...{ status: 14, last: { type: "refusal", code: "disk_full" } },
        });
        rmSync(join(home, "filler"));
        const digest = await runBinary(["digest", "latest", "--json"], { home });
        expect(digest.status).toBe(0);
        expect(Number(lastLine(digest.stdout)["step"])).toBeGreaterThanOrEqual(
          Number(kept["step"]),
        );
        const done = await trainToEnd(home, ["--resume", "latest"]);
        expect(done.digest).toBe(expected.digest);
      });
    },
  );
});

/** A command run as a user whom file permissions bind, or why that cannot be had here. */
const bound = process.getuid?.() !== 0 ? [] : ["setpriv", "--reuid=65534", "--clear-groups"];
const whyUnbound =
  bound.length > 0 && Bun.which("setpriv") === null ? " (root without setpriv)" : "";

describe("I-1 a home that cannot be written", () => {
  test.skipIf(whyUnbound !== "")(
    `I-1 is read, training is refused and nothing in it changes${whyUnbound}`,
    async () => {
      const home = folder.file("read-only");
      const kept = await trainToEnd(home, [book, ...tinyModel, "--steps", "5", "--name", "kept"]);
      chmodSync(folder.path, 0o755);
      if (bound.length > 0)
        for (const name of ["", ...readdirSync(home, { recursive: true }).map(String)])
          chownSync(join(home, name), 65_534, 65_534);
      Bun.spawnSync(["chmod", "-R", "a-w", home]);
      const path = await binaryPath();
      const run = async (words: readonly string[]) => {
        const child = start([...bound, path, ...words, "--json", "--no-input"], home);
        const stdout = await child.stdout.text();
        await child.exited;
        return { status: child.exitCode, last: lastLine(stdout) };
      };
      expect(await run(["train", book, ...tinyModel, "--steps", "5"])).toMatchObject({
        ...{ status: 14, last: { type: "refusal", code: "home_unwritable" } },
      });
      expect(await run(["digest", "kept"])).toMatchObject({
        ...{ status: 0, last: { step: 5, digest: kept.digest } },
      });
      Bun.spawnSync(["chmod", "-R", "u+w", home]);
      expect(await run(["digest", "kept"])).toMatchObject({
        ...{ status: 0, last: { step: 5, digest: kept.digest } },
      });
    },
  );
});

describe("I-1 two processes on one home", () => {
  test("I-1 a second train is refused while the first goes on undisturbed; reading is not", async () => {
    const home = folder.file("shared");
    const first = await startBinary(
      ["train", ...words, "--name", "first", "--json", "--no-input"],
      home,
    );
    let isAsked = false;
    let last: Record<string, unknown> = {};
    for await (const line of liveLines(first.stdout)) {
      last = line;
      if (line["type"] !== "checkpoint" || isAsked) continue;
      isAsked = true;
      for (const second of [
        ["train", book],
        ["train", "--resume", "first"],
      ]) {
        const refused = await runBinary([...second, "--json"], { home });
        expect({ second, status: refused.status, ...lastLine(refused.stdout) }).toMatchObject({
          ...{ second, status: 11, code: "home_locked", details: { pid: first.pid } },
        });
      }
      for (const reading of ["runs", "run status", "sample"]) {
        const read = await runBinary([...reading.split(" "), "--json"], { home });
        expect({ reading, status: read.status }).toEqual({ reading, status: 0 });
      }
      expect(trainersOf(home).length).toBeLessThanOrEqual(1);
    }
    await first.exited;
    expect({ isAsked, status: first.exitCode, last }).toMatchObject({
      ...{ isAsked: true, status: 0, last: { type: "done", steps: 120 } },
    });
  });
});
