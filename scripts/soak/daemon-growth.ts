/**
 * Whether a daemon grows: many calls, watchers that come and go, calls that are left, samples started and
 * left, writes beside watchers of which one never reads. Prints what the process holds after each share.
 * Linux only, for it looks into /proc.
 *
 *     bun scripts/soak/daemon-growth.ts [SCALE]
 *
 * With SCALE 1 it takes about five minutes on two cores.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf, DaemonHome, until } from "#src/acceptance/daemon.fixture.ts";
import { JournalWatcher } from "#src/acceptance/journal-watcher.fixture.ts";
import { askSocket, codeIn, lookPolicy } from "#src/acceptance/storm-doors.fixture.ts";

const scale = Number(process.argv[2] ?? 1);
if (!(scale > 0 && scale <= 100)) throw new Error("bun scripts/soak/daemon-growth.ts [SCALE]");
/** Requests under way at once. */
const atOnce = 10;
const shares = 4;

await using home = new DaemonHome();
const { pid, socket } = await home.up();

function show(what: string, count: number): void {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const residentMiB = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024);
  const wal = join(home.path, "node.db-wal");
  const walKiB = existsSync(wal) ? Math.round(statSync(wal).size / 1024) : 0;
  const files = readdirSync(`/proc/${pid}/fd`).length;
  console.log(
    `${what.padEnd(10)} ${String(count).padStart(6)}: ${residentMiB} MiB resident, ${files} files, ${childrenOf(pid).length} children, WAL ${walKiB} KiB`,
  );
}

async function inShares(what: string, total: number, one: (index: number) => Promise<unknown>) {
  const share = Math.max(atOnce, Math.round((total * scale) / shares));
  let index = 0;
  for (let part = 1; part <= shares; part++) {
    for (let done = 0; done < share; done += atOnce)
      await Promise.all(Array.from({ length: atOnce }, () => one(index++)));
    await until("no children", () => childrenOf(pid).length === 0);
    show(what, index);
  }
}

/** Begins a request on the socket, reads a little or waits a little, and leaves. */
async function visit(path: string, body: object | null, staysMs: number | null): Promise<void> {
  const gone = new AbortController();
  const request: BunFetchRequestInit = {
    ...{ unix: socket, signal: gone.signal, keepalive: false, method: body ? "POST" : "GET" },
    headers: { "content-type": "application/json", accept: "application/x-ndjson" },
    ...(body ? { body: JSON.stringify(body) } : {}),
  };
  const answer = fetch(`http://localhost${path}`, request);
  const left = answer.then(
    (response) => (staysMs === null ? response.body!.getReader().read() : null),
    () => null,
  );
  await (staysMs === null ? left.catch(() => {}) : Bun.sleep(staysMs));
  gone.abort();
  await left.catch(() => {});
}

show("start", 0);
await inShares("calls", 20_000, () => askSocket(home.path, "runs"));
await inShares("watchers", 2_000, () => visit("/events?after=0", null, null));
await home.json("train", "--size", "nano", "--steps", "20", "--name", "small");
const long = { run: "small", tokens: 1_000_000 };
await inShares("aborted", 500, (index) => visit("/commands/sample", long, (index * 7) % 60));
await inShares("samples", 300, () => visit("/commands/sample", long, null));

const file = home.folder.file("look.toml");
writeFileSync(file, lookPolicy);
await home.json("policy", "add", file);
const watchers = Array.from({ length: 20 }, () => new JournalWatcher(home.path));
const silent: BunFetchRequestInit = { unix: socket, timeout: false };
await fetch("http://localhost/events?after=0", silent);
const parameters = { code: "usage" };
await inShares("writes", 6_000, async (index) => {
  const request = { command: "explain", parameters, policy: "look@1", key: String(index) };
  const answer = await askSocket(home.path, "execute", request);
  if (answer.kind !== "result") throw new Error(codeIn(answer));
});
for (const watcher of watchers) watcher.stop();
