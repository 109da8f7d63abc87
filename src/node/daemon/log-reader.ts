import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { logFileMaximum } from "./log-files.ts";
import { type LogEntry, logLevels, type LogLevel } from "./log-record.ts";

/** Bytes read at a time by a follower; more comes with its next look. */
const pieceBytes = 1 << 20;

interface OpenFile {
  readonly descriptor: number;
  readonly inode: number;
  readonly sizeBytes: number;
}

/** Reads the daemon's log across its rotated files. Needs no daemon. */
export class LogReader {
  /** The file last read from and how far, in whole lines. */
  #inode: number | null = null;
  #offset = 0;

  constructor(
    readonly path: string,
    readonly atLeast: LogLevel,
  ) {}

  /** The last `count` entries, oldest first. `next` goes on after them. */
  last(count: number): LogEntry[] {
    let entries: LogEntry[] = [];
    for (let age = 0; age <= logFileMaximum && (age === 0 || entries.length < count); age++) {
      const text = this.#withFile(age, (file) => {
        const bytes = readAll(file, 0);
        const end = bytes.lastIndexOf(10) + 1;
        if (age === 0) [this.#inode, this.#offset] = [file.inode, end];
        return bytes.subarray(0, end).toString("utf8");
      });
      entries = [...this.#entries(text ?? ""), ...entries];
    }
    return count === 0 ? [] : entries.slice(-count);
  }

  /** Entries written since the last look, through every rotation in between. */
  next(): LogEntry[] {
    const age = this.#ageOfLast();
    const entries: LogEntry[] = [];
    // The file last read from may have been set aside; what came after it is younger.
    for (let each = age; each >= 0; each--) {
      const isLast = each === age && this.#inode !== null;
      const text = this.#withFile(each, (file) => {
        const from = isLast && file.inode === this.#inode ? this.#offset : 0;
        const bytes = readAll(file, from);
        const end = bytes.lastIndexOf(10) + 1;
        [this.#inode, this.#offset] = [file.inode, from + end];
        return bytes.subarray(0, end).toString("utf8");
      });
      entries.push(...this.#entries(text ?? ""));
    }
    return entries;
  }

  /** How many files back the one last read from is now; the oldest where it is gone. */
  #ageOfLast(): number {
    if (this.#inode === null) return 0;
    for (let age = 0; age <= logFileMaximum; age++) {
      const isIt = this.#withFile(
        age,
        ({ inode, sizeBytes }) => inode === this.#inode && sizeBytes >= this.#offset,
      );
      if (isIt === true) return age;
    }
    this.#inode = null;
    this.#offset = 0;
    return logFileMaximum;
  }

  #withFile<T>(age: number, read: (file: OpenFile) => T): T | null {
    let descriptor: number;
    try {
      descriptor = openSync(age === 0 ? this.path : `${this.path}.${age}`, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
    try {
      const { ino, size } = fstatSync(descriptor);
      return read({ descriptor, inode: ino, sizeBytes: size });
    } finally {
      closeSync(descriptor);
    }
  }

  #entries(text: string): LogEntry[] {
    const lowest = logLevels.indexOf(this.atLeast);
    return text.split("\n").flatMap((line) => {
      const entry = entryOf(line);
      return entry !== null && logLevels.indexOf(entry.level) >= lowest ? [entry] : [];
    });
  }
}

function readAll({ descriptor, sizeBytes }: OpenFile, from: number): Buffer {
  const pieces: Buffer[] = [];
  for (let offset = from; offset < sizeBytes;) {
    const piece = Buffer.alloc(Math.min(pieceBytes, sizeBytes - offset));
    const count = readSync(descriptor, piece, 0, piece.length, offset);
    if (count === 0) break;
    pieces.push(piece.subarray(0, count));
    offset += count;
  }
  return Buffer.concat(pieces);
}

/** A line of the log; a torn one (the power went) is passed over. */
function entryOf(line: string): LogEntry | null {
  if (line === "") return null;
  try {
    const entry = JSON.parse(line) as Partial<LogEntry>;
    const isEntry = typeof entry.time === "string" && logLevels.includes(entry.level as LogLevel);
    return isEntry ? (entry as LogEntry) : null;
  } catch {
    return null;
  }
}
