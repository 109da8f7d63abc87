/** The operator's page, in a real browser, on the daemon of the compiled executable. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { TemporaryFolder } from "./binary.ts";
import {
  eventually,
  launchBrowser,
  maySkipBrowser,
  PageWindow,
  shows,
  sizes,
  whyNoBrowser,
  type WindowOptions,
} from "./browser.fixture.ts";
import { DaemonHome, until } from "./daemon.fixture.ts";

const timeoutMs = 180_000;
const reason = whyNoBrowser();

describe.skipIf(maySkipBrowser())(
  `the page in a browser${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    const home = new DaemonHome();
    const pictures = new TemporaryFolder();
    let browser: Browser;
    let url = "";
    let token = "";

    beforeAll(async () => {
      browser = await launchBrowser();
      ({ url } = await home.up());
      token = readFileSync(join(home.path, "identity/operator.token"), "utf8").trim();
    }, timeoutMs);

    afterAll(async () => {
      await browser?.close();
      await home[Symbol.asyncDispose]();
      pictures[Symbol.dispose]();
    }, timeoutMs);

    const open = (options?: WindowOptions) => PageWindow.open(browser, url, options);

    async function enter(hash = "#/", options?: WindowOptions): Promise<PageWindow> {
      const window = await open(options);
      await window.enter(token, hash);
      return window;
    }

    /** Fills in the form and starts a run of the built-in task. */
    async function startRun(page: Page, name: string, said: Readonly<Record<string, string>>) {
      // The form opens by itself where there is no run yet, a moment after the list has come.
      const isFirst = (await page.getByText("No runs yet. Start one above").count()) > 0;
      if (!isFirst) await page.getByRole("button", { name: "New run" }).click();
      await page.getByLabel("name", { exact: true }).fill(name);
      await page.getByText(/^More settings/).click();
      for (const [label, text] of Object.entries({ size: "nano", threads: "1", ...said })) {
        await page.getByLabel(label, { exact: true }).fill(text);
      }
      await page.getByRole("button", { name: "Start", exact: true }).click();
    }

    const heading = (page: Page, name: string) =>
      page.getByRole("heading", { name, level: 1, exact: true });
    const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
    const state = (page: Page) => page.locator(".run-title .state");

    test(
      "without a token it asks for one and says where it is; a wrong one is refused",
      async () => {
        await using window = await open();
        const { page } = window;
        await page.goto(url);
        await heading(page, "This page needs the operator's token").waitFor();
        await shows.text(page.locator("main"), "psionic up");
        await window.isInOrder();
        window.expectsRefusals = true;
        await page.getByLabel("Token or link").fill("wrong");
        await page.getByRole("button", { name: "Open" }).click();
        await page.getByRole("alert").getByText("did not take this token").waitFor();
        await page.getByLabel("Token or link").fill(`${url}/#token=${token}`);
        await page.keyboard.press("Enter");
        await heading(page, "Runs").waitFor();
        // The token stays in the tab: not in the address, and there after a reload.
        expect(page.url()).not.toContain(token);
        await page.reload();
        await heading(page, "Runs").waitFor();
        await page.getByText("No runs yet. Start one above").waitFor();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "a run is started from the page, watched while its curves grow, and completes",
      async () => {
        await using window = await enter();
        const { page } = window;
        await startRun(page, "first", { steps: "1500", "evaluate every": "250" });
        await heading(page, "first").waitFor();
        await eventually(
          () => page.url(),
          (at) => expect(at).toEndWith("#/run/first"),
        );
        const figures = async () => {
          const text = (await panel(page, "Loss")
            .locator("p.visually-hidden")
            .first()
            .textContent())!;
          return Number(/training: [^:]* (\d+) figures/.exec(text)?.[1] ?? 0);
        };
        // Figures come while the run is running, more than once, without a reload.
        const before = await until("the first figures", async () => (await figures()) || null);
        const grown = await until("more figures", async () => {
          const now = await figures();
          return now > before ? now : null;
        });
        expect(grown).toBeGreaterThan(before);
        await page.locator(".run-title .state-completed").waitFor({ timeout: 120_000 });
        await until("the last figure", async () => (await figures()) >= 1000);
        await shows.text(page.locator(".run-progress"), "step 1\u202f500 of 1\u202f500");
        const heldOut = panel(page, "Loss").getByRole("button", { name: /held out/ });
        await shows.text(heldOut, /1\.\d{4}/);
        await panel(page, "Samples").locator("li").first().waitFor();
        await shows.more(panel(page, "Checkpoints").getByRole("row"), 2);
        await shows.text(panel(page, "Checkpoints"), /step \d[\s\S]*MiB\s+yes/);
        await panel(page, "Receipts").getByText("run.started").waitFor();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "the prompt box streams text from a checkpoint, and can be cancelled",
      async () => {
        await using window = await enter("#/run/first");
        const { page } = window;
        const box = panel(page, "Ask the model");
        await box.getByLabel("Tokens").fill("3000");
        await box.getByLabel("Temperature").fill("1");
        await shows.more(box.getByLabel("Checkpoint").locator("option"), 1);
        // Counts how often the text grows: once would mean that it came in one piece.
        await page.evaluate(
          `window.growths = 0;
           new MutationObserver((list) => {
             if (list.some(({ target }) => target.parentElement?.closest(".written pre"))) window.growths++;
           }).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true })`,
        );
        await box.getByLabel("Prompt").fill("1234+5678=");
        await box.getByRole("button", { name: "Write" }).click();
        await box.getByText(/\d+ tokens, \d+ tokens\/s, after step 1500/).waitFor();
        await shows.text(box.locator(".written pre"), /^1234\+5678=/);
        await window.says<number>("window.growths", (count) => expect(count).toBeGreaterThan(3));
        await box.getByLabel("Tokens").fill("100000");
        await box.getByRole("button", { name: "Write" }).click();
        await until("some text", async () => {
          return (await box.locator(".written pre").innerText()).length > 40;
        });
        await box.getByRole("button", { name: "Cancel" }).click();
        await box.getByText("cancelled").waitFor();
        await eventually(
          () => box.getByRole("button", { name: "Write" }).isEnabled(),
          (isEnabled) => expect(isEnabled).toBe(true),
        );
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "a chart gives its figures as a table, as CSV, on a logarithmic scale, and to the keyboard",
      async () => {
        await using window = await enter("#/run/first");
        const { page } = window;
        const chart = panel(page, "Loss");
        await chart.getByRole("button", { name: "Table of Loss" }).click();
        const rows = chart.getByRole("row");
        await shows.more(rows, 100);
        await shows.text(rows.last(), /^1\u202f500/);
        const [file] = await Promise.all([
          page.waitForEvent("download"),
          chart.getByRole("button", { name: "Download Loss as CSV" }).click(),
        ]);
        expect(file.suggestedFilename()).toBe("first-loss.csv");
        const lines = readFileSync(await file.path(), "utf8")
          .trimEnd()
          .split("\r\n");
        expect(lines[0]).toBe("step,training,held out");
        expect(lines.length).toBeGreaterThan(1000);
        expect(lines.at(-1)).toMatch(/^1500,1\.\d{6,},1\.\d{6,}$/);
        const scale = chart.getByRole("button", { name: "Logarithmic scale, Loss" });
        await scale.click();
        await shows.attribute(scale, "aria-pressed", "true");
        const slider = chart.getByRole("slider");
        const smoothing = await slider.inputValue();
        await slider.press("ArrowRight");
        await eventually(
          async () => Number(await slider.inputValue()),
          (value) => expect(value).toBeGreaterThan(Number(smoothing)),
        );
        const entry = chart.getByRole("button", { name: /^training/ });
        await entry.press("Enter");
        await shows.attribute(entry, "aria-pressed", "false");
        await entry.press("Enter");
        await shows.attribute(entry, "aria-pressed", "true");
        const plot = chart.getByRole("group", { name: /^Loss: arrow keys/ });
        await plot.press("Home");
        await chart.getByText(/^step 1: training 2\.\d+, held out –$/).waitFor();
        await plot.press("ArrowRight");
        await chart.getByText(/^step 2: training \d/).waitFor();
        await window.isInOrder();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "a run is stopped from the page",
      async () => {
        await using window = await enter();
        const { page } = window;
        await startRun(page, "endless", { steps: "1000000", seed: "7" });
        await heading(page, "endless").waitFor();
        await shows.text(page.locator(".run-progress"), /step [1-9]/);
        await page.getByRole("button", { name: "Stop", exact: true }).click();
        await shows.text(state(page), /^(?!starting|running|stopping)/);
        await shows.text(page.locator(".run-head"), "psionic train --resume endless");
        await shows.count(page.getByRole("button", { name: "Stop", exact: true }), 0);
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "two runs are compared over steps, tokens and time, and the comparison is a link",
      async () => {
        await using window = await enter("#/compare");
        const { page } = window;
        await page.getByText("Choose two runs or more").waitFor();
        await page.getByRole("checkbox", { name: /^first/ }).check();
        await page.getByRole("checkbox", { name: /^endless/ }).check();
        const chart = panel(page, "Training loss");
        const place = chart.locator(".legend-place");
        await chart.getByRole("button", { name: /^endless \d/ }).waitFor();
        await chart.getByRole("button", { name: /^first \d/ }).waitFor();
        await shows.text(place, /^step /);
        await page.getByRole("radio", { name: "Tokens" }).check();
        await shows.text(place, /^token /);
        await eventually(
          () => page.url(),
          (at) => expect(at).toContain("runs=first%2Cendless&axis=tokens"),
        );
        await page.getByRole("radio", { name: "Time of training" }).check();
        await shows.text(place, /^second /);
        await shows.count(panel(page, "Side by side").getByRole("row"), 3);
        await page.getByRole("link", { name: "first" }).click();
        await heading(page, "first").waitFor();
        await page.goBack();
        await heading(page, "Compare").waitFor();
        await chart.getByRole("button", { name: /^first \d/ }).waitFor();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "what the node refuses is shown with its reason and one thing to try",
      async () => {
        await using window = await enter();
        const { page } = window;
        window.expectsRefusals = true;
        await startRun(page, "too-much", { size: "enormous" });
        const note = page.getByRole("alert");
        await shows.text(note, "enormous");
        await shows.count(note.locator("p"), 2);
        await page.getByLabel("size", { exact: true }).fill("nano");
        await page.getByLabel("steps", { exact: true }).fill("1.5");
        await page.getByRole("button", { name: "Start", exact: true }).click();
        await page.getByText("must be a whole number").waitFor();
        await page.getByLabel("steps", { exact: true }).fill("10");
        await page.getByRole("radio", { name: "Files on this node" }).check();
        await page.getByRole("button", { name: "Start", exact: true }).click();
        await page.getByText("name at least one file").waitFor();
        await page.getByLabel(/^files or folders/).fill("/nowhere/book.txt");
        await page.getByRole("button", { name: "Start", exact: true }).click();
        await note.getByText("/nowhere/book.txt").first().waitFor();
        await page.evaluate(`location.hash = "#/run/nobody"`);
        await shows.text(page.getByRole("alert"), "nobody");
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "a run whose figures stop being finite raises an alert that leads to it",
      async () => {
        await using window = await enter();
        const { page } = window;
        await startRun(page, "wild", { steps: "200", "learning rate": "1e30" });
        await heading(page, "wild").waitFor();
        await page.locator(".run-title .state-failed").waitFor();
        await page.getByRole("list", { name: "Alerts" }).getByText("not_finite").waitFor();
        await window.show("#/");
        const alerts = page.getByRole("list", { name: "Alerts" });
        await alerts.getByText("Run wild failed").waitFor();
        await alerts.getByRole("link", { name: "See the run" }).first().click();
        await page.locator(".run-title .state-failed").waitFor();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "a receipt is found from its run and shown in full",
      async () => {
        await using window = await enter("#/run/first");
        const { page } = window;
        await page.getByRole("link", { name: "All of this run" }).click();
        await heading(page, "Receipts").waitFor();
        await page
          .getByRole("row", { name: /run\.started/ })
          .getByRole("link")
          .click();
        const shown = page.getByRole("region", { name: "Receipt", exact: true });
        await shows.text(shown, '"signature"');
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "keys alone start a run; focus is always seen and never trapped",
      async () => {
        await using window = await enter();
        const { page } = window;
        const press = (key: string) => page.keyboard.press(key);
        const focused = () =>
          page.evaluate<{ text: string; id: string; tag: string; outline: string }>(
            `(() => { const e = document.activeElement; return {
               text: e.getAttribute("aria-label") || e.textContent.trim().slice(0, 40), id: e.id,
               tag: e.tagName, outline: getComputedStyle(e).outlineStyle + getComputedStyle(e).top }; })()`,
          );
        /** Tabs on until it holds; every stop shows where it is. */
        const tabTo = async (isIt: (at: { text: string; id: string }) => boolean) => {
          for (let stops = 0; stops < 150; stops++) {
            await press("Tab");
            const at = await focused();
            if (at.tag !== "BODY")
              expect(at).toMatchObject({ outline: expect.not.stringMatching(/^none/) });
            if (isIt(at)) return;
          }
          throw new Error("the keyboard never came there");
        };
        await page.reload();
        await heading(page, "Runs").waitFor();
        await press("Tab");
        await eventually(focused, ({ text }) => expect(text).toBe("Skip to the content"));
        await press("Enter");
        await eventually(focused, ({ id }) => expect(id).toBe("content"));
        // What it goes to has to be there: a way through the page is not tried twice.
        await page.getByRole("row", { name: /first/ }).waitFor();
        await tabTo(({ text }) => text === "New run");
        await press("Enter");
        await page.locator("#start-name").waitFor();
        await tabTo(({ id }) => id === "start-size");
        await page.keyboard.type("nano");
        await tabTo(({ id }) => id === "start-steps");
        await page.keyboard.type("60");
        await tabTo(({ id }) => id === "start-name");
        await page.keyboard.type("by-keys");
        await press("Enter");
        await heading(page, "by-keys").waitFor();
        // The new view has the focus, and the way through it ends.
        await eventually(focused, ({ id }) => expect(id).toBe("content"));
        await page.getByRole("group", { name: /^Loss: arrow keys/ }).waitFor();
        await tabTo(({ text }) => text.startsWith("Loss: arrow keys"));
        await tabTo(({ text }) => text === "Skip to the content" || text === "");
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    const folder = process.env["PSIONIC_SCREENSHOTS"] ?? pictures.path;
    const views: readonly (readonly [string, string])[] = [
      ["home", "#/"],
      ["run", "#/run/first"],
      ["failed-run", "#/run/wild"],
      ["compare", "#/compare?runs=first%2Cendless"],
      ["cluster", "#/cluster"],
      ["receipts", "#/receipts"],
      ["access", "#/access"],
      ["node", "#/node"],
      ["nowhere", "#/nowhere"],
    ];
    const windows = (Object.keys(sizes) as (keyof typeof sizes)[]).flatMap((size) =>
      (["light", "dark"] as const).map((scheme) => [size, scheme] as const),
    );
    test.each(windows)(
      "every view is in order on a %s in %s: names, headings, contrast, width",
      async (size, scheme) => {
        mkdirSync(folder, { recursive: true });
        await using window = await enter("#/", { size, scheme });
        for (const [name, hash] of views) {
          await window.show(hash);
          if (name === "home") {
            await window.page.getByRole("button", { name: "New run" }).click();
            await window.page.getByLabel("size", { exact: true }).waitFor();
          }
          await window.drawn();
          await window.page.screenshot({
            path: join(folder, `${name}-${size}-${scheme}.png`),
            fullPage: true,
          });
          await window.isInOrder(name);
        }
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "the theme can be chosen and is kept; reduced motion stops what moves",
      async () => {
        await using window = await enter("#/", { scheme: "light", isMotionReduced: true });
        const { page } = window;
        const ground = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
        const light = await ground();
        const button = page.getByRole("button", { name: /^Theme/ });
        await button.click();
        await button.click();
        await shows.text(button, /^theme: dark$/);
        await eventually(ground, (colour) => expect(colour).not.toBe(light));
        await page.reload();
        await heading(page, "Runs").waitFor();
        await eventually(ground, (colour) => expect(colour).not.toBe(light));
        await page.getByRole("row", { name: /first/ }).waitFor();
        await window.says<number>(
          `[...document.querySelectorAll("*")].filter((e) => getComputedStyle(e, "::before").animationName !== "none").length`,
          (moving) => expect(moving).toBe(0),
        );
      },
      timeoutMs,
    );

    test(
      "a daemon that goes away and comes back is noticed, without a reload",
      async () => {
        await using window = await enter();
        const { page } = window;
        window.expectsRefusals = true;
        await page.locator(".live-live").waitFor();
        await home.run("down", "--drain", "2s");
        await page.locator(".live-reconnecting").waitFor();
        const again = await home.run("up", "--detach", "--port", new URL(url).port);
        expect(again.status).toBe(0);
        await page.locator(".live-live").waitFor();
        await page.getByRole("row", { name: /first/ }).waitFor();
        expect(window.faults.filter((fault) => !fault.includes("net::ERR"))).toEqual([]);
      },
      timeoutMs,
    );
  },
);
