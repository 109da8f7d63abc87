import type { LogRecord } from "@logtape/logtape";

/** Levels of the log, from talk to failure. */
export const logLevels = ["trace", "debug", "info", "warning", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];

/** One line of the log as it is written and read. */
export interface LogEntry {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly level: LogLevel;
  /** `psionic.daemon` */
  readonly category: string;
  readonly message: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** Characters of one text in an entry; the rest is left out. */
const textMaximum = 8_192;
/** Names whose values never reach the log, wherever they come from. */
const secretName = /token|authori[sz]ation|secret|passphrase|password|cookie|private/i;

/** A record as a JSON line; secrets are left out by name, long texts are cut. */
export function formatJsonLine(record: LogRecord): string {
  return `${JSON.stringify(entryOf(record))}\n`;
}

/** A record for whoever reads the daemon's stderr: a service manager's journal. */
export function formatTextLine(record: LogRecord): string {
  const entry = entryOf(record);
  return `${oneLine(`${entry.level} ${entry.category}: ${entryText(entry)}`)}\n`;
}

/** The message, and as `name=value` the facts that it does not say already. */
export function entryText({ message, properties }: LogEntry): string {
  const facts = Object.entries(properties)
    .map(([name, value]) => [name, typeof value === "string" ? value : textOf(value)] as const)
    .filter(([, text]) => !message.includes(text))
    .map(([name, text]) => ` ${name}=${/^[^\s"=]+$/.test(text) ? text : quoted(text)}`);
  return `${message}${facts.join("")}`;
}

function entryOf(record: LogRecord): LogEntry {
  const words = record.message.map((part) => (typeof part === "string" ? part : textOf(part)));
  return {
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    category: record.category.join("."),
    message: cut(words.join("")),
    properties: plain(record.properties) as Record<string, unknown>,
  };
}

function plain(value: unknown, name = "", depth = 0): unknown {
  if (secretName.test(name)) return "(left out)";
  if (typeof value === "string") return cut(value);
  if (value instanceof Error) return { message: cut(value.message), stack: cut(value.stack ?? "") };
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth >= 4) return "…";
  if (Array.isArray(value)) return value.slice(0, 100).map((each) => plain(each, "", depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 100)
      .map(([key, each]) => [key, plain(each, key, depth + 1)]),
  );
}

/** Control characters as JSON writes them, so that no text of others makes a line or steers a terminal. */
const oneLine = (text: string) =>
  text.replace(/\p{Cc}/gu, (control) =>
    JSON.stringify(control).slice(1, -1).replace(control, "\ufffd"),
  );

/** A list or an object is quoted by its own signs. */
const quoted = (text: string) => (/^[[{]/.test(text) ? text : JSON.stringify(text));
const textOf = (part: unknown) => JSON.stringify(plain(part)) ?? String(part);
const cut = (text: string) => (text.length > textMaximum ? `${text.slice(0, textMaximum)}…` : text);
