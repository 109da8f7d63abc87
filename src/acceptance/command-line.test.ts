import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codes } from "#src/refusal/codes.ts";
import {
  binaryPath,
  jsonLines,
  root,
  runBinary,
  start,
  startRatio,
  TemporaryFolder,
} from "./binary.ts";

/** The last JSON line of a run that was asked for JSON. */
const lastLine = (stdout: string) => jsonLines(stdout).at(-1)!;

describe("A-2 the executable's command line", () => {
  const refused: [string, string[], string, number][] = [
    ["an unknown command", ["trian"], "unknown_command", 2],
    ["an unknown flag", ["version", "--colour"], "usage", 2],
    ["a missing parameter", ["explain"], "usage", 2],
    ["a parameter of the wrong kind", ["completions", "tcsh"], "usage", 2],
    ["an unknown code", ["explain", "nothing"], "not_found", 10],
    ["no identity yet", ["identity", "show"], "identity_absent", 10],
    ["a file that is not there", ["identity", "restore", "/nowhere/x"], "not_found", 10],
  ];
  test.each(refused)("A-2 %s is refused by code and status", async (_, words, code, status) => {
    const asJson = await runBinary([...words, "--json", "--no-input"]);
    expect(asJson.status).toBe(status);
    expect(lastLine(asJson.stdout)).toMatchObject({ type: "refusal", code });
    expect(asJson.stderr).toBe("");
    const shown = await runBinary([...words, "--no-input"]);
    expect(shown.status).toBe(status);
    expect(shown.stdout).toBe("");
    expect(shown.stderr).toMatch(/^refused: .+\n {3}hint: .+\n {3}code: .+\n$/);
  });

  test("A-2 a parameter's name and path are in the refusal", async () => {
    const { stdout } = await runBinary(["completions", '{"shell":7}', "--json"]);
    expect(lastLine(stdout)).toMatchObject({ code: "usage", details: { path: "shell" } });
  });

  test("A-3 commands lists what --help shows, with schemas", async () => {
    const { stdout } = await runBinary(["commands", "--json"]);
    const { commands } = lastLine(stdout) as { commands: { name: string; parameters: object }[] };
    const help = await runBinary(["--help"]);
    expect(commands.length).toBeGreaterThan(8);
    for (const { name, parameters } of commands) {
      expect(help.stdout).toContain(`\n  ${name.replaceAll("/", " ")} `);
      expect(parameters).toMatchObject({ type: "object" });
    }
  });

  test("A-2 every code is explained", async () => {
    for (const code of Object.keys(codes).slice(0, 5)) {
      const { status, stdout } = await runBinary(["explain", code, "--json"]);
      expect(status).toBe(0);
      expect(lastLine(stdout)).toMatchObject({ code, exitStatus: codes[code as "usage"].exit });
    }
  });

  test("A-2 a reader that goes away ends it quietly", async () => {
    const child = Bun.spawn(
      ["bash", "-c", 'set -o pipefail; "$0" completions fish | head -1', await binaryPath()],
      { cwd: root, stdout: "pipe", stderr: "pipe" },
    );
    expect(await child.stderr.text()).toBe("");
    await child.exited;
    expect(child.exitCode).toBe(0);
  });

  test("A-2 nobody starts a hidden role by hand", async () => {
    const { status, stderr } = await runBinary(["__nothing"]);
    expect(status).toBe(2);
    expect(stderr).toContain("started by psionic itself");
  });

  test("A-2 a mistake in psionic.toml is refused with its line, and version still answers", async () => {
    using folder = new TemporaryFolder();
    const home = folder.file("home");
    mkdirSync(home);
    writeFileSync(join(home, "psionic.toml"), '[completions]\nshel = "bash"\n');
    const { status, stdout } = await runBinary(["config", "show", "--json"], { home });
    expect(status).toBe(2);
    expect(lastLine(stdout)).toMatchObject({ code: "configuration_wrong", details: { line: 2 } });
    expect((await runBinary(["version"], { home })).status).toBe(0);
    writeFileSync(join(home, "psionic.toml"), '[completions]\nshell = "fish"\n');
    const configured = await runBinary(["completions"], { home });
    expect(configured.stdout).toContain("# fish completion");
    const flagged = await runBinary(["completions", "zsh"], { home });
    expect(flagged.stdout).toContain("#compdef");
  });
});

describe("A-2 the executable is quick", () => {
  test("A-2 version answers within a few starts of an empty program", async () => {
    expect(startRatio([await binaryPath(), "version"])).toBeLessThan(4);
  });

  test("A-2 doctor --json answers within a few starts of an empty program", async () => {
    using folder = new TemporaryFolder();
    const words = ["doctor", "--json", "--home", folder.file("home")];
    expect(startRatio([await binaryPath(), ...words])).toBeLessThan(20);
    expect(existsSync(folder.file("home"))).toBe(false);
  });
});

