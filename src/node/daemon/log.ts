import { writeSync } from "node:fs";
import { getRotatingFileSink } from "@logtape/file";
import { configure, dispose, getLogger, type LogRecord } from "@logtape/logtape";
import type { HomePaths } from "#src/command/services.ts";
import { logFileMaximum, logFileMaximumBytes, logPath, prepareLogs } from "./log-files.ts";
import { formatJsonLine, formatTextLine, type LogLevel } from "./log-record.ts";

/** The daemon's log while it is open. */
export interface OpenLog {
  /** The last thing a daemon says: a bug that ends it. */
  fatal(error: unknown): void;
  close(): Promise<void>;
}

/**
 * Sends what the daemon logs to its rotating file, and to stderr where a service manager reads it. A
 * disk that cannot be written costs log lines, never the daemon.
 */
export async function openLog(
  home: HomePaths,
  options: { readonly level: LogLevel; readonly toStderr: boolean },
): Promise<OpenLog> {
  prepareLogs(home);
  const file = getRotatingFileSink(logPath(home), {
    maxSize: logFileMaximumBytes,
    maxFiles: logFileMaximum,
    formatter: formatJsonLine,
    // Every record goes out at once; while one write is under way the next ones gather.
    nonBlocking: true,
    bufferSize: 0,
  });
  const sinks = { file, ...(options.toStderr ? { stderr: writeToStderr } : {}) };
  const names = Object.keys(sinks) as (keyof typeof sinks)[];
  await configure({
    reset: true,
    sinks: sinks as Record<string, (record: LogRecord) => void>,
    loggers: [
      { category: "psionic", lowestLevel: options.level, sinks: names },
      // The library's own troubles, a full disk above all, have no better place than stderr.
      {
        category: ["logtape", "meta"],
        lowestLevel: "error",
        sinks: options.toStderr ? ["stderr"] : [],
      },
    ],
  });
  return {
    fatal: (error) => getLogger(["psionic", "daemon"]).fatal("ended by a bug", { error }),
    close: dispose,
  };
}

function writeToStderr(record: LogRecord): void {
  try {
    writeSync(2, formatTextLine(record));
  } catch {
    // Nobody reads it any more.
  }
}
