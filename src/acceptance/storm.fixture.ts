import { expect } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { binaryPath, jsonLines, runBinary, start, TemporaryFolder } from "./binary.ts";
import { type DaemonFile, lives, until } from "./daemon.fixture.ts";
import { JournalWatcher } from "./journal-watcher.fixture.ts";
import { type Answer, askPeer, askPipe, askSocket, askTcp, codeIn } from "./storm-doors.fixture.ts";

/**
 * A daemon under callers at every door, killed again and again at moments drawn from a seed. What it
 * acknowledged is kept here and compared with what it holds in the end.
 */

/** xorshift32: the same moments for the same seed. */
export function drawnFrom(seed: number): () => number {
  let state = (seed | 1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state / 2 ** 32;
  };
}

const policy = `
name = "storm"
revision = 1
summary = "The owner may lend and look"

[[rules]]
id = "owner"
when = 'caller.trust == "owner"'
outcome = "allow"
reason = "the owner asks"
`;

interface Lent {
  readonly document: Record<string, unknown>;
  readonly callMaximum: number;
  /** Uses whose result came. */
  acknowledged: number;
  /** Uses that may have been counted: all but those refused in order. */
  possible: number;
  isRevoked: boolean;
}

export interface StormOptions {
  readonly seed: number;
  readonly kills: number;
  /** The daemon lives between these, from its first answer on. */
  readonly lifeMs: readonly [number, number];
  /** Words of the training that goes on through all kills. */
  readonly training: Record<string, unknown>;
}

export interface StormFigures {
  readonly seed: number;
  readonly kills: number;
  readonly calls: number;
  readonly cutOff: number;
  readonly executions: number;
  readonly uses: number;
  readonly journalEntries: number;
  readonly receipts: number;
  /** From each kill to the next daemon's first answer that it is ready. */
  readonly recoveriesMs: readonly number[];
}

