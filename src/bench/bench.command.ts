import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { isaNames } from "#src/train/isa.ts";
import { refusalSchema, unpackRefusal } from "#src/train/messages.ts";
import type { BenchRequest } from "./child.ts";
import { rowSchema, type Row } from "./row.ts";
import { threadsParameter } from "#src/train/parameter-entries.ts";

const laneNames = isaNames.filter((name) => name !== "reference");

defineCommand({
  name: "bench",
  summary: "Measure this machine: its peak, matrix products, whole training steps and calls.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({
    rows: v.optional(
      v.pipe(
        v.array(v.string()),
        v.description("only rows whose name starts so: call, peak, gemm, train-b, …"),
      ),
      [],
    ),
    threads: threadsParameter("1 and all cores in turn"),
    isa: v.optional(
      v.pipe(v.picklist(laneNames), v.description("kernels to measure; the best by default")),
    ),
    seconds: v.optional(
      v.pipe(
        v.number(),
        v.minValue(0.01),
        v.maxValue(600),
        v.description("measuring time per row, at least"),
      ),
      2,
    ),
  }),
  positional: ["rows"],
  computes: true,
  result: v.object({ rows: v.array(rowSchema) }),
  examples: ["psionic bench peak --seconds 0.1", "psionic bench train-c --seconds 0.1 --json"],
  async run({ rows: names, threads, isa, seconds }, { services, emit, signal }) {
    const { coreCount } = await services.machine.facts();
    const threadCounts = threads === undefined ? [...new Set([1, coreCount])] : [threads];
    const request: BenchRequest = { names, threadCounts, isa: isa ?? null, secondsPerRow: seconds };
    const rows = await measure(services, request, signal, (row) => emit(row));
    if (rows.length > 0) return { rows };
    throw new Refusal(
      "usage",
      `no row is called ${names.join(" or ")}`,
      "`psionic bench` without names measures all rows.",
    );
  },
  view: (screen) => ({
    event(event) {
      if (event.type !== "row") return;
      const row = event as unknown as Row;
      const figures = [
        row.gflops === null ? "" : `${row.gflops.toFixed(1)} GFLOP/s`,
        row.percentOfPeak === null || row.name === "peak-fma"
          ? ""
          : `${row.percentOfPeak.toFixed(1)} % of peak`,
        row.tokensPerSecond === null ? "" : `${Math.round(row.tokensPerSecond)} tokens/s`,
        row.gigabytesPerSecond === null
          ? ""
          : `${row.gigabytesPerSecond.toFixed(1)} GB/s read and written`,
        row.name.startsWith("call-") && row.milliseconds !== null
          ? `${(row.milliseconds * 1000).toFixed(1)} µs a call`
          : "",
      ].filter((text) => text !== "");
      const threads = `${row.threads} thread${row.threads === 1 ? "" : "s"}`;
      screen.print(
        `${row.name.padEnd(16)} ${threads.padEnd(11)} ${figures.map((text) => text.padStart(16)).join("  ")}`,
      );
    },
    result() {},
  }),
});

/** Runs the benchmark child and collects its rows. */
async function measure(
  { processes }: Services,
  request: BenchRequest,
  signal: AbortSignal,
  onRow: (row: Row) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  const outcome = Promise.withResolvers<void>();
  const child = processes.spawnSelf("bench", (message) => {
    const row = v.safeParse(rowSchema, message);
    if (row.success) {
      rows.push(row.output);
      onRow(row.output);
      return;
    }
    const { type } = v.parse(v.looseObject({ type: v.string() }), message);
    if (type === "finished") outcome.resolve();
    else
      outcome.reject(unpackRefusal(v.parse(v.object({ refusal: refusalSchema }), message).refusal));
  });
  const stop = () => outcome.reject(signal.reason);
  signal.addEventListener("abort", stop);
  void child.exited.then(({ status, signal: killedBy }) =>
    outcome.reject(
      new Refusal(
        "backend_unavailable",
        `the benchmark process ended early (${killedBy ?? status})`,
        "Run it again; if it repeats, try --isa baseline.",
      ),
    ),
  );
  try {
    child.send(request);
    await outcome.promise;
    return rows;
  } finally {
    signal.removeEventListener("abort", stop);
    child.kill("SIGKILL");
  }
}
