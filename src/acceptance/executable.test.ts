import { describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  armBinaryPath,
  binaryPath,
  jsonLines,
  maySkipArm,
  root,
  runBinary,
  runUnderQemu,
  TemporaryFolder,
  whyNoArm,
  startRatio,
} from "./binary.ts";

interface BuildInfo {
  readonly version: string;
  readonly sourceDigest: string;
  readonly libraries: Readonly<Record<string, { file: string; sha256: string }>>;
}

const sha256 = async (path: string) =>
  new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");

describe("the executable", () => {
  test("version names the build, and the build names the libraries it carries", async () => {
    const { status, stdout } = await runBinary(["version", "--json"]);
    const info = (await Bun.file(join(root, ".build/build-info.json")).json()) as BuildInfo;
    expect(status).toBe(0);
    expect(jsonLines(stdout).at(-1)).toMatchObject({
      version: info.version,
      sourceDigest: info.sourceDigest,
    });
    expect(Object.keys(info.libraries)).toContain(`${process.platform}-${process.arch}`);
    for (const { file, sha256: wanted } of Object.values(info.libraries)) {
      expect(await sha256(join(root, file))).toBe(wanted);
    }
  });

  test("version starts through the launcher within a few starts of an empty program", async () => {
    await binaryPath();
    // A source saved while the tests run makes the launcher build; of several starts one is without.
    expect(startRatio([join(root, "psionic"), "version"])).toBeLessThan(10);
  });

  test("neither .env nor bunfig.toml of the folder it is started in has a say", async () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file("work/.env"), "PSIONIC_HOME=/nowhere\nPSIONIC_THREADS=nonsense\n");
    writeFileSync(folder.file("work/bunfig.toml"), 'preload = ["./preload.ts"]\n');
    writeFileSync(folder.file("work/preload.ts"), 'console.log("preloaded"); process.exit(99);');
    const { status, stdout } = await runBinary(["version"], { cwd: join(folder.path, "work") });
    expect(status).toBe(0);
    expect(stdout).not.toContain("preloaded");
  });

  test("a build with nothing to do leaves the executable's bytes alone and is quick", async () => {
    const path = await binaryPath();
    const before = statSync(path).ino;
    const startedMs = performance.now();
    expect(Bun.spawnSync([process.execPath, "build.ts"], { cwd: root }).exitCode).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(statSync(path).ino).toBe(before);
  });

  test("an unknown target is refused in one line", () => {
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, "build.ts", "--target", "vax-11"],
      { cwd: root, stderr: "pipe" },
    );
    expect(exitCode).toBe(15);
    expect(stderr.toString()).toMatch(/^psionic: there is no target vax-11: [^\n]+\n$/);
  });

  test.skipIf(maySkipArm())(
    `the arm64 executable starts under emulation (${whyNoArm() ?? "available"})`,
    async () => {
      const { status, stdout } = await runUnderQemu([await armBinaryPath(), "version", "--json"]);
      expect(status).toBe(0);
      expect(jsonLines(stdout).at(-1)).toMatchObject({ platform: "linux-arm64" });
    },
  );
});
