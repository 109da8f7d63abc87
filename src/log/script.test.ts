import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { playScript } from "./script.fixture.ts";

/**
 * Scripts of the log, each command with what came of it below. `PSIONIC_REWRITE_SCRIPTS=1 bun test
 * src/log/script.test.ts` writes the outcomes anew; read the difference before it is committed.
 */
const folder = join(import.meta.dir, "../../fixtures/log");
const rewrites = process.env["PSIONIC_REWRITE_SCRIPTS"] === "1";
const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));

describe("C-3 C-4 C-5 the log by script", () => {
  test("C-4 the hard cases have scripts", () => {
    expect(names.length).toBeGreaterThan(20);
  });

  test.each(names)("C-4 %s", (name) => {
    const path = join(folder, name);
    const text = readFileSync(path, "utf8");
    const played = playScript(text);
    if (rewrites) writeFileSync(path, played);
    else expect(played).toBe(text);
  });

  test("C-4 a script that speaks of another outcome fails, and so does an unknown command", () => {
    const script = "> nodes n1\n> start\n> elect n1\n";
    expect(playScript(script)).not.toBe(script);
    expect(playScript(playScript(script))).toBe(playScript(script));
    expect(() => playScript("> nodes n1\n> dance n1\n")).toThrow("no such command");
    expect(() => playScript("> nodes n1\n> tick n9\n")).toThrow("no node is called n9");
  });
});
