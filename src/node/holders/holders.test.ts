import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "s3rver";
import type { Added } from "#src/artifact/add.ts";
import { chunkBytes, codeOf, noise, refusalOf, TestHome } from "#src/artifact/artifact.fixture.ts";
import type { Holder } from "#src/artifact/holder.ts";
import { blobPath } from "#src/artifact/layout.ts";
import { verifyArtifacts } from "#src/artifact/verify.ts";
import { openTestDoor, testToken, type TestDoor } from "#src/surface/http/http.fixture.ts";
import { BucketHolder } from "./bucket-holder.ts";
import { makeCertificate } from "./certificate.fixture.ts";
import { openHolder } from "./open-holder.ts";

const chunkCount = 10;
let source: TestHome;
let added: Added;
let door: TestDoor;
beforeAll(async () => {
  source = await TestHome.open();
  added = await source.add(source.file("a", noise(chunkCount * chunkBytes - 1)));
  door = await openTestDoor({
    parts: { services: Object.create(source.services, {}) as TestDoor["services"] },
  });
});
afterAll(async () => {
  await door.close();
  source[Symbol.dispose]();
});

const { signal } = new AbortController();
const around = (token: string | null = testToken) => ({
  ...{ disk: source.services.disk, environment: {}, tokenOf: () => token },
});

/** Pulls everything from holders into a home of its own and proves it. */
async function pullFrom(...holders: Holder[]) {
  using home = await TestHome.open();
  const pulled = await home.pull(added.digest, holders, { limits: { stallMs: 2_000 } });
  const { whole } = await verifyArtifacts(await home.shelf(), null, signal);
  return { ...pulled, isWhole: whole.includes(added.digest) };
}

/** A TLS server that gives this test's blobs. */
function serveTls(answer?: (request: Request) => Response | Promise<Response>) {
  const { key, cert, pin } = makeCertificate();
  const ranges: (string | null)[] = [];
  const server = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1", tls: { key, cert } },
    async fetch(request) {
      ranges.push(request.headers.get("range"));
      if (answer !== undefined) return answer(request);
      const digest = new URL(request.url).pathname.split("/").at(-1)!;
      for (const kind of ["chunks", "manifests"] as const) {
        const file = Bun.file(join(source.root, blobPath(kind, digest)));
        if (await file.exists()) return new Response(file);
      }
      return new Response(null, { status: 404 });
    },
  });
  return { ranges, pin, url: `https://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

describe("W-5 holders behind HTTP", () => {
  test("W-5 a daemon's door gives an artifact to whoever has the token", async () => {
    const pulled = await pullFrom(await openHolder(door.url, around()));
    expect(pulled).toMatchObject({ fetchedChunks: chunkCount, isWhole: true });
    const refused = await refusalOf(async () => pullFrom(await openHolder(door.url, around(null))));
    expect(refused).toMatchObject({ code: "artifact_unavailable" });
    expect(refused?.message).toContain("HTTP status 403");
    expect(refused?.message).not.toContain(testToken);
  });

  test("W-5 the socket of a daemon needs no token", async () => {
    const pulled = await pullFrom(await openHolder(door.socket, around(null)));
    expect(pulled).toMatchObject({ fetchedChunks: chunkCount, isWhole: true });
  });

  test("W-5 over TLS with a pinned certificate, each chunk by its range", async () => {
    const server = serveTls();
    try {
      const holder = await openHolder(`${server.url}#sha256=${server.pin}`, around(null));
      expect(await pullFrom(holder)).toMatchObject({ isWhole: true });
      expect(server.ranges.filter((range) => range === `bytes=0-${chunkBytes - 1}`)).toHaveLength(
        chunkCount - 1,
      );
    } finally {
      await server.stop();
    }
  });

  test("W-5 another certificate than the pinned one, or none that is trusted, gives nothing", async () => {
    const server = serveTls();
    try {
      const wrong = await openHolder(`${server.url}#sha256=${"0".repeat(64)}`, around());
      const refusal = await refusalOf(() => pullFrom(wrong));
      expect(refusal?.details["holders"]).toMatchObject([{ dropped: "holder_pin_wrong" }]);
      const unpinned = await openHolder(server.url, around());
      expect(await codeOf(() => pullFrom(unpinned))).toBe("artifact_unavailable");
      expect(server.ranges).toEqual([]);
    } finally {
      await server.stop();
    }
  });

  test("W-5 a server that takes another certificate after the first look is not believed", async () => {
    const first = serveTls();
    const holder = await openHolder(`${first.url}#sha256=${first.pin}`, around(null));
    const asking = { signal, received: () => {} };
    await holder.fetchManifest(added.digest, 1_000_000, asking);
    await first.stop();
    const { key, cert } = makeCertificate();
    const port = Number(new URL(first.url).port);
    const second = Bun.serve({
      ...{ port, hostname: "127.0.0.1", tls: { key, cert } },
      fetch: () => new Response("x"),
    });
    try {
      const code = await codeOf(() => holder.fetchManifest(added.digest, 1_000_000, asking));
      expect(code).toBe("holder_failed");
    } finally {
      await second.stop(true);
    }
  });

  test("W-5 servers that send too much, too little, an error, a redirect or nothing are replaced", async () => {
    const endless = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(chunkBytes)),
        }),
      );
    const answers: Record<string, (request: Request) => Response | Promise<Response>> = {
      endless,
      short: () => new Response("abc"),
      error: () => new Response("no", { status: 500 }),
      redirect: () => Response.redirect(door.url, 302),
      silent: () => new Promise<Response>(() => {}),
    };
    for (const [name, answer] of Object.entries(answers)) {
      const server = serveTls(answer);
      try {
        const bad = await openHolder(`${server.url}#sha256=${server.pin}`, around(null));
        using home = await TestHome.open();
        const pulled = await home.pull(added.digest, [bad, await openHolder(door.url, around())], {
          limits: { stallMs: 100 },
        });
        expect([name, pulled.fetchedChunks, pulled.holders[0]?.chunks]).toEqual([
          ...[name, chunkCount, 0],
        ]);
        expect(pulled.holders[0]?.reason).toContain("127.0.0.1");
      } finally {
        await server.stop();
      }
    }
  });

  test("W-5 what cannot be a holder is refused before anybody is asked", async () => {
    const wrong: readonly [string, string | null][] = [
      ["http://user:secret@localhost:1", null],
      ["ftp://localhost/", null],
      ["https://localhost#sha256=12", null],
      [`http://localhost#sha256=${"0".repeat(64)}`, null],
      ["http://203.0.113.7:7421", testToken],
      ["http://[", null],
      ["/nowhere/at/all", null],
      [tmpdir(), null],
    ];
    for (const [from, token] of wrong) {
      const refusal = await refusalOf(() => openHolder(from, around(token)));
      expect([from, refusal?.code]).toEqual([from, "holder_wrong"]);
      expect(refusal?.message).not.toContain("secret");
    }
    expect((await openHolder("http://203.0.113.7:7421", around(null))).name).toContain("203");
    expect((await openHolder(source.services.home.root, around())).name).toContain("home");
  });
});

