import type { Screen } from "#src/command/define.ts";
import { printable, printableInColour } from "./printable.ts";
import type { Terminal } from "./terminal.ts";

const clearDown = "\x1b[0J";

export interface ScreenOptions {
  readonly colour: boolean;
  readonly quiet: boolean;
}

/** The screen of a person: data to stdout, talk to stderr, one block redrawn in place. */
export class TerminalScreen implements Screen {
  readonly live: boolean;
  readonly colour: boolean;
  #drawn: readonly string[] = [];

  constructor(
    private readonly terminal: Terminal,
    private readonly options: ScreenOptions,
  ) {
    this.live = terminal.stderrIsTerminal && !options.quiet;
    this.colour = options.colour;
  }

  get columns(): number {
    return this.terminal.columns;
  }

  print(text: string): void {
    const shown = this.terminal.stdoutIsTerminal ? this.#visible(text) : text;
    this.#around(() => this.terminal.out(`${shown}\n`));
  }

  /** A file or another program gets every byte; a terminal gets only what it can show. */
  write(text: string): void {
    const shown = this.terminal.stdoutIsTerminal ? printable(text) : text;
    this.#around(() => this.terminal.out(shown));
  }

  note(text: string): void {
    if (this.options.quiet) return;
    const shown = this.terminal.stderrIsTerminal ? this.#visible(text) : text;
    this.#around(() => this.terminal.error(`${shown}\n`));
  }

  draw(lines: readonly string[]): void {
    if (!this.live) return;
    const columns = this.columns;
    const fitting = lines.map((line) => Bun.sliceAnsi(this.#visible(line), 0, columns - 1));
    this.terminal.error(this.#rewind() + fitting.map((line) => `${line}\n`).join(""));
    this.#drawn = fitting;
  }

  /** Leaves the last drawn block where it is and starts below it. */
  finish(): void {
    this.#drawn = [];
  }

  /** What a command shows may hold words of others: a policy's, a model's, an attestation's. */
  #visible(text: string): string {
    return this.options.colour ? printableInColour(text) : printable(text);
  }

  /** Moves to the first line of the drawn block and clears it. */
  #rewind(): string {
    return this.#drawn.length > 0 ? `\x1b[${this.#drawn.length}F${clearDown}` : "";
  }

  /** Lines written while a block is drawn go above it. */
  #around(write: () => void): void {
    if (this.#drawn.length === 0) return write();
    const block = this.#drawn;
    this.terminal.error(this.#rewind());
    write();
    this.terminal.error(block.map((line) => `${line}\n`).join(""));
  }
}

/** Colour is wanted on a terminal, unless NO_COLOR or --no-color says otherwise. */
export function wantsColour(
  isTerminal: boolean,
  environment: Readonly<Record<string, string | undefined>>,
  noColour: boolean,
): boolean {
  if (noColour || (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb") {
    return false;
  }
  return isTerminal;
}
