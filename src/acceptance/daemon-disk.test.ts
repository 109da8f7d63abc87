import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines } from "./binary.ts";
import { DaemonHome, lives, until } from "./daemon.fixture.ts";
import { type Answer, askSocket, askTcp, codeIn, lookPolicy } from "./storm-doors.fixture.ts";

const mounted = Bun.spawnSync([
  ...["sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt && umount /mnt"],
]);
const whyUnmountable = mounted.exitCode === 0 ? "" : " (this user may not mount)";

/** A home on a file system of its own size. */
class SmallHome implements AsyncDisposable {
  readonly home = new DaemonHome();

  constructor(sizeMiB: number) {
    mkdirSync(this.home.path);
    const words = ["mount", "-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", this.home.path];
    expect(Bun.spawnSync(words).exitCode).toBe(0);
  }

  /** Fills what is left to the last byte. */
  fill(): void {
    Bun.spawnSync(["sh", "-c", 'cat /dev/zero > "$0/filler"', this.home.path], {
      stderr: "ignore",
    });
  }

  free(): void {
    rmSync(join(this.home.path, "filler"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home.run("down", "--drain", "2s");
    Bun.spawnSync(["umount", "-l", this.home.path]);
    await this.home[Symbol.asyncDispose]();
  }
}

const keyOf = (index: number) => (index + 16).toString(16).padStart(2, "0").repeat(32);

test.skipIf(whyUnmountable !== "")(
  `A-9 a disk that fills up under a daemon: refusals, nothing acknowledged lost, and it goes on when there is room${whyUnmountable}`,
  async () => {
    await using small = new SmallHome(32);
    const { home } = small;
    // One line more and the log is set aside: that falls into the time without room.
    mkdirSync(join(home.path, "logs"), { mode: 0o700 });
    const line = `${JSON.stringify({ time: "", level: "info", category: "old", message: "x".repeat(900), properties: {} })}\n`;
    writeFileSync(
      join(home.path, "logs/psionic.log"),
      line.repeat(Math.floor((8 * 1024 * 1024 - 1_500) / line.length)),
    );
    const { pid, url } = await home.up();
    writeFileSync(home.folder.file("look.toml"), lookPolicy);
    expect((await home.run("policy", "add", home.folder.file("look.toml"))).status).toBe(0);
    let index = 0;
    const lent: string[] = [];
    const lend = async () => {
      const asked = { to: keyOf(index++), capability: ["runs"] };
      const answer = await askSocket(home.path, "grant/issue", asked);
      if (answer.kind === "result")
        lent.push((answer.result as { grant: { id: string } }).grant.id);
      return codeIn(answer);
    };
    const executed: string[] = [];
    const execute = async (key: string) => {
      const request = { command: "explain", parameters: { code: "usage" }, policy: "look@1", key };
      const answer = await askTcp(home.path, "execute", request);
      if (answer.kind === "result")
        executed.push((answer.result as { execution: string }).execution);
      return codeIn(answer);
    };
    const training = { size: "nano", steps: 1_000_000, checkpointEvery: 50, threads: 1 };
    expect(codeIn(await askSocket(home.path, "run/start", { ...training, name: "main" }))).toBe(
      "result",
    );
    const stepOf = async (run: string) => {
      const answer = await askSocket(home.path, "run/status", { run });
      return answer.kind === "result" ? (answer.result as { step: number }).step : 0;
    };
    await until("a checkpoint", async () => (await stepOf("main")) > 60);
    expect([await lend(), await execute("before")]).toEqual(["result", "result"]);

    small.fill();
    await until("the end of the training", async () => {
      const answer = await askSocket(home.path, "run/stop", { run: "main" });
      return codeIn(answer) === "run_not_running";
    });
    for (let time = 0; time < 3; time++) {
      expect([await lend(), await execute(`full-${time}`)]).toEqual(["disk_full", "disk_full"]);
      const refused = await askSocket(home.path, "run/start", { ...training, steps: 5 });
      expect(refused).toMatchObject({ kind: "refusal", refusal: { code: "disk_full" } });
    }
    const reading = ["status", "runs", "receipt/list", "grant/list", "attestation/list"];
    const answers: [string, Answer["kind"]][] = [];
    for (const name of reading) answers.push([name, (await askTcp(home.path, name, {})).kind]);
    expect(answers).toEqual(reading.map((name) => [name, "result"]));
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("disk_full")]);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    // Far more than the log's last free bytes: it is set aside while nothing can be written.
    for (let time = 0; time < 30; time++) await askTcp(home.path, "run/status", { run: "nobody" });
    expect(lives(pid)).toBe(true);

    small.free();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect([await lend(), await execute("after")]).toEqual(["result", "result"]);
    // What was refused for want of room was not claimed.
    expect(await execute("full-0")).toBe("result");
    const before = await stepOf("main");
    expect(codeIn(await askSocket(home.path, "run/start", { resume: "main" }))).toBe("result");
    await until("further steps", async () => (await stepOf("main")) > before);
    await askSocket(home.path, "run/status", { run: "a-run-nobody-has" });
    await until("lines in the log again", () =>
      readFileSync(join(home.path, "logs/psionic.log"), "utf8").includes("a-run-nobody-has"),
    );
    expect(await home.json("receipt", "verify")).toMatchObject({ isValid: true });
    const { issued } = (await home.json("grant", "list")) as {
      issued: { grant: { id: string } }[];
    };
    expect(issued.map(({ grant }) => grant.id).toSorted()).toEqual(lent.toSorted());
    for (const execution of executed)
      expect(await home.json("attestation", "show", execution)).toMatchObject({ state: "done" });
    expect(lives(pid)).toBe(true);
    const { stdout } = await home.run("logs", "--level", "error", "--json");
    expect(jsonLines(stdout).filter(({ type }) => type === "log")).toEqual([]);
  },
  180_000,
);
