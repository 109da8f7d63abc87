import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
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
    context.setDefaultTimeout(60_000);
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
    await this.page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
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

  /** What is wrong with the view as it stands. */
  async audit(): Promise<string[]> {
    return this.page.evaluate<string[]>(audit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
  }
}
