import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { binaryPath, jsonLines, runBinary, start } from "./binary.ts";
import { childrenOf, DaemonHome, lives, until } from "./daemon.fixture.ts";
import { askSocket, askTcp, codeIn } from "./storm-doors.fixture.ts";
import { liveLines } from "./training.fixture.ts";

/** What happens around a daemon that lives for months. */

const minutes = 60_000;
const training = { size: "nano", steps: 1_000_000, seed: 7, threads: 1, checkpointEvery: 50 };

const stateOf = async (home: string, run: string) => {
  const answer = await askSocket(home, "run/status", { run });
  return answer.kind === "result" ? (answer.result as { state: string }).state : "";
};

const stepOf = async (home: string, run: string) => {
  const answer = await askSocket(home, "run/status", { run });
  return answer.kind === "result" ? (answer.result as { step: number }).step : -1;
};

describe("A-9 around a daemon", () => {
  test(
    "A-9 a home copied while it runs is a home of its own, and leaves the original alone",
    async () => {
      await using home = new DaemonHome();
      const { pid, socket } = await home.up();
      await using copy = new DaemonHome("copy");
      cpSync(home.path, copy.path, {
        recursive: true,
        filter: (path) => !path.endsWith(".sock"),
      });
      expect(await copy.json("status")).toMatchObject({ state: "stopped", daemon: null });
      expect(await copy.json("down")).toMatchObject({ state: "absent" });
      expect((await copy.json("train", "--size", "nano", "--steps", "2"))["type"]).toBe("done");
      const other = await copy.up();
      expect(other.pid).not.toBe(pid);
      expect(await copy.json("down")).toMatchObject({ state: "stopped", pid: other.pid });
      expect([lives(pid), existsSync(socket)]).toEqual([true, true]);
      expect(await home.json("runs")).toMatchObject({ runs: [] });
      expect(await home.json("status")).toMatchObject({ daemon: { pid } });
    },
    2 * minutes,
  );

  test(
    "A-9 many SIGTERM at once stop it in order: a checkpoint, status 0, nothing left behind",
    async () => {
      await using home = new DaemonHome();
      const child = await home.start("up", "--port", "0");
      await until(
        "a daemon",
        async () => (await askSocket(home.path, "GET /readyz")).kind === "result",
      );
      expect(codeIn(await askSocket(home.path, "run/start", { ...training, name: "kept" }))).toBe(
        "result",
      );
      await until("steps", async () => (await stepOf(home.path, "kept")) > 5);
      for (let time = 0; time < 20; time++) {
        child.kill(time % 3 === 2 ? "SIGHUP" : "SIGTERM");
        await Bun.sleep(5);
      }
      await child.exited;
      expect({ status: child.exitCode, signal: child.signalCode }).toEqual({
        ...{ status: 0, signal: null },
      });
      expect(home.hasFile).toBe(false);
      const { checkpoints, step } = await home.json("run", "status", "kept");
      expect((checkpoints as { step: number }[]).at(-1)!.step).toBe(Number(step));
    },
    2 * minutes,
  );

  test(
    "A-9 a terminal that is killed takes its forwarded training along, with a checkpoint",
    async () => {
      await using home = new DaemonHome();
      const { pid } = await home.up();
      const words = ["--size", "nano", "--steps", "1000000", "--name", "mine"];
      const terminal = await home.start("train", ...words);
      await until("steps", async () => (await stepOf(home.path, "mine")) > 5);
      terminal.kill("SIGKILL");
      await until("its end", async () => {
        const status = await home.json("run", "status", "mine");
        return status["state"] === "interrupted";
      });
      const { checkpoints, step } = await home.json("run", "status", "mine");
      expect((checkpoints as { step: number }[]).at(-1)!.step).toBe(Number(step));
      await until("no children", () => childrenOf(pid).length === 0);
      expect(codeIn(await askSocket(home.path, "run/start", { resume: "mine" }))).toBe("result");
    },
    2 * minutes,
  );

  test(
    "A-9 psionic.toml counts as it is now; a broken one keeps neither training nor daemon from being stopped",
    async () => {
      await using home = new DaemonHome();
      await home.up();
      const path = join(home.path, "psionic.toml");
      for (const steps of ["1", "2"])
        expect((await home.json("train", "--size", "nano", "--steps", steps))["type"]).toBe("done");
      const terminal = await home.start("train", "--size", "nano", "--name", "long");
      await until("steps", async () => (await stepOf(home.path, "long")) > 5);
      writeFileSync(path, "[receipt.list]\nlimit = 1\n");
      const listed = async () => {
        const answer = await askTcp(home.path, "receipt/list", {});
        return answer.kind === "result"
          ? (answer.result as { receipts: unknown[] }).receipts.length
          : codeIn(answer);
      };
      expect(await listed()).toBe(1);
      writeFileSync(path, "[receipt.list]\nlimit = 2\n# longer\n");
      expect(await listed()).toBe(2);
      writeFileSync(path, "[receipt.list\n");
      expect(await listed()).toBe("configuration_wrong");
      terminal.kill("SIGINT");
      await terminal.exited;
      expect(terminal.exitCode).toBe(130);
      expect(await home.json("down")).toMatchObject({ state: "stopped", by: "request" });
      rmSync(path);
      expect(await home.json("run", "status", "long")).toMatchObject({ state: "interrupted" });
    },
    2 * minutes,
  );

  test(
    "A-9 a daemon whose executable was replaced goes on as the build it is",
    async () => {
      await using home = new DaemonHome();
      const program = home.folder.file("bin/psionic");
      copyFileSync(await binaryPath(), program);
      const child = start([program, "up", "--port", "0"], home.path);
      await until(
        "a daemon",
        async () => (await askSocket(home.path, "GET /readyz")).kind === "result",
      );
      writeFileSync(`${program}.new`, "#!/bin/sh\nexit 9\n", { mode: 0o755 });
      renameSync(`${program}.new`, program);
      const short = { ...training, steps: 30, name: "after" };
      expect(codeIn(await askSocket(home.path, "run/start", short))).toBe("result");
      await until("its end", async () => (await stateOf(home.path, "after")) === "completed");
      const sampled = await askSocket(home.path, "sample", { run: "after", tokens: 2 });
      expect(sampled).toMatchObject({ kind: "result", result: { tokens: 2 } });
      for (const [name, parameters] of [
        ["digest", { run: "after" }],
        ["policy/list", {}],
        ["doctor", {}],
        ["commands/list", {}],
      ] as const)
        expect([name, codeIn(await askTcp(home.path, name, parameters))]).toEqual([name, "result"]);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    },
    2 * minutes,
  );

  test(
    "A-9 up and down at the same time end in one or the other, every time",
    async () => {
      await using home = new DaemonHome();
      for (let round = 0; round < 3; round++) {
        const outcomes = await Promise.all(
          [
            ["up", "--detach", "--port", "0"],
            ["down"],
            ["up", "--detach", "--port", "0"],
            ["down"],
          ].map((words) => home.run(...words, "--json")),
        );
        for (const { status, stdout } of outcomes)
          if (status !== 0)
            expect(["daemon_not_ready", "home_locked"]).toContain(
              String(jsonLines(stdout).at(-1)?.["code"]),
            );
        const { state } = await home.json("status");
        expect(["running", "stopped"]).toContain(String(state));
        expect(home.hasFile).toBe(state === "running");
      }
      const { pid } = await home.up();
      expect(await home.json("down")).toMatchObject({ state: "stopped", pid });
    },
    2 * minutes,
  );

  test(
    "A-9 a start that was refused is no daemon that ended without order",
    async () => {
      await using home = new DaemonHome();
      const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
      const refused = await home.json("up", "--port", String(server.port));
      expect(refused["code"]).toBe("port_taken");
      await server.stop(true);
      await home.up();
      expect((await home.run("logs", "--level", "warning")).stdout).toBe("");
    },
    2 * minutes,
  );

  test(
    "A-9 demo beside a daemon leaves it alone, and nothing behind that runs when it is stopped",
    async () => {
      await using home = new DaemonHome();
      await home.up();
      const demo = start([await binaryPath(), "demo", "--json"], home.path);
      const lines = liveLines(demo.stdout);
      const { value: began } = await lines.next();
      expect(began).toMatchObject({ type: "demo", folder: `${home.path}/demo-1` });
      const { value: node } = await lines.next();
      expect(node).toMatchObject({ type: "node", number: 1 });
      const file = join(home.path, "demo-1", "node-1", "daemon.json");
      const { pid } = JSON.parse(readFileSync(file, "utf8")) as { pid: number };
      demo.kill("SIGINT");
      await demo.exited;
      await until("its node is gone", () => !lives(pid));
      expect((await runBinary(["status"], { home: home.path })).status).toBe(0);
    },
    2 * minutes,
  );
});
