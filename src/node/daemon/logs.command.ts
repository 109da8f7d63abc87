import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { printable } from "#src/surface/cli/printable.ts";
import { LogReader } from "./log-reader.ts";
import { entryText, type LogEntry, logLevels } from "./log-record.ts";
import { logPath } from "./log-files.ts";

/** How often a follower looks. */
const lookMs = 200;

defineCommand({
  name: "logs",
  summary: "What the daemon logged; -f follows it.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({
    lines: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(0),
        v.maxValue(100_000),
        v.description("how many of the last lines to show"),
      ),
      100,
    ),
    follow: v.optional(
      v.pipe(v.boolean(), v.description("go on with what is logged, until Ctrl-C")),
      false,
    ),
    level: v.optional(
      v.pipe(v.picklist(logLevels), v.description("the least level to show")),
      "info",
    ),
  }),
  letters: { n: "lines", f: "follow" },
  result: v.object({ lines: v.number(), path: v.string() }),
  examples: ["psionic logs", "psionic logs -n 20 --level warning", "psionic logs -f"],
  async run({ lines, follow, level }, { services, emit, signal }) {
    const path = logPath(services.home);
    const reader = new LogReader(path, level);
    let count = 0;
    const show = (entries: readonly LogEntry[]) => {
      for (const entry of entries) emit({ type: "log", ...entry });
      count += entries.length;
    };
    show(reader.last(lines));
    if (!follow) return { lines: count, path };
    while (!signal.aborted) {
      await services.clock.sleep(lookMs, signal).catch(() => {});
      show(reader.next());
    }
    return { lines: count, path };
  },
  view: (screen) => ({
    event(event) {
      const entry = event as unknown as LogEntry;
      const where = entry.category.replace(/^psionic\./, "");
      const line = `${entry.time} ${entry.level.padEnd(7)} ${where}: ${entryText(entry)}`;
      screen.print(printable(line));
    },
    result({ lines, path }) {
      if (lines === 0) screen.note(`nothing is logged in ${path}`);
    },
  }),
});
