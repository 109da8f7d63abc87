/**
 * How fast one member of a mesh pulls an artifact from another over loopback TLS, both the compiled
 * executable, every chunk proven at both ends, beside what this machine hashes and copies in the same minute:
 *
 *     bun build.ts && bun scripts/mesh-speed.ts [MEGABYTES] [ROUNDS]
 *
 * The time is that of the whole command, its start included. Figures go to docs/LOG.md.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machineFigures, timed, writeNoise } from "./artifact-figures.ts";

const executable = join(import.meta.dir, "../dist/psionic");
const [megabytes = "1000", rounds = "3"] = process.argv.slice(2);
const sizeBytes = Number(megabytes) * 1_000_000;
const folder = mkdtempSync(join(tmpdir(), "psionic-mesh-speed-"));
const free = ["--detach", "--port", "0", "--peer-port", "0"];
/** Clock ticks of /proc in a second. */
const ticksPerSecond = 100;

/** Runs a command in a home; gives its last record and the processor time it used, in seconds. */
async function psionic(home: string, ...words: string[]) {
  const env = { ...process.env, PSIONIC_HOME: join(folder, home) };
  const child = Bun.spawn([executable, ...words, "--json"], { env, stderr: "ignore" });
  const lines = (await child.stdout.text()).trim().split("\n");
  await child.exited;
  const record = JSON.parse(lines.at(-1) ?? "{}") as Record<string, unknown>;
  if (child.exitCode !== 0) throw new Error(`${words.join(" ")}: ${JSON.stringify(record)}`);
  return { record, cpuSeconds: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6 };
}

/** Processor time of a daemon so far, in seconds. */
function usedBy(home: string): number {
  const { pid } = JSON.parse(readFileSync(join(folder, home, "daemon.json"), "utf8")) as {
    pid: number;
  };
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

const megabytesOf = (rate: number) => `${Math.round(rate / 1e6)} MB/s`;

try {
  const source = join(folder, "blob");
  await writeNoise(source, sizeBytes);
  await psionic("holder", "up", ...free);
  const { record } = await psionic("holder", "token", "create");
  await psionic("puller", ...String(record["line"]).split(" ").slice(1), ...free);
  const added = await psionic("holder", "artifact", "add", source, "--name", "speed");
  const artifact = String(added.record["artifact"]);
  for (let round = 1; round <= Number(rounds); round++) {
    const { hashRate, copyRate } = await machineFigures(source);
    const before = usedBy("holder");
    let cpuSeconds = 0;
    const seconds = await timed(async () => {
      ({ cpuSeconds } = await psionic("puller", "artifact", "pull", artifact));
    });
    const rate = sizeBytes / seconds;
    console.log(
      `round ${round}: pull ${megabytesOf(rate)}, SHA-256 ${megabytesOf(hashRate)} (${(rate / hashRate).toFixed(2)} of it), copy with fsync ${megabytesOf(copyRate)} (${(rate / copyRate).toFixed(2)} of it); processor time: puller ${cpuSeconds.toFixed(2)} s, holder ${(usedBy("holder") - before).toFixed(2)} s`,
    );
    await psionic("puller", "artifact", "gc", "--grace", "0s");
  }
} finally {
  for (const home of ["puller", "holder"]) await psionic(home, "down").catch(() => {});
  rmSync(folder, { recursive: true, force: true });
}
