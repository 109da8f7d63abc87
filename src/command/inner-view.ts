import * as v from "valibot";
import type { Event, Screen, View } from "./define.ts";
import type { AnyCommand, Registry } from "./registry.ts";

/**
 * Shows what another command says, for a command that calls it: as that command would have shown it
 * itself, once its name is known. What does not fit its declared result, or belongs to a command
 * unknown here, is shown as JSON.
 */
export class InnerView {
  #command: AnyCommand | null = null;
  #view: View<unknown> = {};

  constructor(
    private readonly screen: Screen,
    private readonly registry: Registry,
  ) {}

  get isChosen(): boolean {
    return this.#command !== null;
  }

  choose(name: string): void {
    this.#command = this.registry.get(name) ?? null;
    this.#view = this.#command?.view?.(this.screen) ?? {};
  }

  event(event: Event): void {
    if (this.#view.event === undefined) return;
    try {
      this.#view.event(event);
    } catch {
      // Events have no declared shape; one that cannot be shown is still told.
      this.screen.note(JSON.stringify(event));
    }
  }

  result(result: unknown): void {
    const schema = this.#command?.result;
    const fits = schema !== undefined && v.is(schema, result);
    if (fits && this.#view.result) this.#view.result(result);
    else if (result !== null) this.screen.print(JSON.stringify(result, null, 2));
  }
}
