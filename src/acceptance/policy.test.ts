import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binaryPath, jsonLines, root, runBinary, start, TemporaryFolder } from "./binary.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const home = folder.file("home");
const attestation = join(folder.path, "explained.json");

/** The blocks of a language in docs/POLICIES.md's worked example. */
function written(language: string): string {
  const text = readFileSync(join(root, "docs/POLICIES.md"), "utf8");
  const [, block] = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(text) ?? [];
  if (block === undefined) throw new Error(`docs/POLICIES.md shows no ${language}`);
  return block;
}

/** Runs one line of the example in a shell where `psionic` is the executable. */
async function shell(line: string) {
  const path = `${join(folder.path, "bin")}:${process.env["PATH"] ?? ""}`;
  const child = start(["sh", "-c", line], home, { cwd: folder.path, environment: { PATH: path } });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, stdout, stderr };
}

const lines = written("sh").trim().split("\n");
const executing = lines.find((line) => line.includes("execute"))!;

const psionic = (words: readonly string[]) => runBinary(words, { home, cwd: folder.path });

beforeAll(async () => {
  mkdirSync(join(folder.path, "bin"));
  symlinkSync(await binaryPath(), join(folder.path, "bin/psionic"));
  writeFileSync(join(folder.path, "small-runs.toml"), written("toml"));
  writeFileSync(join(folder.path, "cases.json"), written("json"));
}, 120_000);

describe("A-8 the worked example of docs/POLICIES.md", () => {
  test("A-8 it works as written", async () => {
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      const { status, stdout } = await shell(line);
      expect([line, status]).toEqual([line, 0]);
      // A person sees what was executed as it shows itself, not the record of it.
      if (line === executing) expect(stdout).toStartWith("not_found: ");
    }
    const again = await shell(executing);
    expect(again.status).toBe(14);
    expect(again.stderr).toContain("execution_duplicate");
    const play = executing.replace('"teaching"', '"play"').replace("explained", "denied");
    const denied = await shell(play);
    expect(denied.status).toBe(12);
    expect(denied.stderr).toContain("policy_denied");
    const left = await shell("psionic attestation verify denied.json");
    expect(left.stdout).toContain("small-runs@1: deny by the default");
  }, 60_000);

  test("A-8 an attestation is verified in an empty home, with the file and a key alone", async () => {
    const { key } = JSON.parse(readFileSync(attestation, "utf8")) as { key: string };
    const verify = (words: readonly string[]) =>
      runBinary(["attestation", "verify", ...words, "--json"], { cwd: folder.path });
    const good = await verify(["explained.json", "--key", key]);
    expect(good.status).toBe(0);
    expect(jsonLines(good.stdout).at(-1)).toMatchObject({
      key,
      body: {
        policy: "small-runs",
        revision: 1,
        command: "explain",
        outcome: "allow",
        ended: "done",
      },
    });
    const text = readFileSync(attestation, "utf8");
    writeFileSync(join(folder.path, "forged.json"), text.replace('"explain"', '"version"'));
    writeFileSync(join(folder.path, "signals.json"), "{}");
    const faults: [string, string[]][] = [
      ["signature_wrong", ["forged.json"]],
      ["key_differs", ["explained.json", "--key", "ab".repeat(32)]],
      ["signals_differ", ["explained.json", "--signals", "signals.json"]],
      ["not_json", ["small-runs.toml"]],
      ["shape", ["cases.json"]],
    ];
    for (const [reason, words] of faults) {
      const { status, stdout } = await verify(words);
      expect([status, jsonLines(stdout).at(-1)?.["details"]]).toMatchObject([13, { reason }]);
    }
  }, 60_000);

  test("A-8 show and export give what was decided and the signals it was about", async () => {
    const { subject } = JSON.parse(readFileSync(attestation, "utf8")) as { subject: string };
    const shown = await psionic(["attestation", "show", subject, "--json"]);
    expect(jsonLines(shown.stdout).at(-1)).toMatchObject({
      state: "done",
      signals: { purpose: "teaching", command: "explain", "caller.provenance": "local" },
    });
    const words = ["attestation", "export", subject, "again.json", "--signals", "all.json"];
    expect((await psionic(words)).status).toBe(0);
    expect(readFileSync(join(folder.path, "again.json"), "utf8")).toBe(
      readFileSync(attestation, "utf8"),
    );
    const checked = await runBinary(
      ["attestation", "verify", "again.json", "--signals", "all.json"],
      { cwd: folder.path },
    );
    expect(checked.status).toBe(0);
    expect(checked.stdout).toContain("are those the policy saw");
  }, 60_000);
});

describe("A-8 refusals of the executable", () => {
  const execute = ["execute", "explain", "--parameters", '{"code":"usage"}', "--json"];
  const refusals: [string, number, string[]][] = [
    ["policy_not_found", 10, [...execute, "--policy", "small-runs@2"]],
    ["policy_signal_missing", 14, [...execute, "--policy", "small-runs@1"]],
    [
      "policy_signal_reserved",
      14,
      [...execute, "--policy", "small-runs@1", "--signals", '{"caller.trust":"owner"}'],
    ],
    ["policy_wrong", 2, ["policy", "add", "cases.json", "--json"]],
    ["policy_exists", 14, ["policy", "add", "changed.toml", "--json"]],
    [
      "policy_test_failed",
      13,
      ["policy", "test", "small-runs@1", "--signals", "wrong.json", "--json"],
    ],
    ["execution_not_found", 10, ["attestation", "show", `psx${"0".repeat(32)}`, "--json"]],
  ];
  test.each(refusals)("A-8 %s exits with %d", async (code, status, words) => {
    writeFileSync(join(folder.path, "changed.toml"), written("toml").replace("harmless", "good"));
    writeFileSync(
      join(folder.path, "wrong.json"),
      written("json").replace('"outcome": "deny"', '"outcome": "allow"'),
    );
    const outcome = await psionic(words);
    expect([outcome.status, jsonLines(outcome.stdout).at(-1)]).toMatchObject([status, { code }]);
  });

  test("A-8 of twelve processes that ask at once, one executes", async () => {
    const words = [
      ...["execute", "explain", "--policy", "small-runs@1", "--key", "together", "--json"],
      ...[
        "--parameters",
        '{"code":"not_found"}',
        "--signals",
        '{"purpose":"testing","tickets":[]}',
      ],
    ];
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => psionic(words)));
    const statuses = outcomes.map(({ status }) => status).sort((a, b) => Number(a) - Number(b));
    expect(statuses).toEqual([0, ...Array.from({ length: 11 }, () => 14)]);
  }, 60_000);
});
