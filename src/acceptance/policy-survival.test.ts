import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";

/**
 * The daemon is killed while it executes under a policy. The command executed issues a grant, each to a
 * key of its own: two grants to one key would be a second execution.
 */

const folder = new TemporaryFolder();
const home = folder.file("home");
const psionic = (words: readonly string[]) => runBinary([...words, "--json"], { home });

const policy = `
name = "grants"
revision = 1
summary = "The owner may lend"

[[rules]]
id = "lend"
when = 'command == "grant/issue" && caller.trust == "owner"'
outcome = "allow"
reason = "the owner lends"
`;

const keys = Array.from({ length: 48 }, (_, index) =>
  (index + 16).toString(16).padStart(2, "0").repeat(32),
);

/** One request through whatever runs: its execution where it was acknowledged, else the refusal's code. */
async function lend(to: string): Promise<{ execution?: string; code?: string; state?: string }> {
  const parameters = JSON.stringify({ to, capability: ["sample"] });
  const words = ["execute", "grant/issue", "--policy", "grants@1", "--parameters", parameters];
  const { status, stdout } = await psionic(words);
  const last = jsonLines(stdout).at(-1) ?? {};
  if (status === 0) return { execution: String(last["execution"]) };
  const { state } = (last["details"] ?? {}) as { state?: string };
  return { code: String(last["code"]), ...(state === undefined ? {} : { state }) };
}

async function up(): Promise<number> {
  const { status, stderr } = await psionic(["up", "--detach", "--port", "0"]);
  expect([status, stderr]).toEqual([0, expect.anything()]);
  return (JSON.parse(readFileSync(join(home, "daemon.json"), "utf8")) as { pid: number }).pid;
}

afterAll(async () => {
  await psionic(["down"]);
  folder[Symbol.dispose]();
});

test("A-8 the daemon is killed while it executes: nothing runs twice, nothing acknowledged is lost", async () => {
  writeFileSync(folder.file("grants.toml"), policy);
  expect((await psionic(["policy", "add", folder.file("grants.toml")])).status).toBe(0);
  const acknowledged = new Map<string, string>();
  const note = (to: string, { execution }: { execution?: string }) => {
    if (execution === undefined) return;
    expect(acknowledged.has(to)).toBe(false);
    acknowledged.set(to, execution);
  };
  for (const killAfter of [1, 3, 5, 8]) {
    const pid = await up();
    let answers = 0;
    const open = keys.filter((to) => !acknowledged.has(to)).slice(0, 12);
    await Promise.all(
      open.map(async (to) => {
        note(to, await lend(to));
        if (++answers === killAfter) process.kill(pid, "SIGKILL");
      }),
    );
  }
  await up();
  const last = new Map<string, Awaited<ReturnType<typeof lend>>>();
  for (const to of keys) {
    const answer = await lend(to);
    note(to, answer);
    last.set(to, answer);
  }
  const { issued } = jsonLines((await psionic(["grant", "list"])).stdout).at(-1) as unknown as {
    issued: { grant: { grantee: string; epoch: number } }[];
  };
  // Every grant has the next epoch, so none was issued that is not in the list.
  expect(Math.max(...issued.map(({ grant }) => grant.epoch))).toBe(issued.length);
  for (const to of keys) {
    const grants = issued.filter(({ grant }) => grant.grantee === to);
    const execution = acknowledged.get(to);
    expect(grants.length).toBeLessThanOrEqual(1);
    if (execution === undefined) {
      // Its process was killed between the claim and the answer.
      expect(last.get(to)).toMatchObject({ code: "execution_duplicate" });
      expect(["unfinished", "done"]).toContain(String(last.get(to)?.state));
      continue;
    }
    expect(grants).toHaveLength(1);
    const shown = await psionic(["attestation", "show", execution]);
    expect(jsonLines(shown.stdout).at(-1)).toMatchObject({
      state: "done",
      attestation: { body: { execution, ended: "done" } },
    });
  }
}, 180_000);
