import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import parsePrometheusTextFormat from "parse-prometheus-text-format";
import { nodeFamilies } from "#src/node/daemon-metrics.ts";
import { openTestDoor, problemIn, testCommand, type TestDoor } from "./http.fixture.ts";
import type { HttpParts, MetricFamily } from "./parts.ts";

interface Parsed {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly metrics: readonly {
    readonly value?: string;
    readonly labels?: Readonly<Record<string, string>>;
  }[];
}

let door: TestDoor;
let extra: readonly MetricFamily[] = [];

beforeAll(async () => {
  const parts: Partial<HttpParts> = {
    collectMetrics: async () => [
      ...nodeFamilies(door.services, { epoch: 3, startedMs: 1_700_000_000_000 }),
      ...extra,
    ],
  };
  door = await openTestDoor({
    parts,
    commands: [
      testCommand("fine", () => 1),
      testCommand("bad", () => {
        throw new Error("bug");
      }),
    ],
  });
});
afterAll(() => door.close());

const scrape = async () => {
  const response = await door.ask("/metrics");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  const text = await response.text();
  const families = parsePrometheusTextFormat(text) as readonly Parsed[];
  return { text, byName: new Map(families.map((family) => [family.name, family])) };
};

const post = { method: "POST" };

describe("A-10 /metrics", () => {
  test("A-10 a Prometheus parser reads it, with every name that was agreed", async () => {
    await door.ask("/commands/fine", post);
    const { byName } = await scrape();
    for (const name of [
      ...["psionic_build_info", "psionic_node_epoch", "psionic_runs", "psionic_steps_total"],
      ...["psionic_tokens_total", "psionic_command_calls_total", "psionic_http_requests_total"],
      ...["psionic_command_duration_seconds", "psionic_grant_uses_total", "psionic_receipts_total"],
      ...["psionic_disk_free_bytes", "psionic_memory_free_bytes", "process_cpu_seconds_total"],
      ...["process_resident_memory_bytes", "process_start_time_seconds"],
    ])
      expect([name, byName.has(name)]).toEqual([name, true]);
    expect(byName.get("psionic_node_epoch")!.metrics[0]!.value).toBe("3");
    expect(byName.get("psionic_build_info")!.metrics[0]!.labels).toMatchObject({
      version: "1.2.3",
    });
  });

  test("A-10 names keep the rules: help, type, base units last, _total for counters alone", async () => {
    const { text, byName } = await scrape();
    for (const { name, help, type } of byName.values()) {
      expect(name).toMatch(/^(psionic|process)_[a-z][a-z_]*[a-z]$/);
      expect(help).toMatch(/^[A-Z].*\.$/);
      expect(["COUNTER", "GAUGE", "HISTOGRAM"]).toContain(type);
      expect([name, type === "COUNTER"]).toEqual([name, name.endsWith("_total")]);
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|gb|percent|count|sum|bucket|gauge)$/);
    }
    // A family stands in one piece, its help and type once, and no series twice.
    const series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    const keys = series.map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(new Set(keys).size).toBe(keys.length);
    const declared = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
    expect(new Set(declared).size).toBe(declared.length);
    expect([...text.matchAll(/^# HELP (\S+) /gm)].map(([, name]) => name!)).toEqual(declared);
  });

  test("A-10 calls are counted by how they ended, requests by route and status", async () => {
    const before = await scrape();
    await door.ask("/commands/fine", post);
    await door.ask("/commands/fine", post);
    await door.ask("/commands/fine", { ...post, body: "[]" });
    await door.ask("/commands/bad", post);
    await door.ask("/somewhere/else");
    const after = await scrape();
    const value = (
      { byName }: typeof after,
      name: string,
      labels: Readonly<Record<string, string>>,
    ) =>
      Number(
        byName
          .get(name)
          ?.metrics.find((metric) =>
            Object.entries(labels).every(([key, each]) => metric.labels?.[key] === each),
          )?.value ?? 0,
      );
    const grown = (name: string, labels: Readonly<Record<string, string>>) =>
      value(after, name, labels) - value(before, name, labels);
    expect(grown("psionic_command_calls_total", { command: "fine", outcome: "done" })).toBe(2);
    expect(grown("psionic_command_calls_total", { command: "bad", outcome: "bug" })).toBe(1);
    const requests = "psionic_http_requests_total";
    expect(grown(requests, { route: "/commands/*", status: "200" })).toBe(2);
    expect(grown(requests, { route: "/commands/*", status: "500" })).toBe(1);
    expect(grown(requests, { route: "none", status: "404" })).toBe(1);
    expect(after.byName.get("psionic_command_duration_seconds")!.type).toBe("HISTOGRAM");
    expect(after.text).toMatch(/^psionic_command_duration_seconds_count\{command="fine"\} \d+$/m);
  });

  test("A-10 what callers make up never becomes a label", async () => {
    const size = async () => (await scrape()).text.split("\n").length;
    await door.ask("/commands/unknown-0", post);
    await door.ask("/made/up/0");
    const before = await size();
    for (let at = 1; at < 30; at++) {
      await door.ask(`/commands/unknown-${at}`, post);
      await door.ask(`/made/up/${at}`);
      await door.ask("/", { method: `X${at}`, headers: { host: `h${at}` } });
    }
    // At most the one series of a refused Host.
    expect((await size()) - before).toBeLessThanOrEqual(1);
  });

  test("A-10 series of a run come with it and leave with it", async () => {
    const loss = (samples: MetricFamily["samples"]): MetricFamily => ({
      ...{ name: "psionic_test_loss", help: "A loss.", kind: "gauge", samples },
    });
    extra = [loss([])];
    expect((await scrape()).text).not.toContain("psionic_test_loss");
    extra = [loss([{ labels: { run: "a" }, value: 2.5 }])];
    expect((await scrape()).text).toContain('psionic_test_loss{run="a"} 2.5');
    extra = [loss([{ labels: { run: "b" }, value: 2 }])];
    const later = (await scrape()).text;
    expect(later).toContain('psionic_test_loss{run="b"} 2');
    expect(later).not.toContain('run="a"');
    extra = [];
  });

  test("A-10 open on the loopback; with the token where the operator says so", async () => {
    const strict = await openTestDoor({ parts: { metricsNeedToken: true } });
    expect(await problemIn(await strict.ask("/metrics"))).toMatchObject({
      ...{ status: 401, code: "token_needed" },
    });
    expect((await strict.own("/metrics")).status).toBe(200);
    await strict.close();
    const { text } = await scrape();
    expect(text).not.toContain(door.token);
    expect(text).not.toContain(door.folder);
  });
});

describe("A-9 /healthz and /readyz", () => {
  test("A-9 the process lives whatever the node can do; readiness says why not", async () => {
    let reasons: readonly string[] = ["the store cannot be written"];
    let draining = true;
    const other = await openTestDoor({
      parts: { ready: async () => reasons, draining: () => draining },
    });
    const ready = async () => {
      const response = await other.ask("/readyz");
      return [response.status, await response.json()];
    };
    expect((await other.ask("/healthz")).status).toBe(200);
    expect(await ready()).toEqual([
      503,
      { ready: false, reasons: ["the daemon is stopping", "the store cannot be written"] },
    ]);
    draining = false;
    reasons = [];
    expect(await ready()).toEqual([200, { ready: true, reasons: [] }]);
    await other.close();
  });
});
