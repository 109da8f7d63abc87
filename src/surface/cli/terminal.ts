import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import type { StandardPipe } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** What the streams of this process are and how to write to them. */
export interface Terminal {
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  readonly columns: number;
  /** Writes to stdout. After the reader has gone away it writes nothing more. */
  out(text: string): void;
  /** Writes to stderr. */
  error(text: string): void;
}

const encoder = new TextEncoder();
/** How long one write waits between tries when the reader of a non-blocking pipe is slow. */
const retryMs = 2;

/**
 * Writes all of it before it returns, so that data and talk keep their order and nothing
 * is lost at exit. Returns false when nobody reads any more.
 */
function writeAll(descriptor: 1 | 2, content: string | Uint8Array): boolean {
  let bytes: Uint8Array = typeof content === "string" ? encoder.encode(content) : content;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EAGAIN") Bun.sleepSync(retryMs);
      else if (code === "EPIPE" || code === "EIO" || code === "EBADF") return false;
      else throw error;
    }
  }
  return true;
}

/** This process's own streams. `onReaderGone` is called once when stdout has no reader left. */
export function openTerminal(onReaderGone: () => void): Terminal {
  let gone = false;
  return {
    stdinIsTerminal: isatty(0),
    stdoutIsTerminal: isatty(1),
    stderrIsTerminal: isatty(2),
    get columns() {
      const environment = Number(process.env["COLUMNS"]);
      return process.stderr.columns || process.stdout.columns || environment || 80;
    },
    out(text) {
      if (gone || writeAll(1, text)) return;
      gone = true;
      onReaderGone();
    },
    error(text) {
      writeAll(2, text);
    },
  };
}

/** This process's standard input and output as bytes. `onReaderGone` is called at most once. */
export function openPipe(onReaderGone: () => void): StandardPipe {
  let gone = false;
  return {
    get input() {
      return Bun.stdin.stream();
    },
    write(bytes) {
      if (gone || writeAll(1, bytes)) return;
      gone = true;
      onReaderGone();
    },
  };
}

/** Asks on stderr and reads one line from the terminal without showing it. */
export async function askSecret(question: string): Promise<string> {
  writeAll(2, `${question}: `);
  process.stdin.setRawMode(true);
  process.stdin.resume();
  try {
    return await new Promise<string>((resolve, reject) => {
      let answer = "";
      const read = (chunk: Buffer) => {
        for (const character of chunk.toString("utf8")) {
          if (character === "\r" || character === "\n") {
            process.stdin.off("data", read);
            return resolve(answer);
          }
          if (character === "\x03" || character === "\x04") {
            process.stdin.off("data", read);
            return reject(
              new Refusal("interrupted", "the question was not answered", "run it again"),
            );
          }
          const isErase = character === "\x7f" || character === "\b";
          answer = isErase ? [...answer].slice(0, -1).join("") : answer + character;
        }
      };
      process.stdin.on("data", read);
    });
  } finally {
    process.stdin.setRawMode(false);
    process.stdin.pause();
    writeAll(2, "\n");
  }
}

let lines: AsyncIterator<string> | null = null;

/** The next line of standard input after a prompt on stderr; null at its end. */
export async function readLine(prompt: string): Promise<string | null> {
  if (prompt !== "") writeAll(2, prompt);
  lines ??= console[Symbol.asyncIterator]();
  const { done, value } = await lines.next();
  return done === true ? null : value;
}
