/** The page's view of the cluster, in a real browser: on daemons of their own, and on answers of every kind. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { fixtureIds, fixtureNodes, fixtureStatus, manyRows } from "#src/web/mesh.fixture.ts";
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
import { DaemonHome } from "./daemon.fixture.ts";

const timeoutMs = 180_000;
const reason = whyNoBrowser();
const address = "#/cluster";

const heading = (page: Page, name: string) =>
  page.getByRole("heading", { name, level: 1, exact: true });
const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
const rows = (page: Page) => panel(page, "Nodes of the mesh").locator("tbody tr");

describe.skipIf(maySkipBrowser())(
  `the cluster on the page${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    const host = new DaemonHome("host");
    const guest = new DaemonHome("guest");
    const pictures = new TemporaryFolder();
    const folder = process.env["PSIONIC_SCREENSHOTS"] ?? pictures.path;
    let browser: Browser;

    beforeAll(async () => {
      mkdirSync(folder, { recursive: true });
      browser = await launchBrowser();
      await host.up();
    }, timeoutMs);

    afterAll(async () => {
      await browser?.close();
      await guest[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
      pictures[Symbol.dispose]();
    }, timeoutMs);

    const open = (home: DaemonHome, options?: WindowOptions) =>
      PageWindow.open(browser, home.file.url, options);

    async function enter(home: DaemonHome, hash = address, options?: WindowOptions) {
      const window = await open(home, options);
      const token = readFileSync(join(home.path, "identity/operator.token"), "utf8").trim();
      await window.enter(token, hash);
      return window;
    }

    test(
      "C-1 a node alone says so; a line made on the page takes another in, and the page follows",
      async () => {
        await using window = await enter(host);
        const { page } = window;
        await page.getByText("This node is alone: a mesh of one.").waitFor();
        await shows.text(panel(page, "Mesh"), "one node, alone");
        await shows.count(rows(page), 1);
        const origin = new URL(page.url()).origin;
        await window.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
        await page.getByLabel("Opens for").selectOption("10m");
        await page.getByRole("checkbox", { name: "validator" }).uncheck();
        await page.getByRole("button", { name: "Make a join line" }).click();
        const line = (
          await shows.text(
            panel(page, "Join line"),
            /^\s*psionic join 127\.0\.0\.1:\d+ --token psn1_\S+\s*$/,
          )
        ).trim();
        await shows.text(
          panel(page, "Let another machine join"),
          /One machine joins with it until 20\d\d-\S+ \S+, as host, coordinator, trainer\. It is shown this once/,
        );
        await page.getByRole("button", { name: "Copy the join line" }).click();
        await page.getByText("copied", { exact: true }).waitFor();
        await window.says<string>("navigator.clipboard.readText()", (copied) =>
          expect(copied).toBe(line),
        );
        await window.isInOrder();
        // Nothing that is shown may go away while the rest comes.
        await page.evaluate(
          `window.lost = 0;
           new MutationObserver((list) => {
             for (const { removedNodes } of list) for (const node of removedNodes)
               if (node.nodeType === 1 && (node.matches("section, pre, .topology > svg") || node.querySelector("section, pre, .topology > svg"))) window.lost++;
           }).observe(document.querySelector("main"), { subtree: true, childList: true })`,
        );
        const joined = await guest.run(...line.split(" ").slice(1), "--detach", "--port", "0");
        expect(joined.status).toBe(0);
        await rows(page).nth(1).getByText("connected").waitFor();
        await rows(page).nth(1).locator(".state-ready").waitFor();
        await shows.count(page.getByText("This node is alone"), 0);
        await panel(page, "Mesh")
          .getByText("one node decides, and the others may come and go")
          .waitFor();
        // Two nodes stand in it, so the rest has come: nothing of it took anything away.
        expect(await page.evaluate<number>("window.lost")).toBe(0);
        await shows.text(panel(page, "Join line"), line);
        await page.reload();
        await rows(page).nth(1).waitFor();
        await shows.count(panel(page, "Join line"), 0);
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "C-7 both nodes show the same mesh; where this one did not found it, words say which did",
      async () => {
        const picture = /^2 nodes, coordinator psn\w+; this node's links: 1 connected/;
        const othersMakeLines = "Join lines are made on an owner of the mesh";
        const facts = await Promise.all(
          [host, guest].map(async (home) => {
            await using window = await enter(home);
            const { page } = window;
            await rows(page).nth(1).waitFor();
            const mesh = await shows.text(panel(page, "Mesh"), /psm[a-z2-7]{32}/);
            const id = /psm[a-z2-7]{32}/.exec(mesh)?.[0];
            await eventually(
              () => page.getByRole("img").first().getAttribute("aria-label"),
              (words) => expect(words).toMatch(picture),
            );
            await window.isInOrder();
            expect(window.faults).toEqual([]);
            const join = panel(page, "Let another machine join");
            await shows.text(join, home === host ? "Join line" : othersMakeLines);
            await shows.count(join.getByRole("button"), home === host ? 1 : 0);
            return { id, nodes: await rows(page).locator("th").allInnerTexts() };
          }),
        );
        const [first, second] = facts;
        expect(first!.id).toBeDefined();
        expect(second!.id).toBe(first!.id);
        expect(second!.nodes.toSorted()).toEqual(first!.nodes.toSorted());
      },
      timeoutMs,
    );

    test(
      "C-6 a member is drained and evicted from its own view, by keys alone, after it was asked twice",
      async () => {
        await using window = await enter(host);
        const { page } = window;
        await rows(page).nth(1).getByRole("link").first().click();
        await page.getByRole("heading", { level: 1, name: /^Member psn/ }).waitFor();
        await page.getByRole("button", { name: "Drain…" }).press("Enter");
        const drain = page.getByRole("form", { name: "Drain" });
        await drain.getByText(/no more work and is offline in \d+ s/).waitFor();
        // Escape changes nothing and gives the focus back.
        await page.keyboard.press("Escape");
        await shows.count(drain, 0);
        await window.says("document.activeElement.textContent", (text) =>
          expect(text).toBe("Drain…"),
        );
        await page.keyboard.press("Enter");
        await window.says("document.activeElement.textContent", (text) =>
          expect(text).toBe("Drain it"),
        );
        await page.keyboard.press("Enter");
        await page.locator(".run-title .state-draining").waitFor();
        await page.getByRole("button", { name: "Evict…" }).press("Enter");
        const evict = page.getByRole("form", { name: "Evict" });
        await evict.getByLabel(/^Why/).waitFor();
        // Without a reason nothing is asked of the node.
        await page.keyboard.press("Enter");
        await window.says("document.activeElement.validity.valueMissing", (isMissing) =>
          expect(isMissing).toBe(true),
        );
        await shows.count(page.locator(".run-title .state-evicted"), 0);
        await page.keyboard.type("returned to the vendor");
        await window.isInOrder();
        await page.keyboard.press("Enter");
        await page.locator(".run-title .state-evicted").waitFor();
        await shows.count(page.getByRole("button", { name: /Drain|Evict/ }), 0);
        await panel(page, "Receipts, newest first").getByText("cluster.evicted").waitFor();
        await page.getByRole("link", { name: "The whole cluster" }).click();
        await panel(page, "Nodes that left or were evicted").getByText("evicted").waitFor();
        await page.getByText("This node is alone").waitFor();
        await shows.count(rows(page), 1);
        expect(window.faults).toEqual([]);
        await using other = await enter(guest);
        await other.page.getByText(/^This node is no member any more/).waitFor();
        await other.page.getByRole("heading", { name: "Topology" }).waitFor();
        await shows.count(other.page.getByText("Let another machine join"), 0);
        await other.isInOrder();
        expect(other.faults).toEqual([]);
      },
      timeoutMs,
    );

    /** Answers the page gets instead of the daemon's: what a single machine cannot bring about. */
    async function pretend(window: PageWindow, answers: Readonly<Record<string, object>>) {
      for (const [name, json] of Object.entries(answers)) {
        await window.context.route(`**/commands/${name}`, (route) => route.fulfill({ json }));
      }
    }

    const five = { "cluster/status": fixtureStatus, nodes: fixtureNodes };
    const windows = (Object.keys(sizes) as (keyof typeof sizes)[]).flatMap((size) =>
      (["light", "dark"] as const).map((scheme) => [size, scheme] as const),
    );
    test.each(windows)(
      "C-7 links of every state, and up to 50 nodes, are in order on a %s in %s",
      async (size, scheme) => {
        await using window = await open(host, { size, scheme });
        const { page } = window;
        await pretend(window, five);
        const token = readFileSync(join(host.path, "identity/operator.token"), "utf8").trim();
        await window.enter(token, address);
        const look = async (name: string) => {
          await window.drawn();
          const path = join(folder, `${name}-${size}-${scheme}.png`);
          await page.screenshot({ path, fullPage: true });
          await window.isInOrder(name);
          // Nothing of the picture is cut off.
          await window.says<number>(
            `[...document.querySelectorAll(".topology > svg text")].filter((text) => {
               const [inner, outer] = [text, text.closest("svg")].map((each) => each.getBoundingClientRect());
               return inner.left < outer.left - 1 || inner.right > outer.right + 1 ||
                 inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
             }).length`,
            (cut) => expect({ name, cut }).toEqual({ name, cut: 0 }),
          );
        };
        await look("cluster-five");
        for (const count of [1, 2, 12, 50]) {
          await window.context.unrouteAll();
          const nodes = { ...fixtureNodes, nodes: manyRows(count), links: [] };
          await pretend(window, { ...five, nodes });
          await window.show("#/nowhere");
          await window.show(address);
          await shows.count(page.locator(".topology > svg .mark"), count);
          await look(`cluster-${count}`);
        }
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "C-7 I-5 every fact of the picture stands in the tables, digests in full on demand",
      async () => {
        await using window = await enter(host);
        const { page } = window;
        await pretend(window, five);
        await page.reload();
        await rows(page).nth(4).waitFor();
        await eventually(
          () => rows(page).allInnerTexts(),
          (table) => {
            expect(table[0]).toMatch(/psnab3cab\s+ready\s+decides\s+this node/);
            expect(table[1]).toMatch(/coordinator\s+connected through psnhm5khm\s+41 ms/);
            expect(table[1]).toMatch(/unavailable\s+best effort \/ best effort/);
            expect(table[2]).toMatch(/degraded\s+188 ms[\s\S]*verified/);
            expect(table[3]).toMatch(/ready, suspected\s+follows\s+refused[\s\S]*required \/ none/);
            expect(table[4]).toMatch(/offline\s+decides\s+unreachable/);
            expect(table.some((row) => row.includes("psnyw4byw"))).toBe(false);
          },
        );
        const links = panel(page, "Links of this node");
        await links.getByText("7 of the last hundred pings were lost (link_lossy)").waitFor();
        await links.getByText(/requires them \(claims_missing\); no claims came/).waitFor();
        await page.getByText("Measured by the members (4)").click();
        await shows.count(panel(page, "Links as members measured them").getByRole("row"), 5);
        const digest = page.getByRole("button", { name: /^identity digest of psnhm5khm/ });
        await shows.text(digest, /^a{12}…$/);
        await digest.press("Enter");
        await shows.text(digest, /^a{64}$/);
        await shows.attribute(digest, "aria-expanded", "true");
        const receipts = page.getByRole("link", { name: "Receipts about psnhm5khm" });
        const wanted = `#/receipts?subject=${fixtureIds.degraded}`;
        await shows.attribute(receipts, "href", wanted);
        await window.isInOrder();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "a node without a mesh, or too old to know of one, says so and tells what to do",
      async () => {
        await using window = await enter(host, "#/node");
        const { page } = window;
        window.expectsRefusals = true;
        for (const code of ["daemon_absent", "unknown_command"]) {
          const json = { code, detail: "it cannot", hint: "" };
          await window.context.unrouteAll();
          await window.context.route(/commands\/(nodes|cluster\/status)$/, (route) =>
            route.fulfill({ status: 404, json }),
          );
          await window.show("#/node");
          await window.show(address);
          await page.getByText("This node takes part in no mesh now.").waitFor();
          await shows.count(page.getByRole("alert"), 0);
          await window.isInOrder();
        }
        // Without enough of those that decide, that is what is said first.
        await window.context.unrouteAll();
        const node = { ...fixtureStatus.node, taking: "joining" };
        const status = { ...fixtureStatus, node, leader: null, heardCount: 1, hasQuorum: false };
        const drift = [{ node: fixtureIds.offline, why: "not_described", roles: [] }];
        await pretend(window, { ...five, "cluster/status": { ...status, drift } });
        await page.getByRole("alert").getByText("Nobody coordinates the mesh.").waitFor();
        await page.getByText(/is a member, and the manifest does not name it/).waitFor();
        await page.getByText(/^This node is joining/).waitFor();
        await window.isInOrder();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "the view is reached from the navigation and remembers its place",
      async () => {
        await using window = await enter(host, "#/");
        const { page } = window;
        const link = page.getByRole("navigation", { name: "Views" }).getByRole("link", {
          name: "Cluster",
        });
        await link.press("Enter");
        await heading(page, "Cluster").waitFor();
        await shows.attribute(link, "aria-current", "page");
        await eventually(
          () => page.title(),
          (title) => expect(title).toBe("Cluster · psionic"),
        );
        await rows(page).locator("th a").first().click();
        await page.getByRole("heading", { level: 1, name: /^Member psn/ }).waitFor();
        await shows.attribute(link, "aria-current", "page");
        // An owner is drained at most, never evicted.
        await page.getByRole("button", { name: "Drain…" }).waitFor();
        await shows.count(page.getByRole("button", { name: "Evict…" }), 0);
        await page.goBack();
        await heading(page, "Cluster").waitFor();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );
  },
);
