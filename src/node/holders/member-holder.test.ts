import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Added } from "#src/artifact/add.ts";
import { chunkBytes, noise, refusalOf, TestHome } from "#src/artifact/artifact.fixture.ts";
import { blobPath } from "#src/artifact/layout.ts";
import { verifyArtifacts } from "#src/artifact/verify.ts";
import { sealTicket, ticketHeader } from "#src/peer/blob-ticket.ts";
import { makeCertificate, type TlsIdentity } from "#src/peer/certificate.ts";
import { until } from "#src/surface/http/http.fixture.ts";
import { BlobDoor } from "#src/surface/peer/blobs.ts";
import { listenPeers, type PeerListener } from "#src/surface/peer/listen.ts";
import { MemberHolder } from "./member-holder.ts";

const mesh = `psm${"a".repeat(32)}`;
const chunkCount = 40;
const signal = new AbortController().signal;

/** A home whose blobs members get at its port. */
class TestMember implements AsyncDisposable {
  /** Live members by id, as the state has them. */
  static readonly keys = new Map<string, string>();
  listener: PeerListener | null = null;
  requestCount = 0;
  /** Called with the count of requests so far; what it gives is answered instead. */
  meddle: (count: number) => Response | Promise<Response> | null = () => null;

  private constructor(
    readonly home: TestHome,
    readonly tls: TlsIdentity,
    readonly node: string,
  ) {}

  static async open(): Promise<TestMember> {
    const home = await TestHome.open();
    const { author } = await home.services.receipts.open();
    const tls = makeCertificate(author.nodeId, home.services.random);
    TestMember.keys.set(author.nodeId, author.key.publicKey);
    return new TestMember(home, tls, author.nodeId);
  }

  get author() {
    return this.home.services.receipts.opened().author;
  }

  serve(): void {
    const { services } = this.home;
    const onBug = (error: unknown) => {
      throw error;
    };
    const audience = () => ({ mesh, keyOf: (node: string) => TestMember.keys.get(node) ?? null });
    const blobs = new BlobDoor({ services, audience, onBug });
    const answer = blobs.answer.bind(blobs);
    blobs.answer = async (request) => {
      this.requestCount++;
      return (await this.meddle(this.requestCount)) ?? answer(request);
    };
    this.listener = listenPeers(
      { services, tls: this.tls, answer: async () => {}, draining: () => false, onBug, blobs },
      { host: "127.0.0.1", port: 0 },
    );
  }

  get place(): string {
    return this.listener!.address;
  }

  header(recipient: string, nowMs = Date.now()): string {
    return ticketHeader(sealTicket(this.author, { mesh, recipient, nowMs }));
  }

  /** The other as this one pulls from it. */
  asks(other: TestMember, places = [other.place]): MemberHolder {
    const { node, tls } = other;
    const authorization = () => this.header(node);
    return new MemberHolder({ node, places, certificate: tls.fingerprint, authorization });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    TestMember.keys.delete(this.node);
    await this.listener?.stop();
    this.home[Symbol.dispose]();
  }
}

let source: TestMember;
let added: Added;
beforeAll(async () => {
  source = await TestMember.open();
  source.serve();
  added = await source.home.add(source.home.file("a", noise(chunkCount * chunkBytes - 1)));
});
afterAll(() => source[Symbol.asyncDispose]());

/** Another home with the same artifact, which answers too. */
async function second(): Promise<TestMember> {
  const member = await TestMember.open();
  await member.home.add(member.home.file("a", noise(chunkCount * chunkBytes - 1)));
  member.serve();
  return member;
}

async function isWhole(member: TestMember): Promise<boolean> {
  const { whole } = await verifyArtifacts(await member.home.shelf(), null, signal);
  return whole.includes(added.digest);
}

/** How a bare request is answered. */
async function ask(header: string | null, path = `/blobs/${added.digest}`, method = "GET") {
  const response = await fetch(`https://${source.place}${path}`, {
    method,
    headers: header === null ? {} : { authorization: header },
    tls: { rejectUnauthorized: false },
  });
  return { status: response.status, text: await response.text() };
}

