import type * as v from "valibot";
import { assert } from "#src/refusal/refusal.ts";
import type { CommandDeclaration } from "./define.ts";

/** A declaration whose parameter and result types the registry need not know. */
export type AnyCommand = CommandDeclaration<v.GenericSchema, unknown>;

const nameShape = /^[a-z][a-z0-9-]*(\/[a-z][a-z0-9-]*)*$/;

/** The commands of one program, by name, in the order they were declared. */
export class Registry {
  readonly #commands = new Map<string, AnyCommand>();

  /** Adds a command. A malformed or duplicate name is a bug and refuses to start. */
  declare(command: AnyCommand): void {
    assert(nameShape.test(command.name), `command name "${command.name}" is malformed`);
    assert(!this.#commands.has(command.name), `command "${command.name}" is declared twice`);
    this.#commands.set(command.name, command);
  }

  get(name: string): AnyCommand | undefined {
    return this.#commands.get(name);
  }

  all(): readonly AnyCommand[] {
    return [...this.#commands.values()];
  }

  /**
   * The longest command whose words begin `words`, and how many words it took:
   * `["identity", "show", "x"]` is `identity/show` with 2.
   */
  resolve(words: readonly string[]): { command: AnyCommand; wordCount: number } | null {
    for (let wordCount = words.length; wordCount > 0; wordCount--) {
      const command = this.#commands.get(words.slice(0, wordCount).join("/"));
      if (command) return { command, wordCount };
    }
    return null;
  }

  /** Commands strictly below a name: `identity` gives `identity/show` and its siblings. */
  below(name: string): readonly AnyCommand[] {
    return this.all().filter((command) => command.name.startsWith(`${name}/`));
  }
}

/** The registry of this program: importing a command file declares its commands here. */
export const registry = new Registry();

/** Declares a command: checks its types, registers it and returns it unchanged. */
export function defineCommand<Parameters extends v.GenericSchema, Result>(
  declaration: CommandDeclaration<Parameters, Result>,
): CommandDeclaration<Parameters, Result> {
  registry.declare(declaration);
  return declaration;
}
