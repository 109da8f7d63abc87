/** A run of two daemons of the compiled program, begun, watched, paused and resumed on the page of one of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import {
  launchBrowser,
  maySkipBrowser,
  PageWindow,
  shows,
  whyNoBrowser,
} from "./browser.fixture.ts";
import { minutes } from "./cluster-home.fixture.ts";
import { eventually, Trainer, trainers } from "./windows.fixture.ts";

const reason = whyNoBrowser();

/** Of the built-in task: windows of a second or so. */
const settings = {
  ...{ name: "shared", size: "nano", steps: "48", seed: "7", batch: "64" },
  ...{ "node batch": "32", "window steps": "6", "segment steps": "2" },
};

const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
const windowsText = (page: Page) => page.locator(".readings .reading", { hasText: "Windows" });

describe.skipIf(maySkipBrowser())(
  `a run of two nodes on the page${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    const one = new Trainer("one");
    const two = new Trainer("two");
    let browser: Browser;

    beforeAll(async () => {
      browser = await launchBrowser();
      await trainers(one, two);
    }, 3 * minutes);

    afterAll(async () => {
      await browser?.close();
      for (const member of [one, two]) await member[Symbol.asyncDispose]();
    }, minutes);

    async function enter(home: Trainer, hash: string): Promise<PageWindow> {
      const window = await PageWindow.open(browser, home.file.url);
      const token = readFileSync(join(home.path, "identity/operator.token"), "utf8").trim();
      await window.enter(token, hash);
      return window;
    }

    test(
      "W-12 it is begun on the page, its windows come and go, it pauses and goes on, and both nodes show the same",
      async () => {
        await using window = await enter(one, "#/");
        const { page } = window;
        await page.getByRole("radio", { name: "the mesh: 2 nodes", checked: true }).waitFor();
        await page.getByText(/^More settings/).click();
        for (const [label, text] of Object.entries(settings))
          await page.getByLabel(label, { exact: true }).fill(text);
        await page.getByRole("button", { name: "Start", exact: true }).click();
        await page.getByRole("heading", { name: "shared", level: 1, exact: true }).waitFor();
        await page.locator(".badge", { hasText: "mesh" }).waitFor();
        // Windows come without a reload, and each tells who worked.
        const shown = panel(page, "Windows");
        await eventually("a window", async () => (await shown.getByRole("img").count()) > 0);
        await shown.getByRole("button", { name: "Table of all windows" }).click();
        const rows = panel(page, "Table of windows").locator("tbody tr");
        await eventually(
          "two promoted windows",
          async () => (await rows.filter({ hasText: "promoted" }).count()) >= 2,
        );
        await page.getByRole("button", { name: "Pause", exact: true }).click();
        await eventually(
          "the pause",
          async () => (await page.locator(".run-title .state-paused").count()) > 0,
        );
        await page.getByRole("button", { name: "Resume", exact: true }).click();
        await eventually(
          "its end",
          async () => (await page.locator(".run-title .state-completed").count()) > 0,
        );
        await shows.count(page.getByRole("button", { name: /^(Pause|Resume|Stop…)$/ }), 0);
        const { windows } = await one.call<{
          windows: readonly { stage: string; acceptedSlots: number; parts: readonly unknown[] }[];
        }>("run", "windows", "shared");
        // Every slot is accepted once: 48 steps of 64 rows are 96 of a node's 32.
        expect(windows.reduce((sum, { acceptedSlots }) => sum + acceptedSlots, 0)).toBe(96);
        await shows.count(rows, windows.length);
        await shows.count(
          rows.filter({ hasText: "promoted" }),
          windows.filter(({ stage }) => stage === "promoted").length,
        );
        await shows.text(windowsText(page), new RegExp(`^Windows\\s+${windows.length}\\s`));
        await shows.count(panel(page, "Participants of the run").locator("tbody tr"), 2);
        await shows.text(page.locator(".run-progress"), /100\s?%/);
        const events = page.getByRole("list", { name: "Events, newest first" });
        await shows.text(events, /joined/);
        await shows.text(events, /paused it/);
        await shows.text(events, /has it go on/);
        // The curve has this node's steps and what was held out, up to the end of the schedule.
        const loss = panel(page, "Loss");
        await loss.getByRole("button", { name: "Table of Loss" }).click();
        const last = panel(page, "Figures of Loss").locator("tbody tr").last();
        await eventually("the last revision is measured", async () =>
          /^48\s+(–|[\d.]+)\s+\d\.\d+/.test(await last.innerText()),
        );
        await window.isInOrder();
        expect(window.faults).toEqual([]);
        await using other = await enter(two, "#/");
        const line = panel(other.page, "List of runs").getByRole("row", { name: /shared/ });
        await shows.text(line, /shared\s+mesh\s+completed/);
        await line.getByRole("link").click();
        await shows.text(windowsText(other.page), new RegExp(`^Windows\\s+${windows.length}\\s`));
        await other.isInOrder();
        expect(other.faults).toEqual([]);
      },
      10 * minutes,
    );
  },
);