describe("W-5 blobs between members", () => {
  test("W-5 a member pulls an artifact whole from another, over the port where they meet", async () => {
    await using puller = await TestMember.open();
    const pulled = await puller.home.pull(added.digest, [puller.asks(source)]);
    expect(pulled).toMatchObject({ fetchedChunks: chunkCount, isJoined: false });
    expect(pulled.holders[0]).toMatchObject({ holder: source.node, dropped: null });
    expect(await isWhole(puller)).toBe(true);
  });

  test("W-5 strangers, evicted members, old tickets and those for others get nothing, whatever they ask", async () => {
    const stranger = await TestMember.open();
    const good = stranger.header(source.node);
    expect((await ask(good)).status).toBe(200);
    TestMember.keys.delete(stranger.node);
    const refused = [
      good,
      null,
      "Bearer abc",
      source.header(stranger.node),
      source.header(source.node, Date.now() - 600_000),
    ];
    for (const header of refused)
      for (const path of [`/blobs/${added.digest}`, `/blobs/${"0".repeat(64)}`, "/blobs/x"])
        expect([header, await ask(header, path)]).toEqual([header, { status: 401, text: "" }]);
    const own = source.header(source.node);
    expect(await ask(own, `/blobs/${"0".repeat(64)}`)).toEqual({ status: 404, text: "" });
    expect((await ask(own, "/blobs/..%2f..%2fnode.db")).status).toBe(404);
    expect((await ask(own, undefined, "DELETE")).status).toBe(404);
    await stranger[Symbol.asyncDispose]();
  });

  test("W-5 a member evicted in the middle of a pull gets no more", async () => {
    await using puller = await TestMember.open();
    source.requestCount = 0;
    source.meddle = (count) => {
      if (count === 10) TestMember.keys.delete(puller.node);
      return null;
    };
    const refusal = await refusalOf(() => puller.home.pull(added.digest, [puller.asks(source)]));
    source.meddle = () => null;
    expect(refusal?.code).toBe("artifact_unavailable");
    expect(refusal?.message).toContain("401");
    expect(await isWhole(puller).catch(() => false)).toBe(false);
  });

  test("W-5 a member that vanishes and one that lies leave the rest to the others", async () => {
    await using puller = await TestMember.open();
    await using liar = await second();
    await using brief = await second();
    liar.meddle = () => new Response(noise(chunkBytes, 9));
    brief.meddle = (count) => {
      if (count > 4) void brief.listener!.stop();
      return null;
    };
    const holders = [puller.asks(liar), puller.asks(brief), puller.asks(source)];
    const pulled = await puller.home.pull(added.digest, holders, { limits: { stallMs: 2_000 } });
    const [lied, gone, rest] = pulled.holders;
    expect(lied).toMatchObject({ holder: liar.node, chunks: 0, dropped: "holder_lied" });
    expect(gone!.chunks).toBeLessThan(chunkCount);
    expect(rest!.chunks).toBeGreaterThan(0);
    expect(gone!.chunks + rest!.chunks).toBe(chunkCount);
    expect(await isWhole(puller)).toBe(true);
  });

  test("W-5 of a member's addresses the one that shows its certificate is used", async () => {
    await using puller = await TestMember.open();
    await using other = await second();
    const places = ["127.0.0.1:1", other.place, source.place];
    const pulled = await puller.home.pull(added.digest, [puller.asks(source, places)]);
    expect(pulled.fetchedChunks).toBe(chunkCount);
    expect(other.requestCount).toBe(0);
    await using later = await TestMember.open();
    for (const wrong of [
      [],
      ["", " ", "a b:1", "[", "user:word@host:1", "host:1/path", "h:1#x", "h:99999"],
    ]) {
      const holders = [puller.asks(source, wrong)];
      const refusal = await refusalOf(() => later.home.pull(added.digest, holders));
      expect(refusal?.message).toContain("no address");
    }
  });

  test("W-5 who asks for too much at once is told to wait, and the pull goes on", async () => {
    await using puller = await TestMember.open();
    source.requestCount = 0;
    source.meddle = (count) =>
      count % 3 === 0 || count > 20 ? null : new Response(null, { status: 503 });
    const pulled = await puller.home.pull(added.digest, [puller.asks(source)]);
    source.meddle = () => null;
    expect(pulled).toMatchObject({ fetchedChunks: chunkCount });
    expect(pulled.holders[0]?.dropped).toBeNull();
  }, 60_000);

  test("W-5 one member has eight places, so that another finds some", async () => {
    await using greedy = await TestMember.open();
    const held = Array.from({ length: 8 }, () => Promise.withResolvers<void>());
    const shelf = await source.home.shelf();
    const read = shelf.readBlob.bind(shelf);
    let reading = 0;
    shelf.readBlob = async (digest) => {
      await held[reading++]?.promise;
      return read(digest);
    };
    const header = greedy.header(source.node);
    const pending = held.map(() => ask(header));
    await until(() => reading === 8, "all places are taken");
    expect((await ask(header)).status).toBe(503);
    expect((await ask(source.header(source.node))).status).toBe(200);
    for (const { resolve } of held) resolve();
    expect((await Promise.all(pending)).every(({ status }) => status === 200)).toBe(true);
    expect((await ask(header)).status).toBe(200);
    shelf.readBlob = read;
  });

  test("W-5 a damaged chunk is not given out, nor found again", async () => {
    await using member = await second();
    await using puller = await TestMember.open();
    const chunk = added.manifest.chunks[0]!;
    await Bun.write(`${member.home.root}/${blobPath("chunks", chunk)}`, noise(chunkBytes, 7));
    const refusal = await refusalOf(() => puller.home.pull(added.digest, [puller.asks(member)]));
    expect(refusal?.message).toContain("has not got it");
    const pulled = await puller.home.pull(added.digest, [puller.asks(member), puller.asks(source)]);
    expect(pulled.holders[1]!.chunks).toBeGreaterThan(0);
    expect(await isWhole(puller)).toBe(true);
  });
});
