import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { jsonLines, runBinary } from "./binary.ts";
import { childrenOf, DaemonHome, lives, until } from "./daemon.fixture.ts";

const minutes = 60_000;
/** A training that does not end by itself within a test. */
const longTraining = ["train", "--size", "nano", "--steps", "1000000", "--seed", "7"];

const get = (url: string, headers: Record<string, string> = {}) => fetch(url, { headers });

describe("A-9 up, status, down", () => {
  test(
    "A-9 up --detach returns when the node answers; up again says it runs; down ends it",
    async () => {
      await using home = new DaemonHome();
      expect(await home.json("status")).toMatchObject({ state: "stopped", daemon: null });
      const file = await home.up();
      expect((await get(`${file.url}/readyz`)).status).toBe(200);
      expect(statSync(file.socket).mode & 0o777).toBe(0o600);
      expect(statSync(join(home.path, "daemon.json")).mode & 0o777).toBe(0o600);

      const again = await home.run("up");
      expect(again.status).toBe(0);
      expect(again.stderr).toContain(`is up already, process ${file.pid}`);
      const [page = "", line] = again.stdout.trim().split("\n");
      expect(page).toStartWith(`${file.url}/#token=`);
      expect(line).toMatch(/^psionic join 127\.0\.0\.1:\d+ --token psn1_\S+$/);
      // Asked again it is the same line, and no second token.
      expect((await home.run("up")).stdout).toBe(again.stdout);
      const token = page.split("#token=")[1]!;
      const listed = (bearer: string) =>
        get(`${file.url}/commands`, { authorization: `Bearer ${bearer}` });
      expect((await listed(token)).status).toBe(200);
      expect((await listed("wrong")).status).toBe(401);
      expect((await get(`${file.url}/`)).headers.get("content-type")).toContain("text/html");

      const status = await home.json("status");
      expect(status).toMatchObject({
        state: "running",
        daemon: { pid: file.pid, url: file.url },
        node: { epoch: 1, homePath: home.path },
        runs: { active: [], count: 0 },
        alerts: [],
      });
      expect(await home.json("down")).toMatchObject({ state: "stopped", by: "request" });
      expect(lives(file.pid)).toBe(false);
      expect(home.hasFile).toBe(false);
      expect(existsSync(file.socket)).toBe(false);
      expect(await home.json("down")).toMatchObject({ state: "absent" });
      expect((await home.run("down")).status).toBe(0);
      expect(await home.json("status")).toMatchObject({
        state: "stopped",
        node: { nodeId: (status["node"] as { nodeId: string }).nodeId, epoch: 1 },
      });
    },
    5 * minutes,
  );

  test(
    "A-9 in the foreground it says where it is, logs for a service manager, and SIGTERM ends it in order",
    async () => {
      await using home = new DaemonHome();
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        const child = await home.start("up", "--port", "0");
        const file = await until("daemon.json", () => (home.hasFile ? home.file : null));
        await until("an answer", () =>
          get(`${file.url}/readyz`).then(
            ({ ok }) => ok,
            () => false,
          ),
        );
        child.kill(signal);
        const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
        await child.exited;
        expect({ status: child.exitCode, signal: child.signalCode }).toEqual({
          status: 0,
          signal: null,
        });
        expect(out.trim()).toBe(file.url);
        expect(error).toContain("info psionic.daemon: started as ");
        expect(error).toContain("info psionic.daemon: stopped");
        expect(error).not.toContain("token=");
        expect(home.hasFile).toBe(false);
      }
    },
    5 * minutes,
  );

  test(
    "A-9 a port that is taken is refused by name, detached or not, and nothing is left behind",
    async () => {
      await using home = new DaemonHome();
      const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
      const port = String(server.port);
      for (const detach of [[], ["--detach"]]) {
        const { status, stdout } = await home.run("up", "--port", port, ...detach, "--json");
        expect(jsonLines(stdout).at(-1)).toMatchObject({ type: "refusal", code: "port_taken" });
        expect(stdout).toContain("--port 0");
        expect(status).toBe(11);
        expect(home.hasFile).toBe(false);
        expect(existsSync(join(home.path, "psionic.sock"))).toBe(false);
      }
      await server.stop(true);
    },
    5 * minutes,
  );

  test(
    "A-9 an address others reach is refused unless it is allowed",
    async () => {
      await using home = new DaemonHome();
      const refused = await home.run("up", "--detach", "--host", "0.0.0.0", "--port", "0");
      expect(refused.status).toBe(14);
      expect(refused.stderr).toContain("host_not_loopback");
      expect(refused.stderr).toContain("--allow-remote");
      const file = await home.up("--host", "0.0.0.0", "--allow-remote");
      const { port } = new URL(file.url);
      const said = await home.run("up");
      expect(said.stderr).toContain("whoever has the token owns it");
      expect(said.stdout).toStartWith(`http://127.0.0.1:${port}/#token=`);
      const own = { headers: { host: `${hostname()}:${port}` } };
      expect((await fetch(`http://127.0.0.1:${port}/healthz`, own)).status).toBe(200);
      expect((await get(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    },
    5 * minutes,
  );

  test(
    "A-9 two homes run at once; a home with a long path has its socket elsewhere",
    async () => {
      await using one = new DaemonHome();
      await using other = new DaemonHome(`${"long/".repeat(30)}home`);
      const [first, second] = [await one.up(), await other.up()];
      expect(first.pid).not.toBe(second.pid);
      expect(second.socket.startsWith(other.path)).toBe(false);
      expect(statSync(join(second.socket, "..")).mode & 0o777).toBe(0o700);
      expect((await other.json("train", "--size", "nano", "--steps", "3"))["type"]).toBe("done");
      expect(await one.json("down")).toMatchObject({ pid: first.pid });
      expect(await other.json("status")).toMatchObject({ daemon: { pid: second.pid } });
      expect(await other.json("down")).toMatchObject({ pid: second.pid });
      expect(existsSync(second.socket)).toBe(false);
    },
    5 * minutes,
  );

  test(
    "A-9 of many that start at once one has the home, and each says it is up",
    async () => {
      await using home = new DaemonHome();
      const outcomes = await Promise.all(
        Array.from({ length: 4 }, () => home.run("up", "--detach", "--port", "0", "--json")),
      );
      const states = outcomes.map(({ stdout }) => jsonLines(stdout).at(-1));
      const { pid } = home.file;
      expect(states.map((state) => state!["pid"])).toEqual([pid, pid, pid, pid]);
      expect(await home.json("status")).toMatchObject({ daemon: { pid }, node: { epoch: 1 } });
    },
    5 * minutes,
  );

  test(
    "A-9 a home that is in use by something else is refused as before",
    async () => {
      await using home = new DaemonHome();
      const training = await home.start(...longTraining);
      await until("a training", async () => {
        const { runs } = (await home.json("status")) as { runs: { active: unknown[] } };
        return runs.active.length > 0;
      });
      const { status, stderr } = await home.run("up", "--detach", "--port", "0");
      expect({ status, code: /code: (\w+)/.exec(stderr)?.[1] }).toEqual({
        status: 11,
        code: "home_locked",
      });
      training.kill("SIGINT");
      await training.exited;
      expect(training.exitCode).toBe(130);
      await home.up();
    },
    5 * minutes,
  );
});

describe("A-9 what runs in the daemon", () => {
  test(
    "A-9 train is forwarded: paths are the caller's, events stream, Ctrl-C ends it with a checkpoint",
    async () => {
      await using home = new DaemonHome();
      const { pid } = await home.up();
      const training = await home.start(...longTraining, "--name", "long", "--json");
      const reader = training.stdout.getReader();
      let seen = "";
      while (!seen.includes('"type":"step"')) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`it ended: ${seen}`);
        seen += new TextDecoder().decode(value);
      }
      expect(await home.json("status")).toMatchObject({ runs: { active: [{ name: "long" }] } });
      training.kill("SIGINT");
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        seen += new TextDecoder().decode(value);
      }
      await training.exited;
      expect(training.exitCode).toBe(130);
      const last = jsonLines(seen).at(-1)!;
      expect(last).toMatchObject({ type: "interrupted", name: "long" });
      const { checkpoints } = (await home.json("run", "status", "long")) as {
        checkpoints: { step: number }[];
      };
      expect(checkpoints.at(-1)!.step).toBe(Number(last["steps"]));
      expect(lives(pid)).toBe(true);

      const book = home.folder.file("texts/book.txt");
      writeFileSync(book, "the old man and the sea\n".repeat(400));
      const words = ["train", "book.txt", "--size", "nano", "--steps", "2", "--json"];
      expect((await home.run(...words)).status).toBe(10);
      const own = await runBinary(words, { home: home.path, cwd: join(book, "..") });
      expect(jsonLines(own.stdout).at(-1)).toMatchObject({ type: "done", steps: 2 });
    },
    5 * minutes,
  );

  test(
    "A-9 down during a training: a checkpoint first, then the end; the next up goes on",
    async () => {
      await using home = new DaemonHome();
      const { pid } = await home.up();
      const started = await home.json("run", "start", ...longTraining.slice(1), "--name", "kept");
      expect(started).toMatchObject({ name: "kept" });
      const stepOf = async () => Number((await home.json("run", "status", "kept"))["step"]);
      await until("steps", async () => (await stepOf()) > 5);
      expect(await home.json("down")).toMatchObject({ state: "stopped", by: "request" });
      expect(lives(pid)).toBe(false);
      const stopped = await home.json("run", "status", "kept");
      expect(stopped["state"]).toBe("interrupted");
      const { checkpoints } = stopped as { checkpoints?: { step: number }[] };
      expect(checkpoints!.at(-1)!.step).toBe(Number(stopped["step"]));
      await home.up();
      await until("further steps", async () => (await stepOf()) > Number(stopped["step"]));
      expect(await home.json("run", "stop", "kept")).toMatchObject({ name: "kept" });
    },
    5 * minutes,
  );

  test(
    "A-9 what computes runs in a child: its crash is a refusal, and the daemon lives",
    async () => {
      await using home = new DaemonHome();
      const { pid, url, socket } = await home.up();
      await home.json("train", "--size", "nano", "--steps", "20", "--name", "small");
      const sample = (tokens: number) =>
        fetch("http://localhost/commands/sample", {
          unix: socket,
          method: "POST",
          headers: { "content-type": "application/json", accept: "application/x-ndjson" },
          body: JSON.stringify({ run: "small", prompt: "1+1=", tokens }),
        });
      const short = jsonLines(await (await sample(3)).text());
      expect(short.at(-1)).toMatchObject({ result: { tokens: 3 } });

      const long = await sample(1_000_000);
      const reader = long.body!.getReader();
      let text = "";
      while (!text.includes('"token"'))
        text += new TextDecoder().decode((await reader.read()).value);
      const children = childrenOf(pid);
      expect(children.length).toBe(1);
      // While it computes the daemon answers as if nothing were.
      for (let asked = 0; asked < 50; asked++)
        expect((await get(`${url}/healthz`)).status).toBe(200);
      process.kill(children[0]!, "SIGSEGV");
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += new TextDecoder().decode(value);
      }
      expect(jsonLines(text).at(-1)).toMatchObject({ refusal: { code: "command_crashed" } });
      expect(jsonLines(await (await sample(2)).text()).at(-1)).toMatchObject({
        result: { tokens: 2 },
      });

      const chat = await fetch("http://localhost/commands/chat", {
        unix: socket,
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ run: "small" }),
      });
      expect(await chat.json()).toMatchObject({ code: "input_needed" });
    },
    5 * minutes,
  );

  test(
    "A-9 a caller that goes away takes its computing child with it",
    async () => {
      await using home = new DaemonHome();
      const { pid, socket } = await home.up();
      await home.json("train", "--size", "nano", "--steps", "20", "--name", "small");
      const gone = new AbortController();
      const answer = await fetch("http://localhost/commands/sample", {
        unix: socket,
        method: "POST",
        signal: gone.signal,
        headers: { "content-type": "application/json", accept: "application/x-ndjson" },
        body: JSON.stringify({ run: "small", tokens: 1_000_000 }),
      });
      const reader = answer.body!.getReader();
      await reader.read();
      expect(await until("a child", () => childrenOf(pid).length > 0)).toBe(true);
      gone.abort();
      expect(await until("no child", () => childrenOf(pid).length === 0)).toBe(true);
    },
    5 * minutes,
  );
});

