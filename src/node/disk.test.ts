import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";
import { machineDisk as disk } from "./disk.ts";
import { fileFailure } from "./file-failure.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "psionic-disk-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "accepted";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

describe("T-7 the disk", () => {
  test("T-7 publish replaces the whole file and leaves nothing else", async () => {
    const path = join(root, "file");
    await disk.publish(path, "one", 0o600);
    await disk.publish(path, "two", 0o600);
    expect(await disk.readText(path)).toBe("two");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(root)).toEqual(["file"]);
  });

  test("T-7 a failed publish keeps the old content and leaves nothing else", async () => {
    await disk.makeDirectory(join(root, "place/inside"));
    expect(await codeOf(disk.publish(join(root, "place"), "text"))).toBe("not_a_file");
    expect(readdirSync(root)).toEqual(["place"]);
  });

  test("T-7 what a killed process of the same number left behind does not stop a publish", async () => {
    const path = join(root, "file");
    for (let count = 1; count <= 2_000; count++)
      writeFileSync(join(root, `.file.${process.pid}.${count}.tmp`), "half");
    await disk.publish(path, "whole");
    expect(await disk.readText(path)).toBe("whole");
  });

  test("T-7 many publishes of one path at once leave one whole content", async () => {
    const path = join(root, "file");
    const contents = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000));
    await Promise.all(contents.map((content) => disk.publish(path, content)));
    expect(contents).toContain(await disk.readText(path));
    expect(readdirSync(root)).toEqual(["file"]);
  });

  test("T-7 a range ends where the file ends", async () => {
    const path = join(root, "file");
    await disk.publish(path, new Uint8Array([1, 2, 3, 4]));
    expect(await disk.readRange(path, 1, 2)).toEqual(new Uint8Array([2, 3]));
    expect(await disk.readRange(path, 3, 9)).toEqual(new Uint8Array([4]));
    expect(await disk.readRange(path, 9, 9)).toEqual(new Uint8Array([]));
  });

  test("T-7 a written file holds every byte in order and is never overwritten", async () => {
    const path = join(root, "file");
    const writer = await disk.create(path);
    await writer.write(new Uint8Array([1, 2]));
    await writer.write(new Uint8Array([3]));
    await writer.sync();
    await writer.close();
    expect(await disk.readBytes(path)).toEqual(new Uint8Array([1, 2, 3]));
    expect(await codeOf(disk.create(path))).toBe("disk_failed");
    await disk.rename(path, join(root, "other"));
    expect((await disk.list(root)).map(({ name }) => name)).toEqual(["other"]);
  });

  test("T-7 what is absent is null, an empty list or a refusal naming the path", async () => {
    const path = join(root, "absent");
    expect(await disk.stat(path)).toBeNull();
    expect(await disk.list(path)).toEqual([]);
    expect(await codeOf(disk.readText(path))).toBe("not_found");
    expect(await codeOf(disk.readText(root))).toBe("not_a_file");
    const refusal = await disk.readBytes(path).catch((error: unknown) => error as Refusal);
    expect((refusal as Refusal).message).toContain(path);
    await disk.remove(path);
  });

  test("T-7 lists are sorted by name", async () => {
    for (const name of ["b", "a", "B", "10", "9"]) await disk.publish(join(root, name), name);
    expect((await disk.list(root)).map(({ name }) => name)).toEqual(["10", "9", "B", "a", "b"]);
  });

  test("T-7 free space is counted in bytes", async () => {
    expect(await disk.freeBytes(root)).toBeGreaterThan(1024);
  });

  test.each([
    ["ENOSPC", "disk_full"],
    ["EDQUOT", "disk_full"],
    ["EROFS", "disk_read_only"],
    ["EACCES", "disk_denied"],
    ["EPERM", "disk_denied"],
    ["ENOENT", "not_found"],
    ["EISDIR", "not_a_file"],
    ["ENOTDIR", "not_a_file"],
    ["EIO", "disk_failed"],
  ])("T-7 %s is the refusal %s", (errno, code) => {
    const error = Object.assign(new Error("system"), { code: errno });
    const refusal = fileFailure(error, "write", "/x/y") as Refusal;
    expect(refusal.code).toBe(code as Refusal["code"]);
    expect(refusal.message).toContain("/x/y");
    expect(refusal.details).toMatchObject({ path: "/x/y", errno });
  });

  test("T-7 an error that is no system error stays what it is", () => {
    const bug = new TypeError("bug");
    expect(fileFailure(bug, "write", "/x")).toBe(bug);
  });
});
