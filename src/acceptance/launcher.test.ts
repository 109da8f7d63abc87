import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, start, TemporaryFolder } from "./binary.ts";

/** The tools a first start may use; each test gives the launcher a PATH of exactly some of them. */
const basicTools = ["sh", "cat", "mkdir", "rm", "mv", "chmod", "uname", "cut", "find", "sleep"];
const unpackTools = ["tar", "gzip", "sha256sum", "readlink", "env"];

function makePath(folder: TemporaryFolder, tools: readonly string[]): string {
  const path = folder.file("bin/none");
  const bin = join(path, "..");
  for (const tool of tools) {
    const real = Bun.which(tool);
    if (real) symlinkSync(real, join(bin, tool));
  }
  return bin;
}

/** A clone's outline: the launcher and a build that writes a shell script as the executable. */
function makeClone(folder: TemporaryFolder): string {
  const clone = join(folder.path, "clone");
  mkdirSync(join(clone, "src"), { recursive: true });
  cpSync(join(root, "psionic"), join(clone, "psionic"));
  // One package that lies inside the clone, so that installing needs no network.
  const dependencies = { piece: "file:./piece" };
  const lock = {
    lockfileVersion: 2,
    configVersion: 1,
    workspaces: { "": { name: "clone", dependencies } },
    packages: { piece: ["piece@file:piece", {}] },
  };
  const manifest = { name: "clone", private: true, dependencies };
  mkdirSync(join(clone, "piece"));
  writeFileSync(join(clone, "piece/package.json"), '{ "name": "piece", "version": "1.0.0" }');
  writeFileSync(join(clone, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(clone, "bun.lock"), JSON.stringify(lock));
  writeFileSync(
    join(clone, "build.ts"),
    `import { appendFileSync, chmodSync, mkdirSync, writeFileSync } from "node:fs";
     appendFileSync("builds.log", "built\\n");
     mkdirSync("dist", { recursive: true });
     writeFileSync("dist/psionic", '#!/bin/sh\\necho "ran $*"\\nexit 7\\n');
     chmodSync("dist/psionic", 0o755);`,
  );
  return clone;
}

async function launch(clone: string, path: string, environment: Record<string, string> = {}) {
  const home = join(clone, "../home");
  mkdirSync(home, { recursive: true });
  const child = start([join(clone, "psionic"), "version", "--json"], home, {
    cwd: "/",
    environment: { PATH: path, HOME: home, XDG_CACHE_HOME: "", CC: "", ...environment },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, stdout, stderr };
}

describe("the launcher", () => {
  test("without a C compiler it says in one line what to install and exits 15", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, "npm", "node", "env"]);
    const { status, stdout, stderr } = await launch(makeClone(folder), path);
    expect({ status, stdout }).toEqual({ status: 15, stdout: "" });
    expect(stderr).toMatch(
      /^psionic: no C compiler was found: install one \(.*apt-get install gcc.*\)\n$/,
    );
  });

  test("without Bun and npm it says in one line what to install and exits 15", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, "cc"]);
    const { status, stdout, stderr } = await launch(makeClone(folder), path);
    expect({ status, stdout }).toEqual({ status: 15, stdout: "" });
    expect(stderr).toMatch(/^psionic: neither Bun nor npm was found: install [^\n]+\n$/);
  });

  test("a PSIONIC_BUN of another version is refused, not ignored", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, ...unpackTools, "cc"]);
    const other = folder.file("other-bun");
    writeFileSync(other, "#!/bin/sh\necho 1.0.0\n", { flag: "wx", mode: 0o755 });
    const { status, stderr } = await launch(makeClone(folder), path, { PSIONIC_BUN: other });
    expect(status).toBe(15);
    expect(stderr).toMatch(/^psionic: PSIONIC_BUN=\S+ is not Bun 1\.4\.5: [^\n]+\n$/);
  });

  test("a fetched Bun that is not the pinned build is not kept", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, ...unpackTools, "cc"]);
    // An npm that answers with a package of its own making. `wx` never writes through a link.
    const answer = "mkdir -p package/bin && echo 'echo evil' >package/bin/bun";
    const npm = `#!/bin/sh\n${answer} && tar -czf evil.tgz package && rm -r package\n`;
    writeFileSync(join(path, "npm"), npm, { flag: "wx", mode: 0o755 });
    const clone = makeClone(folder);
    const { status, stderr } = await launch(clone, path);
    expect(status).toBe(15);
    expect(stderr).toContain("is not the pinned build");
    const cache = join(clone, "../home/.cache/psionic");
    expect([...new Bun.Glob("**/*").scanSync(cache)]).toEqual([]);
    expect(existsSync(join(clone, ".build/lock"))).toBe(false);
  });

  test("three first starts at once build once and all run; the next start builds nothing", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, ...unpackTools, "cc"]);
    const clone = makeClone(folder);
    const environment = { PSIONIC_BUN: process.execPath };
    const starts = await Promise.all([1, 2, 3].map(() => launch(clone, path, environment)));
    starts.push(await launch(clone, path, environment));
    for (const { status, stdout, stderr } of starts) {
      expect({ status, stdout, stderr }).toMatchObject({
        status: 7,
        stdout: "ran version --json\n",
      });
    }
    expect(starts[3]?.stderr).toBe("");
    expect(await Bun.file(join(clone, "builds.log")).text()).toBe("built\n");
  });

  test("a source newer than the executable is built, a lock of a dead process is taken over", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, ...unpackTools, "cc"]);
    const clone = makeClone(folder);
    const environment = { PSIONIC_BUN: process.execPath };
    await launch(clone, path, environment);
    const future = new Date(Date.now() + 60_000);
    const source = join(clone, "src/new.ts");
    writeFileSync(source, "");
    Bun.spawnSync(["touch", "-d", future.toISOString(), source]);
    mkdirSync(join(clone, ".build/lock"), { recursive: true });
    // No process has the largest number a pid can be.
    writeFileSync(join(clone, ".build/lock/owner"), "4194304\n");
    const { status } = await launch(clone, path, environment);
    expect(status).toBe(7);
    expect(await Bun.file(join(clone, "builds.log")).text()).toBe("built\nbuilt\n");
  });

  test("reached through a link it finds its clone", async () => {
    using folder = new TemporaryFolder();
    const path = makePath(folder, [...basicTools, ...unpackTools, "cc"]);
    const clone = makeClone(folder);
    await launch(clone, path, { PSIONIC_BUN: process.execPath });
    symlinkSync("../clone/psionic", join(path, "psionic"));
    const child = start([join(path, "psionic"), "x y"], folder.path, {
      environment: { PATH: path },
    });
    expect(await child.stdout.text()).toBe("ran x y\n");
  });
});