describe("W-5 a bucket as a holder", () => {
  const folder = mkdtempSync(join(tmpdir(), "psionic-bucket-"));
  const service = new S3rver({
    ...{ address: "127.0.0.1", port: 0, silent: true, directory: folder },
    configureBuckets: [{ name: "models", configs: [] }],
  });
  const environment: Record<string, string> = {
    ...{ S3_ACCESS_KEY_ID: "S3RVER", S3_SECRET_ACCESS_KEY: "S3RVER" },
  };
  beforeAll(async () => {
    const { port } = await service.run();
    environment["S3_ENDPOINT"] = `http://127.0.0.1:${port}`;
    const client = new Bun.S3Client({
      ...{ bucket: "models", endpoint: environment["S3_ENDPOINT"] },
      ...{ accessKeyId: "S3RVER", secretAccessKey: "S3RVER" },
    });
    const blobs = [
      ...new Set(added.manifest.chunks.map((digest) => blobPath("chunks", digest))),
      blobPath("manifests", added.digest),
    ];
    for (const path of blobs) await client.write(`my/${path}`, Bun.file(join(source.root, path)));
  });
  afterAll(async () => {
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("W-5 an artifact comes whole out of a bucket laid out as artifacts/", async () => {
    const holder = await openHolder("s3://models/my", { ...around(), environment });
    expect(holder.name).toBe("s3://models/my/");
    const pulled = await pullFrom(holder);
    expect(pulled).toMatchObject({ fetchedChunks: chunkCount, isWhole: true });
  });

  test("W-5 what the bucket has not got is lacking; a service that is away has failed", async () => {
    const asking = { signal, received: () => {} };
    const empty = new BucketHolder({ bucket: "models", prefix: "other/", environment });
    const lacking = () => empty.fetchManifest(added.digest, 1_000, asking);
    expect(await codeOf(lacking)).toBe("artifact_unknown");
    const away = new BucketHolder({
      ...{ bucket: "models", prefix: "" },
      environment: { ...environment, S3_ENDPOINT: "http://127.0.0.1:1" },
    });
    const refusal = await refusalOf(() => away.fetchManifest(added.digest, 1_000, asking));
    expect(refusal?.code).toBe("holder_failed");
    expect(refusal?.message).not.toContain("S3RVER");
  });
});
