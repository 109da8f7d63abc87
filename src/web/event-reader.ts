/** One message of a `text/event-stream`. */
export interface ServerEvent {
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

/** A line longer than this is no event of ours; the stream is given up. */
export const lineMaximum = 4 * 1024 * 1024;

/** Cuts text that arrives in pieces into lines, whatever ends them (`\n`, `\r\n`, `\r`). */
export class LineReader {
  private rest = "";

  /** The lines completed by this piece. */
  push(piece: string): string[] {
    const text = this.rest + piece;
    // A carriage return at the end may be the first half of a line's end.
    const usable = text.endsWith("\r") ? text.slice(0, -1) : text;
    const lines = usable.split(/\r\n|\n|\r/);
    this.rest = (lines.pop() ?? "") + text.slice(usable.length);
    if (this.rest.length > lineMaximum) throw new Error("a line of the stream is too long");
    return lines;
  }

  /** What stood after the last line's end. */
  end(): string {
    const rest = this.rest;
    this.rest = "";
    return rest;
  }
}

/**
 * Reads server-sent events from text in pieces, by the rules of the HTML standard. `EventSource`
 * cannot send the token, so the page reads the stream itself.
 */
export class EventReader {
  private readonly lines = new LineReader();
  private name = "";
  private data: string[] = [];
  private id = "";
  private reached = "";

  /** The id of the last event, also of one without data: where to resume. */
  get lastId(): string {
    return this.reached;
  }

  /** The events completed by this piece. An event without data is none. */
  push(piece: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    for (const line of this.lines.push(piece)) {
      if (line === "") {
        this.reached = this.id;
        if (this.data.length > 0) {
          events.push({ id: this.id, name: this.name || "message", data: this.data.join("\n") });
        }
        this.name = "";
        this.data = [];
      } else this.readField(line);
    }
    return events;
  }

  private readField(line: string): void {
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.name = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
  }
}

/** How long to wait before the next attempt to connect: doubling from half a second to 15 s. */
export function backoffMs(attempt: number): number {
  return Math.min(15_000, 500 * 2 ** Math.min(attempt, 10));
}