describe("A-9 killed at any time", () => {
  test(
    "A-9 kill -9 while a command computes ends its child too; a second Ctrl-C ends only the terminal",
    async () => {
      await using home = new DaemonHome();
      const { pid, socket } = await home.up();
      const caller = await home.start(...longTraining, "--name", "small", "--json");
      const reader = caller.stdout.getReader();
      let seen = "";
      while (!seen.includes('"type":"step"'))
        seen += new TextDecoder().decode((await reader.read()).value);
      caller.kill("SIGINT");
      caller.kill("SIGINT");
      await caller.exited;
      expect(caller.exitCode).toBe(130);
      expect(lives(pid)).toBe(true);
      await until("the run's end", async () => {
        return (await home.json("run", "status", "small"))["state"] === "interrupted";
      });
      const answer = await fetch("http://localhost/commands/sample", {
        unix: socket,
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/x-ndjson" },
        body: JSON.stringify({ run: "small", tokens: 1_000_000 }),
      });
      await answer.body!.getReader().read();
      const [child] = childrenOf(pid);
      expect(child).toBeGreaterThan(0);
      process.kill(pid, "SIGKILL");
      expect(await until("the child's end", () => !lives(child!))).toBe(true);
    },
    5 * minutes,
  );

  test(
    "A-9 kill -9 with a training: the terminal is told, children end, the next up goes on at once",
    async () => {
      await using home = new DaemonHome();
      const { pid, socket } = await home.up();
      const caller = await home.start(...longTraining, "--name", "long");
      const children = await until("a trainer", () => {
        const found = childrenOf(pid);
        return found.length > 0 ? found : null;
      });
      const stepOf = async () => Number((await home.json("run", "status", "long"))["step"]);
      await until("steps", async () => (await stepOf()) > 3);
      process.kill(pid, "SIGKILL");
      const [, said] = await Promise.all([caller.exited, caller.stderr.text()]);
      expect({ status: caller.exitCode, code: /code: (\w+)/.exec(said)?.[1] }).toEqual({
        status: 15,
        code: "daemon_lost",
      });
      await until("the children's end", () => children.every((child) => !lives(child)));
      const lost = await stepOf();
      expect(await home.json("status")).toMatchObject({ state: "stopped", daemon: null });
      expect(existsSync(socket)).toBe(false);
      const { pid: next } = await home.up();
      expect(next).not.toBe(pid);
      expect(await home.json("status")).toMatchObject({ node: { epoch: 2 } });
      await until("further steps", async () => (await stepOf()) > lost);
      const { stdout } = await home.run("logs", "--level", "warning");
      expect(stdout).toContain("was ended without order");
    },
    5 * minutes,
  );

  test(
    "A-9 whatever a killed daemon leaves, the next starts, with a higher epoch each time",
    async () => {
      await using home = new DaemonHome();
      const epochs: unknown[] = [];
      for (let round = 0; round < 4; round++) {
        const { pid } = await home.up();
        const { node } = (await home.json("status")) as { node: { epoch: number } };
        epochs.push(node.epoch);
        process.kill(pid, "SIGKILL");
        await until("its end", () => !lives(pid));
        if (round === 1) writeFileSync(join(home.path, "daemon.json"), '{"half":');
        if (round === 2) symlinkSync("/nowhere", join(home.path, "left-over"));
      }
      expect(epochs).toEqual([1, 2, 3, 4]);
      expect(await home.json("status")).toMatchObject({ state: "stopped", daemon: null });
    },
    5 * minutes,
  );

  test(
    "A-9 a daemon that does not listen any more is ended by force",
    async () => {
      await using home = new DaemonHome();
      const { pid } = await home.up();
      process.kill(pid, "SIGSTOP");
      const down = home.json("down", "--drain", "100ms");
      expect(await down).toMatchObject({ state: "stopped", by: "SIGKILL", pid });
      expect(lives(pid)).toBe(false);
      await home.up();
    },
    5 * minutes,
  );
});

