import * as v from "valibot";
import type { CommandContext, Screen, View } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { runsResult } from "#src/train/run-results.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/window/services.ts";

const listResult = v.strictObject({
  runs: v.array(
    v.strictObject({
      ...runsResult.entries.runs.item.entries,
      /** Null for a run of the mesh whose document has not come here yet. */
      task: v.nullable(runsResult.entries.runs.item.entries.task),
      /** Null for a run of this node alone. */
      mesh: v.nullable(
        v.strictObject({
          phase: v.string(),
          reason: v.string(),
          windowCount: v.number(),
          participants: v.number(),
          /** Accepted of its slots, 0 to 1. */
          share: v.number(),
        }),
      ),
    }),
  ),
});
type List = v.InferOutput<typeof listResult>;

const parts = {
  access: "member",
  flow: "run",
  place: "node",
  parameters: v.strictObject({}),
  result: listResult,
  async run(_parameters: object, { services }: CommandContext): Promise<List> {
    const { listAll } = await import("./run-list.ts");
    return { runs: listAll(services) };
  },
  view: (screen: Screen): View<List> => ({ result: ({ runs }) => show(runs, screen) }),
} as const;

defineCommand({
  name: "run/list",
  summary: "All runs of the mesh and of this home, newest first.",
  ...parts,
  examples: ["psionic run list", "psionic run list --json"],
});

defineCommand({
  name: "runs",
  summary: "Short for `run list`.",
  ...parts,
  examples: ["psionic runs"],
});

function show(runs: List["runs"], screen: Screen): void {
  if (runs.length === 0) return screen.note("no runs yet; `psionic train` starts one");
  const number = (value: number | null) => (value === null ? "–" : value.toFixed(4));
  const width = Math.max(4, ...runs.map(({ name }) => name.length));
  const head = `${"NAME".padEnd(width)}  ID        STATE        SIZE    STEP         LOSS    VAL     ON`;
  screen.note(head);
  for (const { run, name, state, size, step, steps, loss, valLoss, mesh } of runs)
    screen.print(
      [
        name.padEnd(width),
        run,
        (mesh?.phase ?? state).padEnd(11),
        size.padEnd(6),
        `${step}/${steps}`.padEnd(11),
        number(loss).padEnd(6),
        number(valLoss).padEnd(6),
        mesh === null ? "here" : `mesh ${mesh.participants}`,
      ].join("  "),
    );
}
