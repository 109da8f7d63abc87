import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { registry as declared } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/node/commands.ts";
import { openTestDoor, type TestDoor } from "./http.fixture.ts";
import { httpLimits } from "./limits.ts";
import { listenHttp, type Listener } from "./listen.ts";
import { openOperatorToken } from "./operator-token.ts";
import type { HttpParts } from "./parts.ts";

const document = readFileSync(new URL("../../../docs/HTTP.md", import.meta.url), "utf8");
/** The document's code blocks in their order. */
const blocks = [...document.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, kind, text]) => ({
  kind: kind!,
  text: text!,
}));
const [setting, ...examples] = blocks.filter(({ kind }) => kind === "sh");

let door: TestDoor;
const listeners: Listener[] = [];
beforeAll(async () => {
  door = await openTestDoor({ registry: declared });
  const { services } = door;
  await services.identity.openOrCreate();
  services.journal.append("daemon.started", "", {});
  const parts: HttpParts = { ...door.parts, token: openOperatorToken(services.home) };
  listeners.push(
    listenHttp(parts, { host: "127.0.0.1", port: 0 }),
    listenHttp(parts, { socket: join(services.home.root, "psionic.sock") }),
  );
});
afterAll(async () => {
  await Promise.all(listeners.map((listener) => listener.stop()));
  await door.close();
});

async function run(example: string): Promise<string> {
  const script = `set -eu\n${setting!.text.replace("http://127.0.0.1:7421", listeners[0]!.url!)}\n${example}`;
  const child = Bun.spawn(["sh", "-c", script], {
    env: { PATH: process.env["PATH"] ?? "", PSIONIC_HOME: door.services.home.root },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, talk, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ example, talk, status }).toEqual({ example, talk: "", status: 0 });
  return out;
}

describe("docs/HTTP.md", () => {
  test("A-2 every example runs and gives what is written after it", async () => {
    const { nodeId } = await door.services.identity.open();
    const answers: string[] = [];
    for (const { text } of examples) answers.push(await run(text));
    const [explained, local, remote, doctor, refused, ready, events, metrics] = answers;
    expect(JSON.parse(explained!)).toMatchObject({ code: "usage" });
    expect(JSON.parse(local!)).toMatchObject({ nodeId });
    expect(remote).toBe(local);
    expect(doctor).toContain('{"event":{"type":"check"');
    const shown = blocks
      .filter(({ kind }) => kind === "json")
      .map(({ text }) => JSON.parse(text) as unknown);
    expect(JSON.parse(refused!.replace(/403\n$/, ""))).toEqual(shown[0]);
    expect(refused).toEndWith("403\n");
    expect(JSON.parse(ready!)).toEqual(shown[1]);
    expect(events).toContain("event: daemon.started\n");
    expect(metrics).toStartWith("psionic_build_info{");
  }, 30_000);

  test("A-10 the limits it tells are those that hold", () => {
    const told = document.slice(document.indexOf("## Limits")).replaceAll(/\s+/g, " ");
    const { bodyBytes, bodyTimeMs, headerCount, headerBytes, addressBytes } = httpLimits;
    const { requests, calls, eventStreams, streamBytes, readerTimeMs, journalBatch } = httpLimits;
    for (const sentence of [
      `A body has ${bodyBytes / 2 ** 20} MiB and ${bodyTimeMs / 1_000} seconds.`,
      `Headers have ${headerCount} lines and ${headerBytes / 2 ** 10} KiB, an address ${addressBytes / 2 ** 10} KiB.`,
      `${requests} requests, ${calls} calls and ${eventStreams} followers`,
      `up to ${streamBytes / 2 ** 20} MiB and ${readerTimeMs / 1_000} seconds`,
      `at most ${journalBatch} entries`,
    ])
      expect(told).toContain(sentence);
  });
});
