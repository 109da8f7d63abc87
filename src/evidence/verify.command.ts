import { basename, join, resolve } from "node:path";
import * as v from "valibot";
import type { CommandContext, Screen, Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { isaParameter, threadsParameter } from "#src/train/parameter-entries.ts";
import type { NumbersProgress } from "./check-numbers.ts";
import { verifiedSchema, type VerifiedBundleFigures, type VerifiedRun } from "./verified.ts";
import type { VerifiedBundle } from "./verify-bundle.ts";

/** Segments computed again at once; `--full` computes all. */
const replayMaximum = 10_000;
const budgetDefault = 2_000;

defineCommand({
  name: "verify",
  summary: "Verify the evidence of a run, offline; with --replay compute segments of it again.",
  access: "owner",
  flow: "proof",
  parameters: v.strictObject({
    bundle: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.description("what `run evidence` wrote, or a run of this home"),
    ),
    replay: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(0),
        v.maxValue(replayMaximum),
        v.description("random segments to compute again, bit for bit"),
      ),
      0,
    ),
    full: v.optional(v.pipe(v.boolean(), v.description("compute every segment again")), false),
    seed: v.optional(
      v.pipe(
        v.union([v.pipe(v.string(), v.maxLength(64)), v.number()]),
        v.description("draws the same segments again; without it, others each time"),
      ),
    ),
    steps: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.description("local steps that one segment may cost; farther ones are not drawn"),
      ),
      budgetDefault,
    ),
    threads: threadsParameter("all cores"),
    isa: isaParameter,
  }),
  positional: ["bundle"],
  paths: ["bundle"],
  result: verifiedSchema,
  computes: true,
  examples: [
    "psionic verify book.evidence",
    "psionic verify book.evidence --replay 3",
    "psionic verify latest",
  ],
  async run(
    { bundle, replay, full, seed, steps, threads, isa },
    context,
  ): Promise<VerifiedBundleFigures | VerifiedRun> {
    const { services } = context;
    const file = resolve(bundle);
    if ((await services.disk.stat(file)) === null) {
      const { verifyRun } = await import("./verify-run.ts");
      return verifyRun(file, services);
    }
    const { verifyBundle } = await import("./verify-bundle.ts");
    const { openBackend } = await import("#src/train/open-backend.ts");
    const drawn = String(seed ?? services.random.bytes(8).toHex());
    const name = `${scratchPrefix}${services.random.bytes(8).toHex()}`;
    const directory = join(services.home.root, name);
    await sweepScratch(services);
    const wish = { count: full ? null : replay, seed: drawn, budgetSteps: steps };
    const verified = await verifyBundle(file, wish, {
      ...{ disk: services.disk, clock: services.clock, directory, signal: context.signal },
      availableBytes: (await services.machine.facts()).memoryBytes,
      async openBackend() {
        const threadCount = threads ?? (await services.machine.facts()).coreCount;
        return (await openBackend(isa ?? null, threadCount)).backend;
      },
      ...telling(context),
    });
    const { account } = await import("./account.ts");
    return { of: "bundle", isValid: true, file, seed: drawn, ...account(verified) };
  },
  view: (screen) => ({
    event({ type, window, of, worker, segment, done }) {
      if (type === "evidence-steps")
        screen.draw([`step ${String(done)}/${String(of)} computed again`]);
      if (type === "evidence-window") screen.draw([`window ${String(window)}/${String(of)} holds`]);
      if (type === "evidence-segment")
        screen.note(
          `segment ${String(segment)} of ${String(worker)} in window ${String(window)} agrees`,
        );
    },
    result(verified) {
      screen.draw([]);
      if (verified.of === "run") return showRun(screen, verified);
      for (const line of tableOf(verified)) screen.print(line);
      for (const each of verified.proven) screen.note(`proven: ${each}`);
      for (const each of verified.unproven) screen.note(`not proven: ${each}`);
    },
  }),
});

/** Folders of verifications; what a killed one left is removed by another, a day later. */
const scratchPrefix = ".verify-";
const scratchAgeMs = 86_400_000;

async function sweepScratch({ disk, clock, home }: Services): Promise<void> {
  for (const { name, modifiedMs } of await disk.list(home.root))
    if (name.startsWith(scratchPrefix) && modifiedMs < clock.wallMs() - scratchAgeMs)
      await disk.remove(join(home.root, name)).catch(() => {});
}

/** Progress in steps is told so many milliseconds apart. */
const progressMs = 250;

function telling({ emit, services: { clock } }: CommandContext) {
  let toldMs = -Infinity;
  return {
    onChecked({ contents, facts }: Pick<VerifiedBundle, "contents" | "facts">) {
      const { records } = contents.header;
      emit({ type: "evidence-checked", records, statements: facts.statements });
    },
    onProgress({ kind, ...facts }: NumbersProgress) {
      if (kind === "steps" && clock.monotonicMs() - toldMs < progressMs) return;
      if (kind === "steps") toldMs = clock.monotonicMs();
      emit({ type: `evidence-${kind}`, ...facts });
    },
  };
}

function showRun(screen: Screen, { name, step, digest, receipt, receipts }: VerifiedRun): void {
  screen.print(`${name} after step ${step} holds, as do ${receipts} receipts of this node`);
  screen.print(`state digest: ${digest}`);
  screen.note(receipt === null ? "no receipt names this state" : `receipt ${receipt} names it`);
}

function tableOf(it: VerifiedBundleFigures): string[] {
  const rows: readonly (readonly [string, string])[] = [
    ["run", `${it.name} (${it.run}), ${it.phase}`],
    ["file", `${basename(it.file)}, ${it.sizeBytes} bytes in ${it.parts} parts, by ${it.author}`],
    ["events", `${it.records}, ${it.statements} signed by ${it.nodes} nodes`],
    ["windows", `${it.windows}, ${it.revision} revisions, ${it.tokens} tokens counted`],
    ["verdicts", `${it.verdicts}, ${it.rejections} rejected, ${it.judgedSegments} segments judged`],
    ["replayed", `${it.replayed.length} of ${it.segments} segments, ${it.recomputedSteps} steps`],
    ["digest", it.digest],
  ];
  return rows.map(([name, text]) => `${name.padEnd(9)} ${text}`);
}
