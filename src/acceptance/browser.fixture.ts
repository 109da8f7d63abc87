import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
} from "playwright-core";
import { until } from "./daemon.fixture.ts";

/** Debian's browser, driven headless; nothing is downloaded. */
const browserPath = Bun.which("chromium");

/** Why the page cannot be tested here, or null. On CI a reason is a failure. */
export function whyNoBrowser(): string | null {
  return browserPath === null ? "chromium is not installed (apt-get install chromium)" : null;
}

/** True when a browser test may be skipped: there is none and this is not CI. */
export function maySkipBrowser(): boolean {
  return whyNoBrowser() !== null && !process.env["CI"];
}

export async function launchBrowser(): Promise<Browser> {
  if (browserPath === null) throw new Error(whyNoBrowser() ?? "");
  return chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
}

/** How long a test of the page waits for what it expects: a machine may be many times slower than the author's. */
const patienceMs = 60_000;

/**
 * Reads the page again and again until what it reads passes, and gives that. A view catches up with what was done a
 * moment later, so a single look proves nothing. Fails with what the last look found wrong.
 */
export async function eventually<T>(
  read: () => T | Promise<T>,
  check: (value: T) => void,
): Promise<T> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    try {
      const value = await read();
      check(value);
      return value;
    } catch (error) {
      if (performance.now() < deadlineMs) await Bun.sleep(20);
      else throw error;
    }
  }
}

/** What a sought part of the page has, waited for: its text, how often it is there, an attribute. */
export const shows = {
  text: (locator: Locator, wanted: string | RegExp) =>
    eventually(
      () => locator.innerText(),
      (text) => {
        if (typeof wanted === "string") expect(text).toContain(wanted);
        else expect(text).toMatch(wanted);
      },
    ),
  count: (locator: Locator, wanted: number) =>
    eventually(
      () => locator.count(),
      (count) => expect(count).toBe(wanted),
    ),
  more: (locator: Locator, than: number) =>
    eventually(
      () => locator.count(),
      (count) => expect(count).toBeGreaterThan(than),
    ),
  attribute: (locator: Locator, name: string, wanted: string) =>
    eventually(
      () => locator.getAttribute(name),
      (value) => expect(value).toBe(wanted),
    ),
} as const;

export const sizes = {
  phone: { width: 360, height: 740 },
  desktop: { width: 1280, height: 900 },
} as const;

export interface WindowOptions {
  readonly size?: keyof typeof sizes;
  readonly scheme?: "light" | "dark";
  readonly isMotionReduced?: boolean;
}

const audit = readFileSync(join(import.meta.dir, "page-audit.js"), "utf8");

/**
 * A window on the page of one node. Everything a browser complains about is collected, and every
 * request that would leave the node.
 */
export class PageWindow implements AsyncDisposable {
  readonly faults: string[] = [];
  /** Refusals are answers with an error status, which a browser reports on its console. */
  expectsRefusals = false;

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    readonly origin: string,
  ) {
    page.on("pageerror", ({ message }) => this.faults.push(`error: ${message}`));
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      if (this.expectsRefusals && message.text().startsWith("Failed to load resource")) return;
      this.faults.push(`console: ${message.text()}`);
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(origin) && !url.startsWith("blob:")) this.faults.push(`asks for ${url}`);
    });
  }

  static async open(
    browser: Browser,
    url: string,
    { size = "desktop", scheme = "light", isMotionReduced = false }: WindowOptions = {},
  ): Promise<PageWindow> {
    const context = await browser.newContext({
      viewport: sizes[size],
      colorScheme: scheme,
      reducedMotion: isMotionReduced ? "reduce" : "no-preference",
    });
    context.setDefaultTimeout(patienceMs);
    return new PageWindow(context, await context.newPage(), new URL(url).origin);
  }

  /** Opens the page with the operator's token, as the link of `psionic up` does. */
  async enter(token: string, hash = "#/"): Promise<void> {
    await this.page.goto(`${this.origin}/#token=${token}`);
    await this.page.getByRole("navigation", { name: "Views" }).waitFor();
    await this.show(hash);
  }

  /** Goes to a view and waits until nothing is loading. */
  async show(hash: string): Promise<void> {
    // The page hears of the change before this listener does, so the view that is looked at is the new one.
    await this.page.evaluate(
      `new Promise((done) => {
         if (location.hash === ${JSON.stringify(hash)}) return done();
         addEventListener("hashchange", () => done(), { once: true });
         location.hash = ${JSON.stringify(hash)};
       })`,
    );
    await this.drawn();
    // The page's policy forbids to evaluate text inside it, so it is asked from outside.
    await until(`the view ${hash}`, () =>
      this.page.evaluate<boolean>(
        `location.hash === ${JSON.stringify(hash)} && document.querySelector("main h1") !== null &&
         document.querySelector(".loading, [aria-busy=true]") === null`,
      ),
    );
    await this.drawn();
  }

  /** Waits for two frames, so that what was set is drawn. */
  async drawn(): Promise<void> {
    await this.page.evaluate(
      "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))",
    );
  }

  /** Waits until nothing is wrong with the view; fails with all that stays wrong. */
  async isInOrder(view = this.page.url()): Promise<void> {
    await eventually(
      async () => ({ view, found: await this.page.evaluate<string[]>(audit) }),
      (found) => expect(found).toEqual({ view, found: [] }),
    );
  }

  /** Waits until a value asked of the page itself passes. */
  async says<T>(expression: string, check: (value: T) => void): Promise<T> {
    return eventually(() => this.page.evaluate<T>(expression), check);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // An answer that is on its way when the window goes is no fault of the page.
    await this.context.unrouteAll({ behavior: "ignoreErrors" });
    await this.context.close();
  }
}