export class Storm implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly home = this.folder.file("home");
  readonly temporary = this.folder.file("temporary");
  readonly #draw: () => number;
  readonly #lent = new Map<string, Lent>();
  /** Requests by key: the id of the execution where it was acknowledged. */
  readonly #executed = new Map<string, { request: object; execution: string | null }>();
  readonly #receiptsSeen = new Set<string>();
  readonly #recoveriesMs: number[] = [];
  readonly #watchers: JournalWatcher[] = [];
  #child: Bun.Subprocess | null = null;
  #isOver = false;
  #calls = 0;
  #cutOff = 0;
  #guests = 0;
  #node = "";

  constructor(readonly options: StormOptions) {
    this.#draw = drawnFrom(options.seed);
    mkdirSync(this.temporary);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    for (const watcher of this.#watchers) watcher.stop();
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
    this.folder[Symbol.dispose]();
  }

  /** The last record of a command at a terminal. */
  async said(...words: string[]): Promise<Record<string, unknown>> {
    const { stdout, stderr } = await runBinary([...words, "--json"], { home: this.home });
    const last = jsonLines(stdout).at(-1);
    if (last === undefined) throw new Error(`${words.join(" ")}: ${stderr}`);
    return last;
  }

  async run(): Promise<StormFigures> {
    expect((await runBinary(["init"], { home: this.home })).status).toBe(0);
    this.#node = String((await this.said("identity", "show"))["nodeId"]);
    const file = this.folder.file("storm.toml");
    writeFileSync(file, policy);
    expect((await this.said("policy", "add", file))["code"]).toBeUndefined();
    await this.#raise();
    const started = await this.#ask("run/start", { ...this.options.training, name: "main" });
    expect(started).toMatchObject({ result: { name: "main" } });
    for (let index = 0; index < 3; index++) this.#watchers.push(new JournalWatcher(this.home));
    const callers = [
      ...[this.#lend(), this.#lend(), this.#execute("socket"), this.#execute("tcp")],
      ...[this.#look(), this.#stopAndGoOn(), this.#sample()],
    ];
    for (let kill = 0; kill < this.options.kills; kill++) await this.#strike();
    this.#isOver = true;
    await Promise.all(callers);
    return this.#judge();
  }

  /** Starts the daemon as a service manager would; resolves when it answers that it is ready. */
  async #raise(): Promise<void> {
    const child = start([await binaryPath(), "up", "--port", "0"], this.home, {
      environment: { TMPDIR: this.temporary },
      timeoutMs: 3_600_000,
    });
    void child.stderr.text();
    this.#child = child;
    await until("readiness", async () => {
      if (child.exitCode !== null) throw new Error(`up ended with ${child.exitCode}`);
      if (this.#file?.pid !== child.pid) return false;
      return (await askSocket(this.home, "GET /readyz")).kind === "result";
    });
  }

  async #strike(): Promise<void> {
    const [least, most] = this.options.lifeMs;
    await Bun.sleep(least + this.#draw() * (most - least));
    this.#child!.kill("SIGKILL");
    const killedMs = performance.now();
    await this.#child!.exited;
    if (this.#draw() < 0.3) await this.#killAtBirth();
    else {
      await this.#raise();
      this.#recoveriesMs.push(performance.now() - killedMs);
    }
  }

  /** One that is killed before it answers, then one that lives. */
  async #killAtBirth(): Promise<void> {
    const born = start([await binaryPath(), "up", "--port", "0"], this.home, {
      environment: { TMPDIR: this.temporary },
    });
    await Bun.sleep(50 + this.#draw() * 600);
    born.kill("SIGKILL");
    await born.exited;
    await this.#raise();
  }

  get #file(): DaemonFile | null {
    try {
      return JSON.parse(readFileSync(join(this.home, "daemon.json"), "utf8")) as DaemonFile;
    } catch {
      return null;
    }
  }

  #count(answer: Answer): Answer {
    this.#calls++;
    if (answer.kind === "cut") this.#cutOff++;
    return answer;
  }

  async #ask(name: string, parameters: object, door: "socket" | "tcp" = "socket") {
    const ask = door === "socket" ? askSocket : askTcp;
    return this.#count(await ask(this.home, name, parameters));
  }

  /** Grants of a few calls, used in parallel over the socket and a pipe, half of them taken back. */
  async #lend(): Promise<void> {
    while (!this.#isOver) {
      const guest = ++this.#guests;
      const seed = new Uint8Array(32).fill(7);
      new DataView(seed.buffer).setUint32(0, guest);
      const key = signingKeyFromSeed(seed);
      const signer = { nodeId: nodeIdOf(key.publicKey), key };
      const callMaximum = 1 + Math.floor(this.#draw() * 6);
      const request = { to: key.publicKey, capability: ["runs"], calls: callMaximum };
      const issued = await this.#ask("grant/issue", request);
      if (issued.kind !== "result") {
        await Bun.sleep(30);
        continue;
      }
      const { grant } = issued.result as { grant: Record<string, unknown> };
      const lent: Lent = {
        ...{ document: grant, callMaximum, acknowledged: 0, possible: 0, isRevoked: false },
      };
      this.#lent.set(String(grant["id"]), lent);
      const uses = Array.from({ length: callMaximum + 2 }, async (_, index) => {
        const ask = guest % 8 === 0 && index === 0 ? askPipe : askPeer;
        const sentAfterRevocation = lent.isRevoked;
        const to = { recipient: this.#node, name: "runs", grant };
        const answer = this.#count(await ask(this.home, signer, to));
        if (answer.kind === "result") lent.acknowledged++;
        const isRefused = answer.kind === "refusal" && codeIn(answer).startsWith("grant_");
        if (!isRefused) lent.possible++;
        if (sentAfterRevocation) expect(answer.kind).not.toBe("result");
      });
      if (guest % 2 === 0) {
        const taken = await this.#ask("grant/revoke", { grant: grant["id"] });
        lent.isRevoked = taken.kind === "result";
        if (lent.isRevoked) {
          const to = { recipient: this.#node, name: "runs", grant };
          const late = await askPeer(this.home, signer, to);
          expect(late.kind).not.toBe("result");
        }
      }
      await Promise.all(uses);
    }
  }

  /** Requests under a policy: the socket's issue a grant each, those over TCP explain a code. */
  async #execute(door: "socket" | "tcp"): Promise<void> {
    for (let index = 0; !this.#isOver; index++) {
      const key = `${door}-${index}`;
      const to = (index + 4096).toString(16).padStart(4, "0").repeat(16);
      const [command, parameters] =
        door === "socket"
          ? ["grant/issue", { to, capability: ["sample"] }]
          : ["explain", { code: "usage" }];
      const request = { command, parameters, policy: "storm@1", key };
      const entry = { request, execution: null as string | null };
      this.#executed.set(key, entry);
      // Asked by two at once: at most one of them may be told that it was done.
      const answers = await Promise.all([
        this.#ask("execute", request, door),
        this.#ask("execute", request, door),
      ]);
      for (const answer of answers) {
        if (answer.kind !== "result") continue;
        expect(entry.execution).toBeNull();
        entry.execution = (answer.result as { execution: string }).execution;
      }
      if (answers.every(({ kind }) => kind === "cut")) await Bun.sleep(30);
    }
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      const answer = await this.#ask("receipt/list", { limit: 40 }, "tcp");
      if (answer.kind === "result") {
        const { receipts } = answer.result as { receipts: { digest: string }[] };
        for (const { digest } of receipts) this.#receiptsSeen.add(digest);
      }
      await this.#ask("status", {}, "tcp");
      await this.#ask("runs", {});
      await Bun.sleep(40);
    }
  }

  /** What was acknowledged as stopped does not train again before somebody asks for it. */
  async #stopAndGoOn(): Promise<void> {
    while (!this.#isOver) {
      await Bun.sleep(700 + this.#draw() * 1_500);
      const stopped = await this.#ask("run/stop", { run: "main" });
      if (stopped.kind === "result") {
        const wait = this.#draw() * 900;
        await Bun.sleep(wait);
        const looked = await this.#ask("run/status", { run: "main" });
        if (looked.kind === "result")
          expect(["interrupted", "completed"]).toContain(
            (looked.result as { state: string }).state,
          );
      }
      await this.#ask("run/start", { resume: "main" });
    }
  }

  /** Samples that are left before they end. */
  async #sample(): Promise<void> {
    while (!this.#isOver) {
      const gone = new AbortController();
      const asked = askSocket(this.home, "sample", { run: "main", tokens: 100_000 }, gone.signal);
      await Bun.sleep(500 + this.#draw() * 1_000);
      gone.abort();
      this.#count(await asked);
    }
  }

  async #judge(): Promise<StormFigures> {
    await this.#finishTraining();
    const last = await this.#ask("grant/revoke", { grant: [...this.#lent.keys()][0] });
    expect(last.kind).not.toBe("cut");
    for (const [key, { request, execution }] of this.#executed) {
      const answer = await this.#ask("execute", request);
      if (answer.kind === "result") {
        expect([key, execution]).toEqual([key, null]);
        const executed = (answer.result as { execution: string }).execution;
        this.#executed.set(key, { request, execution: executed });
      } else expect([key, codeIn(answer)]).toEqual([key, "execution_duplicate"]);
    }
    if (process.platform === "linux") expect(this.#processes()).toEqual([this.#child!.pid]);
    const lastId = this.#lastJournalId();
    for (const watcher of this.#watchers)
      await until(`a watcher at ${lastId}`, () => Number(watcher.place) >= lastId);
    expect(await this.said("down")).toMatchObject({ state: "stopped" });
    for (const watcher of this.#watchers) watcher.stop();
    const figures = this.#compare(lastId);
    expect(await this.said("receipt", "verify")).toMatchObject({ isValid: true });
    this.#lookForLeftovers();
    return figures;
  }

  async #finishTraining(): Promise<void> {
    await this.#ask("run/start", { resume: "main" });
    await until("the end of the training", async () => {
      const status = await this.said("run", "status", "main");
      return status["state"] === "completed";
    });
    const { name: _name, ...training } = { name: "", ...this.options.training };
    const words = Object.entries(training).flatMap(([key, value]) => [
      `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      String(value),
    ]);
    const quiet = this.folder.file("quiet");
    const undisturbed = await runBinary(["train", ...words, "--json"], { home: quiet });
    const done = jsonLines(undisturbed.stdout).at(-1)!;
    const digest = await this.said("digest", "main");
    expect(digest).toMatchObject({ step: done["steps"], digest: done["digest"] });
    const losses = (home: string, run: string) => {
      const database = new Database(join(home, "node.db"), { readonly: true });
      const found = database
        .query(
          "SELECT step, loss FROM run_step JOIN run ON run.id = run_step.run WHERE run.name = ? ORDER BY step",
        )
        .all(run);
      database.close();
      return found;
    };
    const [kept, whole] = [losses(this.home, "main"), losses(quiet, String(done["name"]))];
    expect(kept).toEqual(whole);
  }

  #lastJournalId(): number {
    const database = new Database(join(this.home, "node.db"), { readonly: true });
    const row = database.query("SELECT max(id) AS last FROM journal").get() as { last: number };
    database.close();
    return row.last;
  }

  #compare(lastId: number): StormFigures {
    const database = new Database(join(this.home, "node.db"), { readonly: true });
    const all = (sql: string) => database.query(sql).all() as Record<string, unknown>[];
    const journal = all("SELECT id, type, subject FROM journal ORDER BY id");
    const kept = journal.map(({ id, type, subject }) => [id, type, subject].join(" "));
    const ids = new Set(journal.map(({ id }) => Number(id)));
    expect([Math.min(...ids), ids.size]).toEqual([1, Math.max(...ids)]);
    // What a daemon wrote as it went down need not have reached those who watched.
    for (const { told } of this.#watchers) {
      expect(told.length).toBeGreaterThanOrEqual(lastId);
      expect(told).toEqual(kept.slice(0, told.length));
    }
    const receipts = all("SELECT digest, kind, subject FROM receipt ORDER BY sequence");
    const digests = new Set(receipts.map(({ digest }) => digest));
    expect([...this.#receiptsSeen].filter((digest) => !digests.has(digest))).toEqual([]);
    let uses = 0;
    for (const [id, lent] of this.#lent) {
      const of = (kind: string) =>
        receipts.filter((each) => each["kind"] === kind && each["subject"] === id).length;
      const row = database.query("SELECT calls FROM grant_spending WHERE id = ?").get(id);
      const calls = (row as { calls?: number } | null)?.calls ?? 0;
      uses += calls;
      expect({ id, issued: of("grant.issued"), used: of("grant.used") }).toEqual({
        ...{ id, issued: 1, used: calls },
      });
      expect(calls).toBeLessThanOrEqual(lent.callMaximum);
      expect(calls).toBeGreaterThanOrEqual(lent.acknowledged);
      expect(calls).toBeLessThanOrEqual(lent.possible);
    }
    const executions = all("SELECT id, fingerprint, state FROM execution");
    expect(new Set(executions.map(({ fingerprint }) => fingerprint)).size).toBe(executions.length);
    const byId = new Map(executions.map((each) => [each["id"], each]));
    for (const { execution } of this.#executed.values())
      if (execution !== null) expect(byId.get(execution)).toMatchObject({ state: "done" });
    const grantees = all("SELECT subject FROM receipt WHERE kind = 'grant.issued'");
    expect(new Set(grantees.map(({ subject }) => subject)).size).toBe(grantees.length);
    database.close();
    return {
      ...{ seed: this.options.seed, kills: this.options.kills, uses },
      ...{ calls: this.#calls, cutOff: this.#cutOff, executions: executions.length },
      ...{ journalEntries: journal.length, receipts: receipts.length },
      recoveriesMs: this.#recoveriesMs,
    };
  }

  /** Processes of this home that live; empty where the system does not say. */
  #processes(): number[] {
    if (process.platform !== "linux") return [];
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && this.#isOurs(name))
      .map(Number);
  }

  #isOurs(pid: string): boolean {
    try {
      if (!lives(Number(pid)) || Number(pid) === process.pid) return false;
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`PSIONIC_HOME=${this.home}\0`);
    } catch {
      return false;
    }
  }

  #lookForLeftovers(): void {
    const found = this.#processes();
    const names = readdirSync(this.home, { recursive: true }).map(String);
    const left = names.filter((name) =>
      /\.tmp|\.sock$|daemon\.json$|lock\.json$|-wal$|-shm$/.test(name),
    );
    // Bun unpacks an embedded library to a file that a kill at that moment leaves behind.
    const temporary = readdirSync(this.temporary).filter((name) => !name.startsWith(".bun-"));
    expect({ found, left, temporary }).toEqual({
      ...{ found: [], left: [], temporary: [] },
    });
  }
}