describe("A-9 logs", () => {
  test(
    "A-9 logs need no daemon; logs -f follows through restarts until Ctrl-C",
    async () => {
      await using home = new DaemonHome();
      const nothing = await home.run("logs");
      expect({ status: nothing.status, out: nothing.stdout }).toEqual({ status: 0, out: "" });
      await home.up();
      const follower = await home.start("logs", "-f", "-n", "1", "--json");
      const reader = follower.stdout.getReader();
      let seen = "";
      const readUntil = async (wanted: string) => {
        while (!seen.includes(wanted)) {
          const { value, done } = await reader.read();
          if (done) throw new Error(`it ended before ${wanted}: ${seen}`);
          seen += new TextDecoder().decode(value);
        }
      };
      await readUntil("epoch 1");
      await home.run("down");
      await readUntil('"message":"stopped"');
      await home.up("--log-level", "debug");
      await readUntil("epoch 2");
      const { url, socket } = home.file;
      await fetch("http://localhost/commands/version", { unix: socket, method: "POST" });
      appendFileSync(join(home.path, "logs", "psionic.log"), "torn line\n");
      const refused = await fetch("http://localhost/commands/run/status", {
        unix: socket,
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"run":"nobody"}',
      });
      expect(refused.status).toBe(404);
      await get(`${url}/nowhere`);
      await readUntil("run_not_found");
      follower.kill("SIGINT");
      await follower.exited;
      expect(follower.exitCode).toBe(130);
      const entries = jsonLines(seen);
      expect(entries.every(({ type }) => type === "log")).toBe(true);
      const debug = await home.run("logs", "--level", "debug");
      expect(debug.stdout).toContain("version: done");
      expect((await home.run("logs")).stdout).not.toContain("version: done");
      const token = readFileSync(join(home.path, "identity", "operator.token"), "utf8").trim();
      const all = readFileSync(join(home.path, "logs", "psionic.log"), "utf8");
      expect(all).not.toContain(token);
      expect(readFileSync(join(home.path, "logs", "up.log"), "utf8")).not.toContain(token);
    },
    5 * minutes,
  );
});

describe("A-9 service print", () => {
  test("A-9 the unit names this executable and this home", async () => {
    await using home = new DaemonHome("a home");
    const { stdout, stderr, status } = await home.run("service", "print", "systemd");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ExecStart=\/.*psionic up --drain 30000ms --home ".*\/a home"$/m);
    expect(stderr).toContain("systemctl");
    const account = Bun.spawnSync(["id", "-un"]).stdout.toString().trim();
    for (const USER of ["", "somebody-else"]) {
      const words = ["service", "print", "systemd"];
      const unit = await runBinary(words, { home: home.path, environment: { USER } });
      expect(unit.stdout).toContain(`\nUser=${account}\n`);
    }
    const launchd = await home.run("service", "print", "launchd", "--user");
    expect(launchd.stdout).toContain(`<string>${home.path}</string>`);
    expect(Bun.YAML.parse((await home.run("service", "print", "compose")).stdout)).toMatchObject({
      services: { psionic: { restart: "on-failure" } },
    });
    expect((await home.run("service", "print", "upstart")).status).toBe(2);
  });
});
