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
import { machineFigures, timed, writeNoise } from "./artifact-figures.ts";

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

async function measure(megabytes: number, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "psionic-speed-"));
  const sizeBytes = megabytes * 1_000_000;
  const rate = (seconds: number) => `${Math.round(sizeBytes / seconds / 1e6)} MB/s`;
  const source = join(folder, "blob");
  const child = { kill: () => {} };
  try {
    await writeNoise(source, sizeBytes);
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
      const { hashRate, copyRate } = await machineFigures(source);
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
      const pullRate = sizeBytes / pulling;
      console.log(
        `round ${round}: pull ${rate(pulling)}, SHA-256 ${Math.round(hashRate / 1e6)} MB/s (${(pullRate / hashRate).toFixed(2)} of it), copy with fsync ${Math.round(copyRate / 1e6)} MB/s (${(pullRate / copyRate).toFixed(2)} of it); the puller used ${used.user / 1e6} s of user and ${used.system / 1e6} s of system time`,
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
