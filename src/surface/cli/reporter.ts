import type { Event, View } from "#src/command/define.ts";
import type { AnyCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { printable } from "./printable.ts";
import { TerminalScreen } from "./screen.ts";
import type { Terminal } from "./terminal.ts";

export interface ReporterOptions {
  /** JSON lines on stdout instead of views. */
  readonly json: boolean;
  readonly colour: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** Shows what one call says, to a person or to a script. */
export class Reporter {
  readonly screen: TerminalScreen;

  constructor(
    private readonly terminal: Terminal,
    private readonly options: ReporterOptions,
  ) {
    this.screen = new TerminalScreen(terminal, options);
  }

  /** The command's own view, or null where its results go out as JSON. */
  viewOf(command: AnyCommand): View<unknown> | null {
    return this.options.json ? null : (command.view?.(this.screen) ?? {});
  }

  event(event: Event, view: View<unknown> | null): void {
    if (view === null) this.#line(event);
    else view.event?.(event);
  }

  /**
   * The last record of a call that succeeded. A result object with a `type` of its own keeps
   * it; any other gets `result`, and a result that is no object stands under `value`.
   */
  result(result: unknown, view: View<unknown> | null): void {
    this.screen.finish();
    if (view === null) this.#line(withType(result));
    else if (view.result) view.result(result);
    else if (result !== undefined) this.screen.print(JSON.stringify(result, null, 2));
  }

  /** Talk of the door itself while a call takes long; scripts are told nothing. */
  note(text: string): void {
    if (!this.options.json) this.screen.note(text);
  }

  /** A short answer of the door itself. */
  answer(text: string, facts: Record<string, unknown>): void {
    if (this.options.json) this.#line(withType(facts));
    else this.screen.print(text);
  }

  /** Help is data for people; a script that did not ask for it named no command. */
  help(text: string, asked: boolean): void {
    if (this.options.json && !asked) {
      throw new Refusal("usage", "no command is named", "`psionic commands --json` lists them");
    }
    this.screen.print(text);
  }

  /** Shows a failure and gives its exit status. */
  failure(error: unknown, signal: AbortSignal): number {
    this.screen.finish();
    if (error instanceof Refusal) {
      this.#refusal(error);
      return error.exitStatus;
    }
    if (signal.aborted && error === signal.reason) return 130;
    return this.#bug(error);
  }

  #refusal(refusal: Refusal): void {
    if (this.options.json) return this.#line(refusal.toJSON());
    const red = (text: string) => (this.options.colour ? `\x1b[31m${text}\x1b[0m` : text);
    this.terminal.error(`${red("refused:")} ${printable(refusal.message)}\n`);
    this.terminal.error(`   hint: ${printable(refusal.hint)}\n`);
    this.terminal.error(`   code: ${refusal.code} (\`psionic explain ${refusal.code}\`)\n`);
    if (this.options.verbose) {
      const details = JSON.stringify(refusal.details);
      this.terminal.error(`${printable(`details: ${details}\n${refusal.stack}`)}\n`);
    }
  }

  #bug(error: unknown): number {
    const message = error instanceof Error ? error.message : String(error);
    const stack = error instanceof Error ? (error.stack ?? message) : message;
    if (this.options.json) this.#line({ type: "bug", message, stack });
    this.terminal.error(
      `${printable(stack)}\nthis is a bug in psionic: please report it with the lines above\n`,
    );
    return 1;
  }

  #line(record: object): void {
    this.terminal.out(`${harmless(JSON.stringify(record, jsonable))}\n`);
  }
}

function withType(result: unknown): Record<string, unknown> {
  if (result === undefined || result === null) return { type: "result" };
  if (typeof result !== "object" || Array.isArray(result)) return { type: "result", value: result };
  const record = result as Record<string, unknown>;
  if (typeof record["type"] === "string") return record;
  return Object.assign({ type: "result" }, record, { type: "result" });
}

/** JSON leaves some control characters as they are, which a terminal would obey; escaped they mean the same. */
function harmless(json: string): string {
  return json.replace(
    /[\u007f-\u009f]/g,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Integers beyond JSON numbers stay exact as text; bytes become hexadecimal. */
function jsonable(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return value;
}
