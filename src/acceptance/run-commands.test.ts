import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { minutes } from "./cluster-home.fixture.ts";
import { eventually, Trainer, trainers } from "./windows.fixture.ts";

/** What a person types to begin, watch, pause and end a run of two daemons of the compiled program. */

const members = [new Trainer("host"), new Trainer("guest")] as const;
const [host, guest] = members;
beforeAll(() => trainers(...members), 3 * minutes);
afterAll(async () => {
  for (const member of members) await member[Symbol.asyncDispose]();
}, minutes);

interface Line {
  readonly type: string;
  readonly code?: string;
  readonly hint?: string;
  readonly on?: string;
  readonly state?: string;
  readonly mesh?: {
    readonly phase: string;
    readonly acceptedSlots: number;
    readonly slots: number;
    readonly revision: number;
    readonly participants: readonly { readonly node: string; readonly standing: string }[];
    readonly loss: { readonly loss: number } | null;
  } | null;
}

const linesIn = (text: string): Line[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

/** Long enough that it is met at work. */
const long = ["--size", "nano", "--batch", "32", "--steps", "4000", "--window-steps", "4"];

describe("W-1 W-12 the run commands", () => {
  test(
    "W-12 a manifest that init wrote begins a run, which is watched to its end and read on another member",
    async () => {
      writeFileSync(join(host.path, "book.txt"), "the sea and the long road home. ".repeat(400));
      const manifest = join(host.path, "run.toml");
      expect((await host.run("run", "init", manifest, "--size", "nano")).status).toBe(0);
      expect(readFileSync(manifest, "utf8")).toContain('files = ["book.txt"]');
      expect(await host.call("run", "init", manifest)).toMatchObject({
        code: "run_manifest_exists",
      });
      const words = ["--steps", "24", "--window-steps", "6", "--tokenizer", "char"];
      const begun = await host.run(
        ...["run", "start", "--manifest", manifest, ...words, "--watch", "--json"],
      );
      expect({ status: begun.status, said: begun.stderr }).toEqual({ status: 0, said: "" });
      const lines = linesIn(begun.stdout);
      expect(lines[0]).toMatchObject({ type: "data" });
      const sights = lines.filter(({ type }) => type === "run");
      expect(sights.at(-1)!.mesh).toMatchObject({ phase: "completed", slots: 48 });
      const progress = sights.map(({ mesh }) => mesh!.acceptedSlots);
      expect(progress).toEqual(progress.toSorted((a, b) => a - b));
      expect(lines.at(-1)).toMatchObject({ type: "result", name: "book", on: "mesh" });
      const seen = await eventually("the guest has it to its end", async () => {
        const line = await guest.call<Line>("run", "status", "book");
        return line.mesh?.phase === "completed" && line.mesh.loss !== null && line.mesh;
      });
      expect(seen.acceptedSlots).toBe(48);
      expect(seen.participants).toHaveLength(2);
      const { windows } = await guest.call<{
        windows: { stage: string; acceptedSlots: number; parts: { outcome: string }[] }[];
      }>("run", "windows", "book");
      const counted = windows.reduce((sum, { acceptedSlots }) => sum + acceptedSlots, 0);
      expect(counted).toBe(48);
      expect(new Set(windows.map(({ stage }) => stage))).toEqual(new Set(["promoted"]));
      for (const words of [
        ["run", "status", "book"],
        ["run", "windows"],
        ["run", "list"],
      ])
        for (const line of (await guest.run(...words)).stdout.split("\n"))
          expect({ line, isWide: [...line].length > 80 }).toEqual({ line, isWide: false });
    },
    10 * minutes,
  );

  test(
    "W-1 paused by one host, gone on with and ended by another, seen alike by both",
    async () => {
      const started = await host.call<Line>("run", "start", ...long, "--name", "long");
      expect(started).toMatchObject({ on: "mesh" });
      const phase = async (member: Trainer) =>
        (await member.call<Line>("run", "status", "long")).mesh?.phase;
      const revision = async () =>
        (await guest.call<Line>("run", "status", "long")).mesh?.revision ?? 0;
      await eventually("a revision", async () => (await revision()) > 0);
      expect(await guest.call("run", "pause", "long")).toMatchObject({ on: "mesh" });
      for (const member of members)
        await eventually("it rests", async () => (await phase(member)) === "paused");
      const rested = await revision();
      await host.call("run", "resume", "long");
      await eventually("it goes on", async () => (await revision()) > rested);
      expect(await host.call("run", "stop")).toMatchObject({ state: "interrupted" });
      await eventually("it is over", async () => (await phase(guest)) === "stopped");
      expect(await host.call("run", "resume", "long")).toMatchObject({ code: "run_over" });
      const kept = await revision();
      expect(kept).toBeGreaterThan(rested);
      const sampled = await host.run("sample", "long", "--prompt", "1+1=", "--tokens", "4");
      expect(sampled.status).toBe(0);
    },
    10 * minutes,
  );
});
