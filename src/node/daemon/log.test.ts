import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getRotatingFileSink } from "@logtape/file";
import { getLogger, type LogRecord } from "@logtape/logtape";
import { homePaths } from "../home.ts";
import { LogReader } from "./log-reader.ts";
import { formatJsonLine, formatTextLine, type LogEntry, type LogLevel } from "./log-record.ts";
import { logFileMaximum, logPath } from "./log-files.ts";
import { openLog } from "./log.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "psionic-log-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function record(message: string, own: Partial<LogRecord> = {}): LogRecord {
  const level = "info";
  const category = ["psionic", "test"];
  const properties = {};
  return {
    category,
    level,
    message: [message],
    rawMessage: message,
    timestamp: 0,
    properties,
    ...own,
  };
}

const texts = (entries: readonly LogEntry[]) => entries.map(({ message }) => message);

describe("A-9 log lines", () => {
  test("A-9 a line says when, how bad, where, what and with which facts", () => {
    const line = record("", {
      message: ["run ", "abc", " failed"],
      properties: { run: "abc", big: 5n, error: new TypeError("nothing") },
    });
    const entry = JSON.parse(formatJsonLine(line)) as LogEntry;
    expect(entry).toMatchObject({
      time: "1970-01-01T00:00:00.000Z",
      level: "info",
      category: "psionic.test",
      message: "run abc failed",
      properties: { run: "abc", big: "5", error: { message: "nothing" } },
    });
    expect((entry.properties["error"] as { stack: string }).stack).toContain("TypeError");
    expect(formatTextLine(line)).toStartWith(
      'info psionic.test: run abc failed big=5 error={"message":"nothing"',
    );
  });

  test("A-9 for people a line says every fact once, as it would be typed", () => {
    const line = formatTextLine(
      record("up at http://127.0.0.1:1", {
        properties: { url: "http://127.0.0.1:1", pid: 77, why: "two words", runs: ["a"], none: "" },
      }),
    );
    expect(line).toBe(
      'info psionic.test: up at http://127.0.0.1:1 pid=77 why="two words" runs=["a"]\n',
    );
  });

  test("A-9 a line of a service manager's journal is one line, whatever is told", () => {
    const message = ["answering GET /a\nerror psionic.daemon: forged\x1b[2J", " was refused"];
    const line = formatTextLine(record("", { message }));
    expect(line.split("\n")).toEqual([expect.stringContaining("forged"), ""]);
    expect(line).not.toContain("\x1b");
    expect(JSON.parse(formatJsonLine(record("", { message })))).toMatchObject({
      message: message.join(""),
    });
  });

  test("A-9 secrets are left out wherever they are, long texts are cut", () => {
    const properties = {
      token: "s3cret",
      headers: { Authorization: "Bearer s3cret", cookie: ["s3cret"] },
      passphrase: "s3cret",
    };
    const line = formatJsonLine(record("x".repeat(100_000), { properties }));
    expect(line).not.toContain("s3cret");
    expect(line.length).toBeLessThan(10_000);
    expect(line.split("\n").length).toBe(2);
  });

  test("A-9 what was logged is in the file at once, from its level on, for the owner alone", async () => {
    const home = homePaths(folder, {});
    const log = await openLog(home, { level: "info", toStderr: false });
    getLogger(["psionic", "test"]).debug("too fine");
    getLogger(["psionic", "test"]).warning("hot: {degrees}", { degrees: 90 });
    const reader = new LogReader(logPath(home), "trace");
    expect(texts(reader.last(10))).toEqual(["hot: 90"]);
    await log.close();
    expect(statSync(join(folder, "logs")).mode & 0o777).toBe(0o700);
  });
});

describe("A-9 reading the log", () => {
  const path = () => join(folder, "psionic.log");
  const sinkOf = (maxSize: number) =>
    getRotatingFileSink(path(), {
      maxSize,
      maxFiles: logFileMaximum,
      formatter: formatJsonLine,
      bufferSize: 0,
    });

  test("A-9 the last lines come from as many files as it takes, oldest first", () => {
    using sink = sinkOf(400);
    for (let line = 0; line < 12; line++) sink(record(`line ${line}`));
    const reader = new LogReader(path(), "info");
    expect(texts(reader.last(5))).toEqual([7, 8, 9, 10, 11].map((line) => `line ${line}`));
    expect(new LogReader(path(), "info").last(0)).toEqual([]);
  });

  test("A-9 a follower sees every line once, however often files are set aside between looks", () => {
    using sink = sinkOf(400);
    const reader = new LogReader(path(), "info");
    expect(reader.last(10)).toEqual([]);
    const seen: string[] = [];
    let written = 0;
    // Bursts within the number of files kept; looks in between at any point of a file.
    for (const burst of [1, 2, 5, 1, 7, 3, 0, 9, 2, 4]) {
      for (let line = 0; line < burst; line++) sink(record(`line ${written++}`));
      seen.push(...texts(reader.next()));
    }
    expect(seen).toEqual(Array.from({ length: written }, (_, line) => `line ${line}`));
    expect(statSync(`${path()}.2`).size).toBeGreaterThan(0);
  });

  test("A-9 a follower that starts in the middle goes on after what it showed", () => {
    using sink = sinkOf(1_000_000);
    for (let line = 0; line < 3; line++) sink(record(`line ${line}`));
    const reader = new LogReader(path(), "info");
    expect(texts(reader.last(1))).toEqual(["line 2"]);
    sink(record("line 3"));
    expect(texts(reader.next())).toEqual(["line 3"]);
    expect(reader.next()).toEqual([]);
  });

  test("A-9 a line that is half written is shown when it is whole; a torn one is passed over", () => {
    const whole = formatJsonLine(record("whole"));
    appendFileSync(path(), whole.slice(0, 20));
    const reader = new LogReader(path(), "info");
    expect(reader.last(5)).toEqual([]);
    appendFileSync(path(), whole.slice(20));
    expect(texts(reader.next())).toEqual(["whole"]);
    appendFileSync(path(), `{"torn":\n${whole}`);
    expect(texts(reader.next())).toEqual(["whole"]);
  });

  test("A-9 a log set aside further than files are kept starts over", () => {
    appendFileSync(path(), formatJsonLine(record("old")));
    const reader = new LogReader(path(), "info");
    reader.last(5);
    renameSync(path(), join(folder, "taken-away"));
    appendFileSync(path(), formatJsonLine(record("new")));
    expect(texts(reader.next())).toEqual(["new"]);
  });

  test.each([
    ["trace", 3],
    ["info", 2],
    ["error", 1],
    ["fatal", 0],
  ] as const)("A-9 from level %s on there are %d", (level: LogLevel, count) => {
    for (const each of ["debug", "info", "error"] as const)
      appendFileSync(path(), formatJsonLine(record(each, { level: each })));
    expect(new LogReader(path(), level).last(9).length).toBe(count);
  });
});
