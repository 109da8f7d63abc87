import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { blobPath } from "#src/artifact/layout.ts";
import { digestBytes } from "#src/codec/digest.ts";
import { rangeOf } from "../blob-answer.ts";
import { openTestDoor, problemIn, until, type TestDoor } from "./http.fixture.ts";

let door: TestDoor;
const chunk = new Uint8Array(4 * 1024 * 1024).map((_, index) => (index * 7919) >> 8);
const digest = digestBytes(chunk);
const put = async (bytes: Uint8Array<ArrayBuffer>, name = digestBytes(bytes)) => {
  const path = join(door.services.home.artifacts, blobPath("chunks", name));
  await Bun.write(path, bytes);
  return path;
};
beforeAll(async () => {
  door = await openTestDoor({ limits: { idleTimeSeconds: 4 } });
  await put(chunk);
});
afterAll(() => door.close());

const path = `/blobs/${digest}`;
const get = (range?: string, more: Record<string, string> = {}) =>
  door.own(path, { headers: { ...(range === undefined ? {} : { range }), ...more } });

describe("W-5 GET /blobs", () => {
  test("W-5 a blob comes whole, with its digest as ETag, never to change", async () => {
    const response = await get();
    expect(response.status).toBe(200);
    expect(response.headers.get("etag")).toBe(`"${digest}"`);
    expect(response.headers.get("cache-control")).toContain("immutable");
    expect(response.headers.get("accept-ranges")).toBe("bytes");
    expect(digestBytes(new Uint8Array(await response.arrayBuffer()))).toBe(digest);
    const known = await get(undefined, { "if-none-match": `"${digest}"` });
    expect([known.status, await known.text()]).toEqual([304, ""]);
  });

  const size = chunk.byteLength;
  const ranges: readonly (readonly [string, number, number, number])[] = [
    ["bytes=0-9", 206, 0, 10],
    ["bytes=5-", 206, 5, size],
    ["bytes=-7", 206, size - 7, size],
    [`bytes=${size - 1}-${size + 10}`, 206, size - 1, size],
    [`bytes=-${size * 2}`, 206, 0, size],
    ["bytes=9-3", 200, 0, size],
    ["bytes=0-1,4-5", 200, 0, size],
    ["lines=0-1", 200, 0, size],
    ["bytes=-", 200, 0, size],
  ];
  test.each(ranges)("W-5 %s", async (range, status, start, end) => {
    const response = await get(range);
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect([response.status, bytes.byteLength]).toEqual([status, end - start]);
    expect(Buffer.compare(bytes, chunk.subarray(start, end))).toBe(0);
    if (status === 206)
      expect(response.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${size}`);
  });

  test("W-5 a range beyond the end is said so; another blob's If-Range gives the whole", async () => {
    const beyond = await get(`bytes=${size}-`);
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, `bytes */${size}`]);
    const other = await get("bytes=0-1", { "if-range": '"other"' });
    expect((await other.arrayBuffer()).byteLength).toBe(size);
    expect(rangeOf("bytes=0-", undefined, "", new Uint8Array())).toBe("unsatisfiable");
  });

  test("W-5 only members and above: without the token it is refused, whether it exists or not", async () => {
    for (const asked of [path, `/blobs/${"0".repeat(64)}`]) {
      const response = await door.ask(asked);
      expect(response.status).toBe(403);
      expect((await problemIn(response))["code"]).toBe("not_authorised");
    }
  });

  test("W-5 what is no digest, or nobody's, is not found; no path leads out", async () => {
    for (const name of ["0".repeat(64), digest.toUpperCase(), "..%2f..%2fnode.db", "x"]) {
      const response = await door.own(`/blobs/${name}`);
      expect([name, response.status]).toEqual([name, 404]);
      await response.body?.cancel();
    }
  });

  test("W-5 a damaged chunk is refused before its first byte and not found from then on", async () => {
    const bytes = chunk.slice(0, 1_000);
    const name = digestBytes(bytes);
    writeFileSync(await put(bytes), chunk.slice(1, 1_001));
    const response = await door.own(`/blobs/${name}`);
    const problem = await problemIn(response);
    expect(problem["code"]).toBe("artifact_damaged");
    expect(JSON.stringify(problem)).not.toContain(door.folder);
    expect((await door.own(`/blobs/${name}`)).status).toBe(404);
  });

  test("W-5 clients that do not read hold a bounded number of places and lose them", async () => {
    // More than the buffers of a connection take, whoever reads.
    const large = new Uint8Array(16 * 1024 * 1024);
    await put(large);
    const request = `GET /blobs/${digestBytes(large)} HTTP/1.1\r\nHost: localhost:${door.port}\r\nAuthorization: Bearer ${door.token}\r\n\r\n`;
    const clients = [];
    for (let index = 0; index < 24; index++) {
      const client = await door.raw(request);
      client.socket.pause();
      clients.push(client);
    }
    let refused: Response = await get();
    for (let tries = 0; refused.status === 200 && tries < 100; tries++) {
      await refused.body?.cancel();
      refused = await get();
    }
    expect(refused.status).toBe(503);
    expect((await problemIn(refused))["code"]).toBe("door_busy");
    for (const { socket } of clients) socket.destroy();
    let isServed = false;
    void (async () => {
      while (!isServed) {
        const response = await get("bytes=0-9");
        isServed = response.status === 206;
        await response.body?.cancel();
        await Bun.sleep(10);
      }
    })();
    await until(() => isServed, "a place came free");
    expect(isServed).toBe(true);
  }, 20_000);
});