describe("I-1 the executable's identity", () => {
  test("I-1 init makes it once; backup and restore carry it to another home", async () => {
    using folder = new TemporaryFolder();
    const [home, other] = [folder.file("home"), folder.file("other")];
    const made = lastLine((await runBinary(["init", "--json"], { home })).stdout);
    expect(made).toMatchObject({ type: "result", created: true });
    expect(lastLine((await runBinary(["init", "--json"], { home })).stdout)).toMatchObject({
      created: false,
      nodeId: made["nodeId"],
    });
    expect(statSync(join(home, "identity/node.key")).mode & 0o777).toBe(0o600);

    const backup = folder.file("backup.json");
    const asked = await runBinary(["identity", "backup", backup, "--no-input"], { home });
    expect(asked.status).toBe(2);
    expect(asked.stderr).toContain("input_needed");
    writeFileSync(folder.file("phrase"), "correct horse battery\n");
    const passphrase = ["--passphrase-file", folder.file("phrase")];
    expect((await runBinary(["identity", "backup", backup, ...passphrase], { home })).status).toBe(
      0,
    );
    const restored = await runBinary(["identity", "restore", backup, "--json"], {
      home: other,
      environment: { PSIONIC_PASSPHRASE: "correct horse battery" },
    });
    expect(lastLine(restored.stdout)).toMatchObject({
      nodeId: made["nodeId"],
      bornMs: made["bornMs"],
    });
    const wrong = await runBinary(["identity", "restore", backup, "--json"], {
      home: other,
      environment: { PSIONIC_PASSPHRASE: "wrong horse battery" },
    });
    expect(wrong.status).toBe(13);
    const third = folder.file("third");
    await runBinary(["init"], { home: third });
    const taken = await runBinary(["identity", "restore", backup, ...passphrase], { home: third });
    expect(taken.status).toBe(14);
    expect(taken.stderr).toContain("identity_exists");
  });

  test("I-1 many inits of one home at once make one identity", async () => {
    using folder = new TemporaryFolder();
    const home = folder.file("home");
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, () => runBinary(["init", "--json"], { home })),
    );
    const lines = outcomes.map(({ stdout }) => lastLine(stdout));
    const made = lines.filter(({ type }) => type === "result");
    expect(made.filter(({ created }) => created === true).length).toBe(1);
    expect(new Set(made.map(({ nodeId }) => nodeId)).size).toBe(1);
    for (const { type, code } of lines) {
      if (type === "refusal") expect(code).toBe("home_locked");
    }
  });

  test("I-1 a home held by another process is refused with status 11 until that is killed", async () => {
    using folder = new TemporaryFolder();
    const home = folder.file("home");
    await runBinary(["init"], { home });
    const holder = start(
      [
        ...[process.execPath, "-e"],
        `const { lockHome } = await import(${JSON.stringify(join(root, "src/node/home-lock.ts"))});
         const { homePaths } = await import(${JSON.stringify(join(root, "src/node/home.ts"))});
         lockHome(homePaths(undefined, process.env));
         console.log("held");
         setInterval(() => {}, 1000);`,
      ],
      home,
    );
    await holder.stdout.getReader().read();
    const second = await runBinary(["init", "--json"], { home });
    expect(second.status).toBe(11);
    expect(lastLine(second.stdout)).toMatchObject({
      code: "home_locked",
      details: { pid: holder.pid },
    });
    expect((await runBinary(["identity", "show"], { home })).status).toBe(0);
    expect((await runBinary(["doctor"], { home })).status).toBe(0);
    holder.kill("SIGKILL");
    await holder.exited;
    expect((await runBinary(["init"], { home })).status).toBe(0);
  });
});

/** A command run as a user whom file permissions bind, or why that cannot be had here. */
const bound = process.getuid?.() !== 0 ? [] : ["setpriv", "--reuid=65534", "--clear-groups"];
const whyUnbound =
  bound.length > 0 && Bun.which("setpriv") === null ? "root without setpriv" : null;

describe("A-2 hostile homes", () => {
  const bindable = whyUnbound === null ? test : test.skip;
  bindable(`A-2 a home that cannot be written is refused${whyUnbound ?? ""}`, async () => {
    using folder = new TemporaryFolder();
    const home = folder.file("home");
    mkdirSync(home);
    chmodSync(home, 0o555);
    chmodSync(folder.path, 0o755);
    const path = await binaryPath();
    for (const words of [
      ["init"],
      ["init", "--home", folder.file("home/deeper")],
      ["up", "--detach", "--port", "0"],
    ]) {
      const child = start([...bound, path, ...words, "--json"], home);
      const stdout = await child.stdout.text();
      await child.exited;
      expect(lastLine(stdout)).toMatchObject({ type: "refusal", code: "home_unwritable" });
      expect(child.exitCode).toBe(14);
    }
    const doctor = start([...bound, path, "doctor", "--json"], home);
    const lines = jsonLines(await doctor.stdout.text());
    await doctor.exited;
    expect(doctor.exitCode).toBe(14);
    expect(lines.find(({ name }) => name === "home")).toMatchObject({ passed: false });
    expect(String(lines.find(({ name }) => name === "home")?.["fix"])).toContain("--home");
    expect(readdirSync(home)).toEqual([]);
  });

  const mounted = Bun.spawnSync([
    "sh",
    "-c",
    "mount -t tmpfs -o size=64k tmpfs /mnt && umount /mnt",
  ]);
  const mountable = mounted.exitCode === 0 ? test : test.skip;
  mountable("A-2 a full disk is refused and a later try works (needs mount)", async () => {
    using folder = new TemporaryFolder();
    const home = folder.file("home");
    mkdirSync(home);
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", home]);
    try {
      Bun.spawnSync(["sh", "-c", 'cat /dev/zero > "$0/filler"', home], { stderr: "ignore" });
      const full = await runBinary(["init", "--json"], { home });
      expect(full.status).toBe(14);
      expect(lastLine(full.stdout)).toMatchObject({ type: "refusal", code: "disk_full" });
      Bun.spawnSync(["rm", join(home, "filler")]);
      expect((await runBinary(["init"], { home })).status).toBe(0);
    } finally {
      Bun.spawnSync(["umount", home]);
    }
  });
});
