/**
 * How fast an artifact is pulled over loopback TLS from one holder, every chunk proven at both ends, beside
 * what this machine hashes and copies in the same minute:
 *
 *     bun scripts/artifact-speed.ts [MEGABYTES] [ROUNDS]
 *
 * The holder is a process of its own. Figures with their command go to docs/LOG.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addArtifact } from "#src/artifact/add.ts";
import { pullArtifact } from "#src/artifact/pull.ts";
import { makeCertificate } from "#src/node/holders/certificate.fixture.ts";
import { openHolder } from "#src/node/holders/open-holder.ts";
import { noInteraction } from "#src/node/no-interaction.ts";
import { compose } from "#src/node/services.ts";

const { signal } = new AbortController();
const shelfOf = async (home: string) => {
  const composition = compose({ home, interaction: noInteraction });
  await composition.services.identity.openOrCreate();
  return { composition, shelf: await composition.services.artifacts.open() };
};

/** The holder: proves what it gives, as the HTTP door does. */
async function serve(home: string): Promise<void> {
  const { shelf } = await shelfOf(home);
  const { key, cert, pin } = makeCertificate();
  const server = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1", tls: { key, cert } },
    async fetch(request) {
      const { bytes } = await shelf.readBlob(new URL(request.url).pathname.split("/").at(-1)!);
      return new Response(bytes as Uint8Array<ArrayBuffer>);
    },
  });
  process.stdout.write(`https://127.0.0.1:${server.port}#sha256=${pin}\n`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1_000;
}

async function measure(megabytes: number, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "psionic-speed-"));
  const sizeBytes = megabytes * 1_000_000;
  const rate = (seconds: number) => `${Math.round(sizeBytes / seconds / 1e6)} MB/s`;
  const source = join(folder, "blob");
  const child = { kill: () => {} };
  try {
    const piece = crypto.getRandomValues(new Uint8Array(50_000));
    const writer = Bun.file(source).writer();
    for (let written = 0; written < sizeBytes; written += piece.length) {
      new DataView(piece.buffer).setFloat64(0, written);
      void writer.write(piece.slice(0, Math.min(piece.length, sizeBytes - written)));
      await writer.flush();
    }
    await writer.end();
    const { shelf, composition } = await shelfOf(join(folder, "holder"));
    const request = { location: source, name: "speed", quotaBytes: null, signal };
    let artifact = "";
    const adding = await timed(async () => {
      artifact = (await addArtifact(shelf, request)).digest;
    });
    console.log(`add               ${rate(adding)}`);
    composition.close();
    const server = Bun.spawn(
      [process.execPath, import.meta.path, "serve", join(folder, "holder")],
      {
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    child.kill = () => server.kill();
    const { value } = await server.stdout.getReader().read();
    const address = new TextDecoder().decode(value).trim();
    for (let round = 1; round <= rounds; round++) {
      const bytes = new Uint8Array(await Bun.file(source).slice(0, 256_000_000).arrayBuffer());
      const hashing = await timed(async () =>
        new Bun.CryptoHasher("sha256").update(bytes).digest(),
      );
      const copying = await timed(async () => {
        const copied = Bun.spawn(
          ["dd", `if=${source}`, `of=${source}.copy`, "bs=4M", "conv=fsync"],
          {
            stderr: "ignore",
          },
        );
        await copied.exited;
      });
      rmSync(`${source}.copy`);
      const home = join(folder, `round-${round}`);
      const target = await shelfOf(home);
      const { disk } = target.composition.services;
      const holder = await openHolder(address, { disk, environment: {}, tokenOf: () => null });
      const pull = { artifact, holders: [holder], name: null, quotaBytes: null, signal };
      const before = process.cpuUsage();
      const pulling = await timed(() => pullArtifact(target.shelf, pull));
      const used = process.cpuUsage(before);
      target.composition.close();
      rmSync(home, { recursive: true });
      const hashRate = bytes.byteLength / hashing;
      const copyRate = sizeBytes / copying;
      const pullRate = sizeBytes / pulling;
      console.log(
        `round ${round}: pull ${rate(pulling)}, SHA-256 ${Math.round(hashRate / 1e6)} MB/s (${(pullRate / hashRate).toFixed(2)} of it), copy with fsync ${rate(copying)} (${(pullRate / copyRate).toFixed(2)} of it); the puller used ${used.user / 1e6} s of user and ${used.system / 1e6} s of system time`,
      );
    }
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

const [first = "1000", second = "3"] = process.argv.slice(2);
if (first === "serve") await serve(second);
else await measure(Number(first), Number(second));
