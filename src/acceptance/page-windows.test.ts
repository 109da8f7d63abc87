/** The page's view of a run that several machines work on, in a real browser, on answers of every kind. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { fixtureStatus } from "#src/web/mesh.fixture.ts";
import type { MeshRun, WindowsAnswer } from "#src/web/window-answers.ts";
import {
  fixtureAnswer,
  fixtureMesh,
  fixtureRunId,
  fixtureSeries,
  fixtureStatusOf,
} from "#src/web/window.fixture.ts";
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

/** A view in four sizes and seven phases takes its time on a busy machine. */
const timeoutMs = 300_000;
const reason = whyNoBrowser();
const address = "#/run/shared";

const heading = (page: Page, name: string) =>
  page.getByRole("heading", { name, level: 1, exact: true });
/** Keeps a picture where somebody wants to look at it: it takes longer than the test. */
async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env["PSIONIC_SCREENSHOTS"];
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });

describe.skipIf(maySkipBrowser())(
  `a run of the mesh on the page${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    const home = new DaemonHome("host");
    let browser: Browser;

    beforeAll(async () => {
      browser = await launchBrowser();
      await home.up();
    }, timeoutMs);

    afterAll(async () => {
      await browser?.close();
      await home[Symbol.asyncDispose]();
    }, timeoutMs);

    /** What the page is answered in the place of the daemon, which has no such run; it may change while it looks. */
    interface Pretended {
      mesh: MeshRun;
      windows: WindowsAnswer;
      /** Whether the run's data is on this node. */
      isHere: boolean;
    }

    async function enter(hash: string, options?: WindowOptions) {
      const window = await PageWindow.open(browser, home.file.url, options);
      const told: Pretended = { mesh: fixtureMesh(), windows: fixtureAnswer, isHere: true };
      const answer = (name: string, json: () => object) =>
        window.context.route(`**/commands/${name}`, (route) => route.fulfill({ json: json() }));
      await answer("run/status", () => {
        const status = fixtureStatusOf(told.mesh);
        const { run, name, state, createdMs } = status;
        return told.isHere ? status : { run, name, state, createdMs, mesh: told.mesh };
      });
      await answer("run/windows", () => told.windows);
      await answer("run/series", fixtureSeries);
      await answer("run/samples", () => ({ samples: [] }));
      const token = readFileSync(join(home.path, "identity/operator.token"), "utf8").trim();
      await window.enter(token, hash);
      return { window, told };
    }

    const openWindow = fixtureMesh().window!;
    const stages: readonly (readonly [string, Partial<MeshRun>])[] = [
      ["active", {}],
      [
        "judging",
        { window: { ...openWindow, stage: "sealed", verdictCount: 3, verdictWantedCount: 4 } },
      ],
      ["paused", { phase: "paused", wish: "pause", window: null, reason: "" }],
      ["recovering", { phase: "recovering", reason: "no_contribution" }],
      ["completed", { phase: "completed", window: null }],
      [
        "trouble",
        {
          trouble: {
            ...{ kind: "prepare", code: "artifact_unavailable" },
            message: "nobody holds the data of the run",
            hint: "wait until a member that has it is back",
          },
        },
      ],
    ];
    const windows = (Object.keys(sizes) as (keyof typeof sizes)[]).flatMap((size) =>
      (["light", "dark"] as const).map((scheme) => [size, scheme] as const),
    );
    test.each(windows)(
      "W-12 a run of the mesh is in order in every phase on a %s in %s",
      async (size, scheme) => {
        const { window, told } = await enter(address, { size, scheme });
        await using _ = window;
        const { page } = window;
        const look = async (name: string, isShown: () => Promise<void>) => {
          await window.show(address);
          await heading(page, "shared").waitFor();
          await isShown();
          await window.drawn();
          await picture(page, `mesh-run-${name}-${size}-${scheme}`);
          await window.isInOrder(name);
          await window.show("#/nowhere");
        };
        for (const [name, changes] of stages) {
          told.mesh = fixtureMesh(changes);
          await look(name, async () => {
            await page.locator(`.run-title .state-${told.mesh.phase}`).waitFor();
            await panel(page, "Loss").getByRole("group").waitFor();
          });
        }
        // A node that has only heard of the run tells what the mesh agreed on.
        Object.assign(told, { mesh: fixtureMesh(), isHere: false });
        await look("not-here", () => page.getByText("Not on this node yet").waitFor());
        // Before the first window there is nothing to draw, and that is said.
        told.mesh = fixtureMesh({
          ...{ phase: "planned", window: null, participants: [], events: [], loss: null },
          ...{ windowCount: 0, contributionCount: 0, movedBytes: 0, denseBytes: 0, revision: 0 },
          ...{ revisionDigest: null, acceptedSlots: 0, acceptedCount: 0, rejectedCount: 0 },
          ...{ missedCount: 0, tokensPerSecond: null, secondsLeft: null, spent: null },
        });
        told.windows = { run: fixtureRunId, windowCount: 0, windows: [], events: [] };
        await look("planned", async () => {
          await page.getByText("No window yet.").waitFor();
          await page.getByText("Nobody works on it yet. A node").waitFor();
        });
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "W-12 windows tell who worked, what was judged and what it cost; keys read them; a table has all",
      async () => {
        await using window = (await enter(address)).window;
        const { page } = window;
        await heading(page, "shared").waitFor();
        const open = page.getByRole("group", { name: "The open window" });
        await shows.text(open, /Window 21\s+training\s+2 of 4 have contributed\s+1 min 3\d s left/);
        const shown = panel(page, "Windows");
        await shown.getByRole("heading", { name: "Window 21: training" }).waitFor();
        const picture = shown.getByRole("group", { name: /^Windows: arrow keys/ });
        await eventually(
          () => picture.getByRole("img").getAttribute("aria-label"),
          (words) => expect(words).toMatch(/^Windows 1 to 21 of 5 nodes: 19 promoted, 1 held/),
        );
        // Back to the lie in window 10.
        await picture.press("Home");
        await shown.getByRole("heading", { name: "Window 1: promoted" }).waitFor();
        for (let index = 0; index < 9; index++) await picture.press("ArrowRight");
        await shown.getByRole("heading", { name: "Window 10: promoted" }).waitFor();
        const liar = shown.getByRole("row", { name: /rejected/ });
        await shows.text(liar, /recomputing a segment ends elsewhere/);
        await shows.text(liar, /psnab3cab: rejected, segment 3 recomputed/);
        await shows.text(shown, /3 accepted, 1 rejected/);
        await shows.text(shown, /9 → 10/);
        await shows.text(shown, /124\sKiB, 104× less than dense/);
        await shown
          .locator("[aria-live]")
          .getByText(/window 10 promoted/)
          .waitFor();
        // It stays while more comes, until the newest is asked for.
        await picture.press("End");
        await shown.getByRole("heading", { name: "Window 21: training" }).waitFor();
        await shown.getByRole("button", { name: "Table of all windows" }).press("Enter");
        const rows = panel(page, "Table of windows").locator("tbody tr");
        await shows.count(rows, 21);
        await shows.text(rows.nth(6), /15\s+held: nobody contributed/);
        await shows.text(rows.nth(14), /psndq7fdq 32 gave nothing/);
        const [file] = await Promise.all([
          page.waitForEvent("download"),
          shown.getByRole("button", { name: "Download windows as CSV" }).click(),
        ]);
        const lines = readFileSync(await file.path(), "utf8")
          .trimEnd()
          .split("\r\n");
        expect(lines.length).toBe(22);
        expect(lines[10]).toMatch(/^10,promoted,9,4,3,1,0,112,80,127480,13246464,/);
        await window.isInOrder();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "W-12 joins, losses and rejections are marked on the curve of the loss, and listed",
      async () => {
        await using window = (await enter(address)).window;
        const { page } = window;
        const events = page.getByRole("list", { name: "Events, newest first" }).locator("li");
        await shows.count(events, 14);
        await shows.text(events.first(), /^H\s*window 15: changed nothing \(nobody contributed\)/);
        await shows.text(events.nth(4), /^C\s*window 15: another node coordinates/);
        await shows.text(
          events.nth(6),
          /^R\s*window 10: psnpr2tpr was rejected \(recomputing a segment ends elsewhere/,
        );
        const plot = panel(page, "Loss").getByRole("group", { name: /^Loss: arrow keys/ });
        await plot.press("End");
        await plot.press("Home");
        // The first place tells of the nodes that began.
        await panel(page, "Loss")
          .getByText(/^step 4: training \d.*; psnab3cab began it; psnab3cab joined/)
          .waitFor();
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "W-12 participants stand with lane, rate and strikes, and what each does now",
      async () => {
        await using window = (await enter(address)).window;
        const rows = panel(window.page, "Participants of the run").locator("tbody tr");
        await shows.count(rows, 5);
        await shows.text(
          rows.nth(0),
          /psnab3cab this node\s+trains, step 19 of 32\s+avx2\s+5\.12k/,
        );
        await shows.text(rows.nth(1), /has contributed\s+avx512\s+9\.84k/);
        await shows.text(rows.nth(2), /trains 16 steps\s+neon/);
        await shows.text(rows.nth(3), /out of this run/);
        await shows.text(window.page.locator(".readings"), /top-k, 104× less than dense/);
        await shows.text(
          window.page.locator(".run-progress"),
          /of 8\.19M tokens\s+about 6 min 52 s/,
        );
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "W-12 a run of the mesh is paused, goes on, and is stopped after it was asked twice",
      async () => {
        const { window, told } = await enter(address);
        await using _ = window;
        const { page, context } = window;
        const asked: string[] = [];
        const after = async (name: string, changes: Partial<MeshRun>) => {
          await context.route(`**/commands/${name}`, (route) => {
            asked.push(`${name} ${route.request().postData() ?? ""}`);
            told.mesh = fixtureMesh(changes);
            return route.fulfill({ json: { run: fixtureRunId } });
          });
        };
        await after("run/pause", { wish: "pause" });
        await after("run/resume", {});
        await after("run/stop", { phase: "stopped", wish: "stop", window: null });
        await page.getByRole("button", { name: "Pause", exact: true }).press("Enter");
        await page.getByText("It pauses after this window.").waitFor();
        await page.getByRole("button", { name: "Resume", exact: true }).press("Enter");
        await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
        await page.getByRole("button", { name: "Stop…" }).press("Enter");
        const form = page.getByRole("form", { name: "Stop" });
        await form.getByText(/the run never goes on/).waitFor();
        await window.isInOrder();
        await page.keyboard.press("Escape");
        await shows.count(form, 0);
        expect(asked.some((each) => each.startsWith("run/stop"))).toBe(false);
        await page.getByRole("button", { name: "Stop…" }).press("Enter");
        await form.waitFor();
        await page.keyboard.press("Enter");
        await page.locator(".run-title .state-stopped").waitFor();
        await shows.count(page.getByRole("button", { name: /^(Pause|Resume|Stop…)$/ }), 0);
        expect(asked).toEqual(
          ["pause", "resume", "stop"].map((word) => `run/${word} {"run":"${fixtureRunId}"}`),
        );
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );

    test(
      "W-12 runs of the mesh stand among the others, marked; a new one is begun on the mesh or here",
      async () => {
        await using window = (await enter("#/")).window;
        const { page, context } = window;
        const line = {
          ...{ run: fixtureRunId, name: "shared", state: "running", size: "micro", task: "text" },
          ...{ step: 800, steps: 1_600, loss: 2.4, valLoss: 2.3, createdMs: Date.now() },
        };
        const own = { ...line, run: "ffffffff", name: "alone", state: "completed" };
        const runs = [{ ...line, mesh: { phase: "active" } }, own];
        await context.route("**/commands/runs", (route) => route.fulfill({ json: { runs } }));
        await context.route("**/commands/cluster/status", (route) =>
          route.fulfill({ json: fixtureStatus }),
        );
        const schema = {
          type: "object",
          properties: {
            size: { type: "string", description: "how large" },
            name: { type: "string", description: "what it is called" },
            on: { enum: ["mesh", "here"], description: "who works on it" },
          },
        };
        const command = { name: "run/start", summary: "", parameters: schema };
        await context.route("**/commands/commands/list", (route) =>
          route.fulfill({ json: { commands: [command] } }),
        );
        const asked: unknown[] = [];
        await context.route("**/commands/run/start", (route) => {
          asked.push(route.request().postDataJSON());
          return route.fulfill({ json: { run: fixtureRunId, name: "shared" } });
        });
        await page.reload();
        const list = panel(page, "List of runs").locator("tbody tr");
        await shows.text(list.nth(0), /shared\s+mesh/);
        await shows.text(list.nth(1), /^alone\s+completed/);
        await page.getByRole("button", { name: "New run" }).click();
        const mesh = page.getByRole("radio", { name: "the mesh: 5 nodes" });
        await eventually(
          () => mesh.isChecked(),
          (isChecked) => expect(isChecked).toBe(true),
        );
        await window.isInOrder();
        await picture(page, "mesh-start-desktop-light");
        await page.getByRole("button", { name: "Start", exact: true }).click();
        await heading(page, "shared").waitFor();
        await page.goBack();
        await page.getByRole("button", { name: "New run" }).click();
        await page.getByRole("radio", { name: "this node", exact: true }).check();
        await page.getByRole("button", { name: "Start", exact: true }).click();
        await heading(page, "shared").waitFor();
        expect(asked).toEqual([{ on: "mesh" }, { on: "here" }]);
        expect(window.faults).toEqual([]);
      },
      timeoutMs,
    );
  },
);
