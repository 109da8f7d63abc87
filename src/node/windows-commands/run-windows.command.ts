import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { runParameter } from "#src/train/parameter-entries.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/window/services.ts";
import { eventLines, windowHead, windowLines } from "./mesh-views.ts";
import { runEventSchema } from "./run-events.ts";
import { windowRowSchema } from "./run-windows.ts";

const limitMaximum = 1_000;
/** Events of a window beside those of each who works in it. */
const eventsOfWindow = 8;
const eventsOfWorker = 6;

defineCommand({
  name: "run/windows",
  summary: "The windows of a run: who worked, what counted, bytes, verdicts, loss.",
  access: "member",
  flow: "run",
  place: "daemon",
  parameters: v.strictObject({
    run: runParameter,
    from: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.description("the first window; without it the latest are shown"),
      ),
    ),
    limit: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(limitMaximum),
        v.description("how many windows at most"),
      ),
      40,
    ),
  }),
  positional: ["run"],
  result: v.strictObject({
    run: v.string(),
    name: v.string(),
    /** Ascending. */
    windows: v.array(windowRowSchema),
    events: v.array(runEventSchema),
    /** Windows opened so far. */
    windowCount: v.number(),
    /** Whether this node's record of the run leads without a gap to its beginning. */
    isWhole: v.boolean(),
  }),
  examples: ["psionic run windows", "psionic run windows book --from 1 --limit 100"],
  async run({ run: wanted, from, limit }, { services, signal }) {
    const { findRun } = await import("./find-run.ts");
    const { meshRunsOf } = await import("../windows/mesh-runs-of.ts");
    const { shortId } = await import("#src/cluster/command-parts.ts");
    const { acceptedIn, decidedOf, runEvents } = await import("./run-events.ts");
    const { windowRows } = await import("./run-windows.ts");
    const { parameterCount } = await import("#src/model/cost.ts");
    const service = meshRunsOf(services);
    const { run, name, mesh, local } = findRun(wanted, services);
    const count = limit * (eventsOfWindow + eventsOfWorker * (mesh?.workers.length ?? 1));
    const latest = from === undefined && mesh !== null ? service.latestRecords(run, count) : null;
    const isEnough = latest !== null && latest.length === count;
    const { records, isWhole } = isEnough
      ? { records: latest, isWhole: false }
      : await service.wholeRecords(run, signal);
    if (records.length === 0 && mesh === null)
      throw (await import("./not-of-mesh.ts")).notOfMesh(name);
    const accepted = records.reduce((sum, record) => sum + acceptedIn(record), 0);
    const promoted = records.findLast((record) => decidedOf(record).revision !== undefined);
    const telling = {
      acceptedSlots: mesh?.acceptedSlots ?? accepted,
      revision: mesh?.revision.number ?? (promoted && decidedOf(promoted).revision?.number) ?? 0,
      parameterCount: local === null ? null : parameterCount(local.manifest.model),
      nameOf: nameOf(services, shortId),
    };
    const rows = windowRows(records, telling);
    const windows =
      from === undefined
        ? rows.slice(-limit)
        : rows.filter(({ number }) => number >= from).slice(0, limit);
    const [first, last] = [windows[0]?.number ?? 0, windows.at(-1)?.number ?? 0];
    const events = runEvents(records, telling).filter(
      ({ window }) => window === null || (window >= first && window <= last),
    );
    const windowCount = mesh?.windowCount ?? rows.at(-1)?.number ?? 0;
    return { run, name, windows, events, windowCount, isWhole: isWhole || isFromStart(records) };
  },
  view: (screen) => ({
    result({ name, windows, events, windowCount }) {
      if (windows.length === 0) return screen.note(`no window of ${name} was opened yet`);
      screen.note(windowHead);
      for (const row of windows)
        for (const line of windowLines(row, screen.columns)) screen.print(line);
      for (const line of eventLines(events, windows.length)) screen.note(line);
      if (windows.length < windowCount)
        screen.note(`${windows.length} of ${windowCount} windows; others: --from N --limit M`);
    },
  }),
});

function isFromStart(records: readonly { readonly command: { readonly kind: string } }[]): boolean {
  return records[0]?.command.kind === "run-created";
}

function nameOf(
  { cluster }: Pick<Services, "cluster">,
  shorten: (
    node: string,
    state: { readonly members: readonly { readonly node: string }[] },
  ) => string,
): (node: string) => string {
  const state = cluster?.state() ?? { members: [] };
  return (node) => shorten(node, state);
}
