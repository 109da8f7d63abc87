import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { homePaths } from "../home.ts";
import { openStore } from "../store.ts";
import { advanceNodeEpoch, endNodeEpoch, nodeEpoch, nodeTables } from "./node-epoch.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-epoch-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const clock = { wallMs: () => 1_000.5 };
const open = () => openStore(homePaths(folder, {}), [nodeTables]);

describe("I-2 node epoch", () => {
  test("I-2 it advances at every start and survives closing", () => {
    for (const expected of [1, 2, 3]) {
      const store = open();
      expect(nodeEpoch(store)).toBe(expected - 1);
      expect(advanceNodeEpoch(store, clock).epoch).toBe(expected);
      store.close();
    }
  });

  test("I-2 a start knows whether the one before ended in order", () => {
    const store = open();
    expect(advanceNodeEpoch(store, clock)).toEqual({ epoch: 1, isAfterOrder: true });
    expect(advanceNodeEpoch(store, clock)).toEqual({ epoch: 2, isAfterOrder: false });
    endNodeEpoch(store, 2);
    expect(advanceNodeEpoch(store, clock)).toEqual({ epoch: 3, isAfterOrder: true });
    store.close();
  });

  test("I-2 no epoch is given twice, whenever starts are killed", async () => {
    const room = join(import.meta.dir, "..");
    const program = `
      import { openStore } from "${room}/store.ts";
      import { homePaths } from "${room}/home.ts";
      import { advanceNodeEpoch, nodeTables } from "${room}/daemon/node-epoch.ts";
      import { writeSync } from "node:fs";
      const store = openStore(homePaths(${JSON.stringify(folder)}, {}), [nodeTables]);
      for (;;) writeSync(1, advanceNodeEpoch(store, { wallMs: () => 0 }).epoch + "\\n");
    `;
    const seen: number[] = [];
    for (let round = 0; round < 5; round++) {
      const child = Bun.spawn([process.execPath, "-e", program], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      });
      let text = "";
      for await (const chunk of child.stdout) {
        text += new TextDecoder().decode(chunk);
        if (text.split("\n").length > 3 + round) child.kill("SIGKILL");
      }
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      seen.push(...text.split("\n").slice(0, -1).map(Number));
    }
    expect(seen.length).toBeGreaterThan(15);
    expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b));
    const store = open();
    expect(nodeEpoch(store)).toBeGreaterThanOrEqual(seen.at(-1)!);
    store.close();
  });
});
